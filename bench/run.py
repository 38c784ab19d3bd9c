"""The bench: floors, ours and the peers side by side, on one machine, in one run.

    python -m bench.run [--quick] [--runs 5] [--only ours,dlt-arrow] [--out FILE]

Prints every run as it ends, then the tables; writes results (JSON) and a report (HTML).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from bench import contestants, plan, report
from bench.cases import Bench
from bench.contestants import ALL, BUILD, ROOT
from bench.load.ceiling import ceiling
from bench.load.running import Server, load_server
from bench.plan import Step
from bench.ratios import check
from bench.samples import Results, Sample, machine
from bench.tables import tables

RESULTS = ROOT / "bench" / "results"


def tell(sample: Sample) -> None:
    """One line a run."""
    c = sample.condition
    what = f"{c.case} {c.documents:,} · {c.latency_ms} ms · {c.in_flight}"
    line = f"{what:<38} {ALL[sample.contestant].name:<42}{sample.seconds:>8.2f} s"
    line += f"{sample.cpu:>8.2f} CPU{sample.peak_mb:>7.0f} MB{sample.requests:>8,} req"
    wrong = {k: v for k, v in (sample.wrong or {}).items() if v and k != "rows"}
    told = [f"{count} {what}" for what, count in wrong.items()]
    told += [f"exit {sample.status}"] if sample.status else []
    print(line, *told, sep="  ", flush=True)


def measured(bench: Bench, steps: list[Step], runs: int) -> Iterator[Sample]:
    """All samples; one load server for each size of world."""
    with ExitStack() as stack:
        servers: dict[tuple[int, bool], Server] = {}
        for step in steps:
            world = step.condition.documents, step.condition.embedded
            if world not in servers:
                asked = load_server(BUILD / "load", world[0], traces=world[1])
                servers[world] = stack.enter_context(asked)
                _show_ceiling(servers[world])
            for number in range(runs):
                for key in step.contestants:
                    if number < step.runs_of(key, runs):
                        yield from step.case(bench, servers[world], key, step.condition)


def _show_ceiling(server: Server) -> None:
    found = ceiling(server)
    print(
        f"load server, {server.world.documents:,} documents of {server.world.width:,} bytes: "
        f"{found.pages_per_second:,.0f} pages/s, {found.bytes_per_second / 1e6:,.0f} MB/s "
        f"to a client that throws them away ({found.cpu_per_page * 1e6:,.0f} µs of its own a page)",
        flush=True,
    )


def chosen(steps: list[Step], only: set[str]) -> list[Step]:
    """The steps for some contestants only; all when none is named."""
    unknown = only - ALL.keys()
    if unknown:
        sys.exit(f"There is no {', '.join(sorted(unknown))}. There are: {', '.join(ALL)}.")
    kept = [
        Step(s.case, s.condition, tuple(k for k in s.contestants if not only or k in only))
        for s in steps
    ]
    return [step for step in kept if step.contestants]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="floors, dlt and the SDK only")
    parser.add_argument("--runs", type=int, help="runs of each (5; 2 when quick)")
    parser.add_argument("--cases", default=",".join(plan.CASES), help=f"of {', '.join(plan.CASES)}")
    parser.add_argument("--only", default="", help="contestants, comma-separated")
    parser.add_argument("--out", type=Path, help="where the results go (bench/results/…)")
    parser.add_argument("--check", action="store_true", help="compare ratios with the reference")
    given = parser.parse_args()
    steps = plan.quick() if given.quick else plan.whole(set(given.cases.split(",")))
    steps = chosen(steps, set(filter(None, given.only.split(","))))
    for peer in sorted({peer for step in steps for peer in step.peers}):
        contestants.set_up(peer)
    started, about = time.monotonic(), machine()
    out = given.out or RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory(prefix="tupana-bench-") as work:
        bench = Bench(Path(work), BUILD, tell)
        for sample in measured(bench, steps, given.runs or (2 if given.quick else 5)):
            samples.append(sample)
            Results(about, samples).save(out)
    results = Results(about, samples)
    print("", *(table.markdown() for table in tables(results)), sep="\n\n")
    spent = f"{len(samples)} runs in {time.monotonic() - started:.0f} s"
    print(f"\n{spent}: {shown(out)}, {shown(report.write(results))}")
    return check(results) if given.check else 0


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


if __name__ == "__main__":
    sys.exit(main())
