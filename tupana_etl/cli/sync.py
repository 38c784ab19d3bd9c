"""``tupana sync``: reads, applies, rebuilds, publishes, and says what was not whole."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from tupana_etl import analysis, pipeline, settings
from tupana_etl.cli import output, tables
from tupana_etl.cli.progress import reading
from tupana_etl.pipeline import SyncResult
from tupana_etl.settings import Settings

FIRST_MET = """
WITH met AS (
    SELECT run_id, stream, master_entity_id, document_type, id, column_name, reason,
        if(id IS NULL, md5(raw::VARCHAR), NULL) AS unnamed
    FROM raw.rejects
)
SELECT count(*) FROM (
    SELECT * EXCLUDE (run_id) FROM met WHERE run_id = $run
    EXCEPT SELECT * EXCLUDE (run_id) FROM met WHERE run_id <> $run
)
"""
"""Rejects no earlier run had. ``raw`` does not name a row: its links are new every time."""


COUNTS = ("seen", "new", "changed", "deleted", "rejected", "requests")

MOST_COMPANIES = 8
"""With more of them a table of every company is longer than anybody reads."""


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    since = settings.parse_date(args.since or "", "--since")
    with reading(shown=not args.json) as on_rows:
        result = pipeline.sync(
            configured,
            args.streams,
            entity=args.entity,
            since=since,
            full=args.full,
            wait=args.wait,
            on_rows=on_rows,
        )
    new_rejects = new_rejects_of(configured, result)
    if args.json:
        output.write_json(as_json(result, new_rejects))
    else:
        tell(result, configured, new_rejects)
    return exit_code(result, new_rejects)


def exit_code(result: SyncResult, new_rejects: int) -> int:
    """1 when a window is not whole, or a row was rejected that no run had met before."""
    return 0 if result.complete and not new_rejects else 1


def new_rejects_of(configured: Settings, result: SyncResult) -> int:
    if not result.rejected:
        return 0
    with analysis.answer(FIRST_MET, configured, params={"run": result.run_id}) as found:
        ((count,),) = found.rows
    return int(count)


def as_json(result: SyncResult, new_rejects: int) -> dict[str, Any]:
    return {**asdict(result), "new_rejects": new_rejects}


def tell(result: SyncResult, configured: Settings, new_rejects: int) -> None:
    """The result for people: a line a stream and company, then what is not as it should be."""
    rows = [
        [stream, company, *(output.number(n) for n in numbers), "" if whole else "incomplete"]
        for stream, company, numbers, whole in _lines(result)
    ]
    output.write(tables.table(["stream", "company", *COUNTS, ""], rows, right=COUNTS))
    output.write()
    _tell_missing(result)
    _tell_rejects(result, new_rejects)
    hidden = asdict(result).get("hidden", ())
    if hidden:
        text = (
            f"No longer among the companies of this key, tried all the same: {', '.join(hidden)}."
        )
        output.write(output.paragraph(text, indent="  ", first=""))
    for stream, keys in result.unknown_fields.items():
        text = f"New fields in {stream}, kept in _extra: {', '.join(keys)}."
        output.write(output.paragraph(text, indent="  ", first=""))
    seen, new, changed = (sum(getattr(s, n) for s in result.streams) for n in COUNTS[:3])
    output.write(
        f"{'Complete' if result.complete else 'NOT complete'}: {output.number(seen)} rows seen, "
        f"{output.number(new)} new, {output.number(changed)} changed;\n"
        f"{output.number(result.requests)} requests in "
        f"{output.number(round(result.seconds, 1))} s."
    )
    output.write(f"Published: {configured.analytics}")


def _lines(result: SyncResult) -> Iterator[tuple[str, str, list[int], bool]]:
    """A line a stream and company, or a stream alone when there are many companies."""
    many = len({s.entity for s in result.streams if s.entity}) > MOST_COMPANIES
    grouped = groupby(result.streams, lambda s: (s.stream, "" if many else s.entity))
    for (stream, company), members in grouped:
        those = list(members)
        shown = company if len(those) == 1 else f"{len(those)} companies"
        sums = [sum(getattr(s, name) for s in those) for name in COUNTS]
        yield stream, shown, sums, all(s.complete for s in those)


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
