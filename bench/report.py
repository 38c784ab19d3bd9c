"""The report: tables and plots of one or more results in one HTML file without a network.

python -m bench.report RESULTS... [--html FILE] [--markdown]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from html import escape
from pathlib import Path

from bench.contestants import ALL, BUILD
from bench.samples import Results, Summary, load, summaries
from bench.tables import Table, tables, title_of

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1b2430; margin: 2rem auto; max-width: 68rem;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #dde3ea; text-align: right; }
th:first-child, td:first-child { text-align: left; }
tr.ours td { font-weight: 600; } tr.floor td { color: #66758a; }
p.note { color: #66758a; } svg text { font: 12px system-ui, sans-serif; fill: #1b2430; }
"""
COLOURS = {"floor": "#a9b6c6", "ours": "#0b7a75", "peer": "#c77d2e"}
PLOTTED = ("full", "incremental", "states")
LEFT, WIDE, BAR = 280, 560, 24


def merged(found: list[Results]) -> Results:
    """Several results as one, the first one's machine above."""
    return Results(found[0].about, [s for one in found for s in one.samples])


def page(results: Results) -> str:
    """The whole report as HTML."""
    about = " · ".join(
        f"{escape(name)} {escape(str(value))}" for name, value in results.about.items()
    )
    plots = dict(_plots(results))
    body = [
        "<h1>Bringing documents from the API into DuckDB</h1>",
        f'<p class="note">{about} · load of the machine during the runs {_loads(results)}</p>',
        *(_table(table, plots.get(table.title, "")) for table in tables(results)),
    ]
    head = f'<meta charset="utf-8"><title>Tupana ETL bench</title><style>{STYLE}</style>'
    return (
        f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'
    )


def _loads(results: Results) -> str:
    loads = [sample.load for sample in results.samples]
    return f"{min(loads)} to {max(loads)}"


def _plots(results: Results) -> Iterator[tuple[str, str]]:
    """Title of a table, and the plot that stands above it."""
    groups: dict[str, list[Summary]] = {}
    for summary in summaries(results.samples):
        if summary.condition.case in PLOTTED:
            groups.setdefault(title_of(summary.condition), []).append(summary)
    for title, found in groups.items():
        if len(found) > 1:
            yield title, _bars(found)


def _bars(found: list[Summary]) -> str:
    """Median seconds as bars, least and most as a line over each."""
    longest = max(s.most for s in found)
    parts = []
    for row, summary in enumerate(found):
        contestant, middle = ALL[summary.contestant], row * BAR + BAR / 2
        length, least, most = (
            value / longest * WIDE for value in (summary.seconds, summary.least, summary.most)
        )
        told, place = escape(contestant.name), f'y="{middle + 4}"'
        bar = f'x="{LEFT}" y="{middle - 8}" width="{max(1, length):.1f}" height="16"'
        ends = f'x1="{LEFT + least:.1f}" x2="{LEFT + most:.1f}" y1="{middle}" y2="{middle}"'
        parts += [
            f'<text x="{LEFT - 8}" {place} text-anchor="end">{told}</text>',
            f'<rect {bar} fill="{COLOURS[contestant.kind]}"/>',
            f'<line {ends} stroke="#1b2430"/>',
            f'<text x="{LEFT + most + 8:.1f}" {place}>{summary.seconds:.2f} s</text>',
        ]
    size = f'viewBox="0 0 {LEFT + WIDE + 90} {len(found) * BAR}" width="100%"'
    return f'<svg {size} role="img" aria-label="seconds by contestant">{"".join(parts)}</svg>'


def _table(table: Table, plot: str) -> str:
    kinds = {contestant.name: contestant.kind for contestant in ALL.values()}
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "".join(
        f'<tr class="{kinds.get(row[0], "")}">'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in table.rows
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    inner = f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'
    return f"<h2>{escape(table.title)}</h2>{plot}{inner}{note}"


def write(results: Results, path: Path = BUILD / "report.html") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(results), encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--html", type=Path, default=BUILD / "report.html")
    parser.add_argument("--markdown", action="store_true", help="print the tables for a README")
    given = parser.parse_args()
    results = merged([load(path) for path in given.results])
    print(write(results, given.html))
    if given.markdown:
        print(*(table.markdown() for table in tables(results)), sep="\n\n")


if __name__ == "__main__":
    main()
