"""Results as tables: what the terminal, the README and the HTML report show alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bench import change
from bench.contestants import ALL
from bench.samples import Condition, Results, Sample, Summary, summaries

OURS = "ours"


@dataclass(frozen=True)
class Table:
    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""

    def markdown(self) -> str:
        """Names to the left, numbers to the right."""
        lines = [f"| {' | '.join(row)} |" for row in (self.header, *self.rows)]
        lines.insert(1, "|---|" + "---:|" * (len(self.header) - 1))
        told = [f"**{self.title}**", "", *lines]
        return "\n".join([*told, "", self.note] if self.note else told)


def tables(results: Results) -> Iterator[Table]:
    """All that the samples allow, in the order of the plan."""
    found = list(summaries(results.samples))
    yield from _glance(found, results.samples)
    conditions = list(dict.fromkeys(s.condition for s in found))
    for condition in conditions:
        if condition.case not in change.CASES:
            yield _one(condition, [s for s in found if s.condition == condition])
    grown = [s for s in found if s.condition.case == "full"]
    yield from _growth(grown)
    yield from _changes(results.samples)


def _glance(found: list[Summary], samples: list[Sample]) -> Iterator[Table]:
    """Everybody in one table: the full reading, 8 in flight, and what is wrong under change."""
    full = [s for s in found if s.condition.case == "full" and s.condition.in_flight == 8]
    if not full:
        return
    size = min(s.condition.documents for s in full)
    latencies = sorted({s.condition.latency_ms for s in full if s.condition.documents == size})
    at = {(s.contestant, s.condition.latency_ms): s for s in full if s.condition.documents == size}
    last = latencies[-1]
    rows = [
        (
            ALL[key].name,
            *(f"{at[key, ms].seconds:.1f}" if (key, ms) in at else "" for ms in latencies),
            f"{at[key, last].cpu:.1f}",
            f"{at[key, last].peak_mb:,.0f}",
            _wrong_under_change(key, samples),
        )
        for key in dict.fromkeys(s.contestant for s in full)
        if (key, last) in at
    ]
    waits = (f"s at {ms} ms" for ms in latencies)
    header = ("", *waits, "CPU s", "peak MB", "wrong rows under change")
    yield Table(f"{size:,} documents into DuckDB, 8 requests in flight", header, rows)


def _wrong_under_change(key: str, samples: list[Sample]) -> str:
    """The worst run of each case, added up."""
    worst: dict[str, int] = {}
    for s in samples:
        if s.contestant == key and s.condition.case in change.CASES and s.wrong:
            wrong = sum(n for name, n in s.wrong.items() if name != "rows")
            worst[s.condition.case] = max(wrong, worst.get(s.condition.case, 0))
    return f"{sum(worst.values()):,}" if worst else ""


def _one(condition: Condition, found: list[Summary]) -> Table:
    ours = next((s for s in found if s.contestant == OURS), None)
    header = (
        "",
        "s",
        "least to most",
        "× ours",
        "CPU s",
        "× ours",
        "peak MB",
        "requests",
        "MB",
        "wrong",
    )
    rows: list[tuple[str, ...]] = [
        (
            ALL[s.contestant].name,
            f"{s.seconds:.2f}",
            f"{s.least:.2f} to {s.most:.2f}" if s.runs > 1 else "one run",
            _times(s.seconds, ours.seconds if ours else None),
            f"{s.cpu:.2f}",
            _times(s.cpu, ours.cpu if ours else None),
            f"{s.peak_mb:,.0f}",
            f"{s.requests:,}",
            f"{s.bytes / 1e6:,.0f}",
            _wrong_of(s),
        )
        for s in found
    ]
    return Table(title_of(condition), header, rows)


def _wrong_of(summary: Summary) -> str:
    told = [] if summary.wrong is None else [f"{summary.wrong:,}"]
    return ", ".join([*told, *([f"{summary.failed} failed"] if summary.failed else [])])


def _times(value: float, ours: float | None) -> str:
    return f"{value / ours:.2f}" if ours else ""


def title_of(condition: Condition) -> str:
    """``full, 20,000 documents, 50 ms, 8 in flight``"""
    told = f"{condition.case}, {condition.documents:,} documents, {condition.latency_ms} ms"
    told += f", {condition.in_flight} in flight"
    told += "" if condition.embedded else ", events not in the list"
    modes = {"cursor": ", newest first up to what is known"}
    return told + modes.get(condition.mode, "")


def _growth(found: list[Summary]) -> Iterator[Table]:
    """Microseconds a document over the sizes that were measured alike."""
    sizes = sorted({s.condition.documents for s in found})
    if len(sizes) < 2:
        return
    where = next(s.condition for s in found if s.condition.documents == sizes[-1])
    alike = [
        s
        for s in found
        if (s.condition.latency_ms, s.condition.in_flight) == (where.latency_ms, where.in_flight)
    ]
    grown = {s.contestant for s in alike if s.condition.documents > sizes[0]}
    rows = []
    for key in dict.fromkeys(s.contestant for s in alike):
        if key in grown:
            mine = {s.condition.documents: s for s in alike if s.contestant == key}
            rows.append((ALL[key].name, *(_grown(mine.get(size)) for size in sizes)))
    header = ("µs a document (CPU µs, peak MB)", *(f"{size:,}" for size in sizes))
    title = f"growth, {where.latency_ms} ms, {where.in_flight} in flight"
    yield Table(title, header, rows)


def _grown(summary: Summary | None) -> str:
    if summary is None:
        return ""
    count = summary.condition.documents
    each, cpu = summary.seconds / count * 1e6, summary.cpu / count * 1e6
    return f"{each:,.0f} ({cpu:,.0f}, {summary.peak_mb:,.0f})"


def _changes(samples: Iterable[Sample]) -> Iterator[Table]:
    """One row a contestant, one column a case, the worst run in each cell."""
    found = [s for s in samples if s.condition.case in change.CASES]
    cases = [name for name in change.CASES if any(s.condition.case == name for s in found)]
    if not cases:
        return
    rows = []
    for key in dict.fromkeys(s.contestant for s in found):
        mine = [s for s in found if s.contestant == key]
        cells = [_worst([s for s in mine if s.condition.case == name]) for name in cases]
        rows.append((ALL[key].name, *cells))
    note = (
        f"After the change, and {change.QUIET_RUNS} more runs where documents came, went or "
        "flipped. The kill: pages read by the run after it, of 200."
    )
    yield Table("wrong rows under change", ("", *cases), rows, note)


def _worst(samples: list[Sample]) -> str:
    told = [_told(sample) for sample in samples]
    return max(told, key=lambda text: (text != "0", text)) if told else ""


def _told(sample: Sample) -> str:
    wrong = {name: n for name, n in (sample.wrong or {}).items() if n and name != "rows"}
    told = ", ".join(f"{n:,} {name}" for name, n in wrong.items()) or "0"
    if sample.wrong is None:
        told = "no table"
    if sample.condition.case == "killed at 60 %":
        told += f" ({sample.pages} pages)"
    return told + (f", exit {sample.status}" if sample.status else "")
