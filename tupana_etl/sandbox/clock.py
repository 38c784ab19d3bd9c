"""Moves the world's today, and with it what the calendar and the vendor's jobs change.

A trace's countdown and its alert, whether the eight days are over, when SII was last
asked, a webhook's last delivery and success rate: no business field is touched. Books
tell the new day as their scrape's by themselves, sync status stays as it is.
"""

from __future__ import annotations

import sqlite3
from datetime import date, datetime, timedelta
from decimal import Decimal

from tupana_etl.sandbox import render, store

_TRACED = """
SELECT min(id) AS id FROM document
WHERE source IN (SELECT document_id FROM body WHERE traces <> ',"traces":[]')
GROUP BY source"""


def move(connection: sqlite3.Connection, days: int) -> date:
    """Today, ``days`` later."""
    today = store.today(connection) + timedelta(days=days)
    with connection:
        connection.execute("BEGIN")
        store.set_meta(connection, "today", today.isoformat())
        _age_traces(connection, today)
        _deliver(connection, days)
    return today


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
    for row in connection.execute("SELECT * FROM webhook").fetchall():
        sent = datetime.fromisoformat(row["last_sent_at"]) + timedelta(days=days)
        failed = row["last_status_code"] >= 300
        step = Decimal("0.1") if failed else Decimal("-0.1")
        rate = min(Decimal(100), Decimal(row["success_rate"]) + step)
        connection.execute(
            "UPDATE webhook SET last_sent_at = ?, last_status_code = ?, success_rate = ? "
            "WHERE id = ?",
            (sent.isoformat(), 200 if failed else 503, str(rate), row["id"]),
        )
