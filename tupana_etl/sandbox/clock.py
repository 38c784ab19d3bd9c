"""The sandbox's clock, and what the calendar and the vendor's jobs change with it.

The clock is this machine's, ahead of it by what it was moved; keys expire and batches
proceed by it, and answers carry it as their ``Date``. The world's today is a date of its
own that only moves with it.

A trace's countdown and its alert, whether the eight days are over, when SII was last
asked, a webhook's last delivery and success rate: no business field is touched. Books
tell the new day as their scrape's by themselves, sync status stays as it is.
"""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tupana_etl.sandbox import dates, render, store

_TRACED = """
SELECT min(id) AS id FROM document
WHERE source IN (SELECT document_id FROM body WHERE traces <> ',"traces":[]')
GROUP BY source"""


def now(connection: sqlite3.Connection) -> float:
    """Seconds since 1970."""
    return time.time() + float(store.find_meta(connection, "ahead") or 0)


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def zulu(seconds: float) -> str:
    return at(seconds).isoformat().replace("+00:00", "Z")


def move(connection: sqlite3.Connection, *, days: int = 0, seconds: float = 0.0) -> date:
    """Moves the clock; the world's today moves with every midnight of Santiago it passes."""
    before = at(now(connection))
    after = before + timedelta(days=days, seconds=seconds)
    passed = days or max(0, (dates.local_day(after) - dates.local_day(before)).days)
    today = store.today(connection) + timedelta(days=passed)
    ahead = float(store.find_meta(connection, "ahead") or 0) + days * 86_400 + seconds
    with connection:
        connection.execute("BEGIN")
        store.set_meta(connection, "ahead", str(ahead))
        if passed:
            if store.find_meta(connection, "born") is None:
                store.set_meta(connection, "born", store.meta(connection, "today"))
            store.set_meta(connection, "today", today.isoformat())
            _age_traces(connection, today)
            _deliver(connection, passed)
    return today


def rewind(connection: sqlite3.Connection) -> None:
    """This machine's clock again, and the day the world began with."""
    born = store.find_meta(connection, "born")
    if born is not None:
        store.set_meta(connection, "today", born)
        _age_traces(connection, date.fromisoformat(born))
    connection.execute("DELETE FROM meta WHERE name IN ('ahead', 'born')")


def _age_traces(connection: sqlite3.Connection, today: date) -> None:
    """Renders again the three fragments that tell of the day, once per shared body."""
    for (document_id,) in connection.execute(_TRACED).fetchall():
        document = store.read_document(connection, document_id)
        if document is None:
            continue
        body = render.bodies(document, today)
        connection.execute(
            """UPDATE body SET trace_info = ?, log = ?, traces = ?
            WHERE document_id = (SELECT source FROM document WHERE id = ?)""",
            (body.trace_info, body.log, body.traces, document_id),
        )


def _deliver(connection: sqlite3.Connection, days: int) -> None:
    """Each webhook is sent something: its last delivery moves, a rate follows."""
    for row in connection.execute(
        "SELECT * FROM webhook WHERE last_sent_at IS NOT NULL"
    ).fetchall():
        sent = datetime.fromisoformat(row["last_sent_at"]) + timedelta(days=days)
        failed = (row["last_status_code"] or 500) >= 300
        step = Decimal("0.1") if failed else Decimal("-0.1")
        rate = min(Decimal(100), Decimal(row["success_rate"]) + step)
        connection.execute(
            "UPDATE webhook SET last_sent_at = ?, last_status_code = ?, success_rate = ? "
            "WHERE id = ?",
            (sent.isoformat(), 200 if failed else 503, str(rate), row["id"]),
        )
