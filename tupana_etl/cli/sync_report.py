"""What a sync did, for people: a table of 80 columns, then what is not as it should be."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from tupana_etl.cli import output, tables
from tupana_etl.pipeline import SyncResult
from tupana_etl.settings import Settings

COUNTS = ("seen", "new", "changed", "deleted", "rejected")
ALWAYS = COUNTS[:3]
"""Shown even when all are 0; the others take room only when there is something."""

MOST_COMPANIES = 8
"""With more of them a table of every company is longer than anybody reads."""


class _Line(NamedTuple):
    stream: str
    company: str
    counts: dict[str, int]
    complete: bool


def tell(result: SyncResult, configured: Settings, new_rejects: int) -> None:
    """Everything there is to say about a sync, the verdict last."""
    _tell_table(_lines(result))
    _tell_missing(result)
    _tell_rejects(result, new_rejects)
    if result.hidden:
        gone = ", ".join(result.hidden)
        _tell_more(f"The key no longer shows these companies, tried all the same: {gone}.")
    for stream, keys in result.unknown_fields.items():
        _tell_more(f"New fields in {stream}, kept in _extra: {', '.join(keys)}.")
    sums = [output.number(sum(getattr(s, n) for s in result.streams)) for n in COUNTS[:4]]
    output.write(
        f"{'Complete' if result.complete else 'NOT complete'}: "
        "{} rows seen, {} new, {} changed, {} deleted;\n".format(*sums)
        + f"{output.number(result.requests)} requests in "
        f"{output.number(round(result.seconds, 1))} s."
    )
    output.write(f"Published: {configured.analytics}")


def _lines(result: SyncResult) -> list[_Line]:
    """One for each stream and company, or for each stream when there are many companies."""
    many = len({s.entity for s in result.streams if s.entity}) > MOST_COMPANIES
    lines = []
    for (stream, company), members in groupby(
        result.streams, lambda s: (s.stream, "" if many else s.entity)
    ):
        those = list(members)
        shown = company if len(those) == 1 else f"{len(those)} companies"
        counts = {name: sum(getattr(s, name) for s in those) for name in COUNTS}
        lines.append(_Line(stream, shown, counts, all(s.complete for s in those)))
    return lines


def _tell_table(lines: list[_Line]) -> None:
    """Columns that are all 0 are left out; so are those that would not fit (see the totals)."""
    told = [n for n in COUNTS if n in ALWAYS or any(line.counts[n] for line in lines)]
    for counts in (told, list(ALWAYS)):
        columns = ["stream", "company", *counts]
        rows = [
            [line.stream, line.company, *(output.number(line.counts[n]) for n in counts)]
            for line in lines
        ]
        if not all(line.complete for line in lines):
            columns.append("")
            for row, line in zip(rows, lines, strict=True):
                row.append("" if line.complete else "incomplete")
        if tables.natural(columns, rows) <= output.width():
            break
    output.write(tables.table(columns, rows, right=counts))
    output.write()


def _tell_more(text: str) -> None:
    output.write(output.paragraph(text, indent="  ", first=""))


def _tell_missing(result: SyncResult) -> None:
    reasons = [reason for stream in result.streams for reason in stream.reasons]
    if reasons:
        output.write("Not read whole; the next sync reads it again:")
        for reason in reasons:
            output.write(output.paragraph(reason, indent="    ", first="  - "))
        output.write()


def _tell_rejects(result: SyncResult, new_rejects: int) -> None:
    if result.rejected:
        all_of_them, new = output.number(result.rejected), output.number(new_rejects)
        text = (
            f"{all_of_them} rows could not be taken, {new} of them for the first time. See: "
            'tupana query "FROM raw.rejects"'
        )
        output.write(output.paragraph(text, indent="  ", first=""))
        output.write()
