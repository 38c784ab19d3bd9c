"""What is said of several runs, and what counts as worse than the reference."""

from __future__ import annotations

from pathlib import Path

from bench.ratios import ratios, worse
from bench.report import page
from bench.samples import Condition, Results, Sample, load, summaries
from bench.tables import tables

HERE = Condition("full", 20_000, 50)
RIGHT = {"rows": 20_000, "lost": 0, "ghosts": 0, "doubled": 0, "stale": 0}


def sample(contestant: str, seconds: float, wrong: dict[str, int] | None = None) -> Sample:
    return Sample(HERE, contestant, seconds, seconds / 2, 300.0, 0, wrong=wrong or RIGHT)


RESULTS = Results(
    {"cores": 2},
    [
        *(sample("ours", seconds) for seconds in (2.0, 9.0, 2.2)),
        *(sample("sdk", seconds, RIGHT | {"lost": 1, "stale": 2}) for seconds in (22.0, 20.0)),
    ],
)


def test_a_summary_is_the_median_with_its_spread_and_the_worst_of_the_rows() -> None:
    ours, sdk = summaries(RESULTS.samples)
    assert (ours.seconds, ours.least, ours.most, ours.wrong) == (2.2, 2.0, 9.0, 0)
    assert (sdk.runs, sdk.wrong) == (2, 3)


def test_a_peer_that_comes_nearer_is_worse_and_a_slower_machine_is_not() -> None:
    before = ratios(RESULTS)
    slower = [sample(s.contestant, s.seconds * 3, s.wrong) for s in RESULTS.samples]
    assert worse(ratios(Results({}, slower)), before) == []
    nearer = [*RESULTS.samples[:3], sample("sdk", 11.0)]
    told = worse(ratios(Results({}, nearer)), before)
    assert [line.rpartition(" by ours, ")[2][:4] for line in told] == ["wall", "CPU:"]


def test_one_wrong_row_of_ours_is_worse_whatever_the_speed() -> None:
    fast = [sample("ours", 0.1, RIGHT | {"stale": 1})]
    assert len(worse(ratios(Results({}, fast)), ratios(RESULTS))) == 1


def test_results_come_back_from_their_file_and_stand_in_the_report(tmp_path: Path) -> None:
    RESULTS.save(tmp_path / "one.json")
    again = load(tmp_path / "one.json")
    assert again == RESULTS
    glance, whole = tables(again)
    assert "| tupana SDK + pandas | 21.0 | 10.5 | 300 |" in glance.markdown()
    assert "| tupana SDK + pandas | 21.00 | 20.00 to 22.00 | 9.55 |" in whole.markdown()
    html = page(again)
    assert "21.00 s</text>" in html
    assert "http" not in html, "it stands alone"
