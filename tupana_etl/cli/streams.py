"""``tupana streams``: what is loaded of each stream, how fresh, how complete."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from tupana_etl import analysis, settings
from tupana_etl.cli import output, tables
from tupana_etl.domain import utcnow
from tupana_etl.settings import Settings
from tupana_etl.streams import STREAMS, Stream

LATEST = """
WITH latest AS (  -- the last run that read a stream of a company, and each of its windows
    SELECT * FROM raw.windows
    QUALIFY run_id = max(run_id) OVER (PARTITION BY stream, master_entity_id)
), windows AS (
    SELECT * FROM latest QUALIFY row_number() OVER (
        PARTITION BY stream, master_entity_id, document_type, date_from, date_to, period
        ORDER BY read_at DESC) = 1
), since AS (
    SELECT stream, min(coalesce(date_from, strptime(period, '%Y%m')::DATE)) AS since
    FROM raw.windows GROUP BY ALL
), companies AS (
    SELECT stream, master_entity_id, max(read_at) AS read_at,
        list(reason ORDER BY reason) FILTER (NOT complete) AS reasons
    FROM windows GROUP BY ALL
)
SELECT stream, any_value(since), min(read_at), list_sort(list_distinct(flatten(list(reasons))))
FROM companies JOIN since USING (stream) GROUP BY ALL
"""


@dataclass(frozen=True)
class State:
    """One stream on this machine."""

    stream: str
    rows: int | None
    """Rows that are not deleted; None when nothing was ever published."""
    since: date | None
    """First issue date (or first day of SII's book months) it was ever asked for; None for
    lists without dates."""
    last_read: datetime | None
    """When the company read longest ago was last read."""
    fresh_for: timedelta
    reasons: list[str] = field(default_factory=list)
    """What is not complete, a sentence each."""

    @property
    def status(self) -> str:
        if self.last_read is None:
            return "never read"
        if self.reasons:
            return "incomplete"
        return "stale" if utcnow() - self.last_read > self.fresh_for else "ok"


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    found = list(states(configured))
    if args.json:
        output.write_json({"streams": [_as_json(s) for s in found]})
    else:
        _tell(found, configured)
    return 0


def states(configured: Settings) -> Iterator[State]:
    """Every declared stream, also when nothing was ever read."""
    read, rows = _loaded(configured) if configured.analytics.exists() else ({}, {})
    for stream in STREAMS.values():
        since, last, reasons = read.get(stream.parent or stream.name, (None, None, None))
        count = rows.get(stream.name)
        yield State(stream.name, count, since, last, stream.freshness, reasons or [])


def _loaded(configured: Settings) -> tuple[dict[str, tuple[Any, Any, Any]], dict[str, int]]:
    with analysis.answer(LATEST, configured) as found:
        read = {stream: (since, last, reasons) for stream, since, last, reasons in found.rows}
    with analysis.answer(" UNION ALL ".join(map(_counting, STREAMS.values())), configured) as found:
        rows: dict[str, int] = dict(found.rows)
    return read, rows


def _counting(stream: Stream) -> str:
    return f"SELECT '{stream.name}', count(*) FROM raw.{stream.name} WHERE _deleted_at IS NULL"


def _as_json(state: State) -> dict[str, Any]:
    return {
        "stream": state.stream,
        "description": STREAMS[state.stream].doc,
        "rows": state.rows,
        "since": output.plain(state.since),
        "last_read": output.plain(state.last_read),
        "fresh_for_seconds": int(state.fresh_for.total_seconds()),
        "status": state.status,
        "complete": bool(state.last_read) and not state.reasons,
        "reasons": state.reasons,
    }


def _tell(found: list[State], configured: Settings) -> None:
    rows = [
        [
            s.stream,
            "" if s.rows is None else output.number(s.rows),
            output.plain(s.since) or "",
            output.moment(s.last_read) if s.last_read else "",
            hours(s.fresh_for),
            s.status,
        ]
        for s in found
    ]
    columns = ["stream", "rows", "since", "last read", "fresh for", "status"]
    output.write(tables.table(columns, rows, right=("rows", "fresh for")))
    missing = sorted({reason for s in found for reason in s.reasons})
    if missing:
        output.write("\nNot read whole; the next sync reads it again:")
        for reason in missing:
            output.write(output.paragraph(reason, indent="    ", first="  - "))
    if not configured.analytics.exists():
        output.write("\nNothing is loaded yet. Run `tupana sync`.")


def hours(span: timedelta) -> str:
    return f"{output.number(round(span.total_seconds() / 3600))} h"
