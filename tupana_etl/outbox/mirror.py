"""Copies what the ledger says into the warehouse, for people who query. Never read back.

No bodies, no keys: what was sent is in the ledger alone. A ledger that cannot be read does
not stop a sync; the last mirror stays, and the log says so.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from tupana_etl.outbox import custody
from tupana_etl.outbox.payment_drafts import Payment, entry_of
from tupana_etl.outbox.states import PAYMENT, State
from tupana_etl.warehouse.database import Connection
from tupana_etl.warehouse.mirror import PAYMENTS, Columns, Mirrored, replace_table

MONEY = "DECIMAL(18,4)"

ROWS: Columns = {
    "row_key": ("VARCHAR", "Identity of the row in your business."),
    "generation": ("INTEGER", "1, or more after a rejection or a release."),
    "op": ("VARCHAR", "issue, payment, cession or schedule."),
    "state": ("VARCHAR", "Where it stands: docs/outbox.md lists the states."),
    "reason_code": ("VARCHAR", "Why, as a code; empty when nothing is wrong."),
    "reason": ("VARCHAR", "Why, as a sentence."),
    "flags": ("VARCHAR", "What a person should see though nothing is wrong."),
    "source": ("VARCHAR", "Where the row came from."),
    "entity": ("VARCHAR", "RUT of the user's company: the issuer, or who accepts or claims."),
    "event": ("VARCHAR", "What a payment's row says: PAID, UNPAID, or an act at SII such as RCD."),
    "dte_type": ("VARCHAR", "SII document type."),
    "receiver_rut": ("VARCHAR", "RUT of the receiver; empty once it was purged."),
    "date_issued": ("VARCHAR", "Date of the document, YYYY-MM-DD; empty when it was not valid."),
    "currency": ("VARCHAR", "Currency of the amounts."),
    "net": (MONEY, "Planned net."),
    "exempt": (MONEY, "Planned exempt amount."),
    "iva": (MONEY, "Planned IVA."),
    "withheld": (MONEY, "Planned IVA withheld (46), or retention (80, 90)."),
    "total": (MONEY, "Planned total."),
    "document_id": (
        "VARCHAR",
        "The API's id of the document (joins raw.documents.id), or of the schedule.",
    ),
    "folio": ("VARCHAR", "Folio, once issued."),
    "issued_total": (MONEY, "Total as read back."),
    "ever_ambiguous": ("INTEGER", "1 when an attempt's outcome was once unknown."),
    "row_tag": ("VARCHAR", "What the API knows the row by (json_param)."),
    "acknowledged_by": ("VARCHAR", "Who accepted its end."),
    "created_at": ("TIMESTAMPTZ", "When it was first planned."),
    "updated_at": ("TIMESTAMPTZ", "When it last changed."),
}
EVENTS: Columns = {
    "row_key": ("VARCHAR", "The row."),
    "generation": ("INTEGER", "Its generation."),
    "at": ("TIMESTAMPTZ", "When."),
    "actor": ("VARCHAR", "Who: a person's name, or the part of the program."),
    "from_state": ("VARCHAR", "State before; NULL at its birth."),
    "to_state": ("VARCHAR", "State after; the same when only something was noted."),
    "reason": ("VARCHAR", "Why."),
    "evidence": ("VARCHAR", "On what evidence, a JSON object."),
}
ATTEMPTS: Columns = {
    "envelope_id": ("BIGINT", "The request body that was sent."),
    "number": ("INTEGER", "Which attempt, from 1."),
    "documents": ("INTEGER", "Documents in it."),
    "opened_at": ("TIMESTAMPTZ", "Recorded before the first byte left."),
    "closed_at": ("TIMESTAMPTZ", "When its end was seen; NULL when never."),
    "outcome": ("VARCHAR", "How it ended."),
    "http_status": ("INTEGER", "What the API answered."),
    "request_id": ("VARCHAR", "The API's id of the request, for its support."),
    "batch_id": ("VARCHAR", "The API's batch."),
}

_ROWS = ", ".join(
    "CASE WHEN op = 'payment' THEN json_extract(CAST(payload AS TEXT), '$.event_code') END"
    if name == "event"
    else name
    for name in ROWS
)
TABLES = (
    Mirrored("outbox.rows", "Rows asked to be issued, and where they stand.", ROWS),
    Mirrored("outbox.events", "All that happened to each row.", EVENTS),
    Mirrored("outbox.attempts", "Every attempt to send.", ATTEMPTS),
    PAYMENTS,
)

_EVENTS = """SELECT i.row_key, i.generation, e.at, e.actor, e.from_state, e.to_state, e.reason,
    e.evidence FROM events e JOIN intents i ON i.id = e.intent_id ORDER BY e.id"""
_ATTEMPTS = """SELECT a.envelope_id, a.number,
    (SELECT count(*) FROM members m WHERE m.envelope_id = a.envelope_id),
    a.opened_at, a.closed_at, a.outcome, a.http_status, a.request_id, a.batch_id
    FROM attempts a ORDER BY a.id"""
_PAYMENTS = """SELECT i.row_key, i.document_id, i.payload,
    (SELECT min(a.opened_at) FROM attempts a WHERE a.envelope_id = i.envelope_id),
    (SELECT max(e.at) FROM events e WHERE e.intent_id = i.id AND e.to_state = i.state
        AND e.from_state <> i.state)
    FROM intents i WHERE i.op = ? AND i.state = ? ORDER BY i.id"""

_log = logging.getLogger(__name__)


def mirror(con: Connection, home: Path) -> None:
    """Replaces the tables of schema ``outbox``; empty without a ledger.

    ``con`` is the open warehouse, outside any transaction.
    """
    found = _read(home / custody.LEDGER)
    if found is None:
        return
    con.begin()
    try:
        for table, rows in zip(TABLES, found, strict=True):
            replace_table(con, table, rows)
    except BaseException:
        con.rollback()
        raise
    con.commit()


def _read(path: Path) -> list[list[Any]] | None:
    """One moment of the ledger, read beside whoever writes it; None when it cannot be read."""
    if not path.exists():
        return [[] for _ in TABLES]
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)) as ledger:
            ledger.execute("BEGIN")
            rows = ledger.execute(f"SELECT {_ROWS} FROM intents ORDER BY id").fetchall()
            events, attempts = ledger.execute(_EVENTS).fetchall(), ledger.execute(_ATTEMPTS)
            booked = ledger.execute(_PAYMENTS, (PAYMENT, State.VERIFIED)).fetchall()
            return [rows, events, attempts.fetchall(), list(_payments(booked))]
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        _log.error("%s cannot be read (%s): schema outbox stays as it was.", path, error)
        return None


def _payments(booked: Iterable[tuple[Any, ...]]) -> Iterator[tuple[str | None, ...]]:
    """Payments of verified rows; what was said to SII about a document is none."""
    for row_key, document_id, payload, sent_at, verified_at in booked:
        asked = entry_of(payload)
        if isinstance(asked, Payment):
            said = (asked.event_code, asked.paid_on, asked.source)
            yield (row_key, document_id, *said, sent_at, verified_at)
