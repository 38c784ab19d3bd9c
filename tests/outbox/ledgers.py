"""Ledgers with rows in them, for the tests of this folder."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from tupana_etl.outbox import envelopes, rows
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.states import State

ISSUER = "76086428-5"


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def pass_(self, **time: float) -> datetime:
        self.at += timedelta(**time)
        return self.at


def put(ledger: Ledger, row_key: str, state: State = State.PLANNED, **values: Any) -> int:
    """A row in the ledger, in a transaction of its own. Returns its id."""
    payload = f'{{"row":"{row_key}"}}'.encode()
    row = {
        "op": "issue",
        "row_key": row_key,
        "generation": 1,
        "row_tag": ledger.pepper.tag("issue", row_key),
        "source": "test",
        "plan_id": 1,
        "entity": ISSUER,
        "dte_type": "33",
        "receiver_rut": "77777777-7",
        "date_issued": "2026-11-24",
        "currency": "CLP",
        "payload": payload,
        "payload_sha256": hashlib.sha256(payload).hexdigest(),
        "state": state,
    }
    with ledger.transaction():
        ledger.con.execute(
            "INSERT OR IGNORE INTO plans (id, plan_hash, source, op, made_at, documents, clp, "
            "needs_approval) VALUES (1, 'hash', 'test', 'issue', ?, 1, '0', '')",
            [ledger.now()],
        )
        if state in (State.READY, State.BOUND, State.IN_FLIGHT):
            row["approval_id"] = approval(ledger)
        return rows.insert(ledger, row | values, actor="planner", reason="planned")


def approval(ledger: Ledger) -> int | None:
    """Ana's, inside a transaction."""
    return ledger.con.execute(
        "INSERT INTO approvals (kind, plan_hash, by, at, note) VALUES "
        "('plan', 'hash', 'Ana', ?, '')",
        [ledger.now()],
    ).lastrowid


def ready(ledger: Ledger, *row_keys: str) -> list[rows.Intent]:
    """Rows that a person approved."""
    ids = [put(ledger, key) for key in row_keys]
    with ledger.transaction():
        approval_id = approval(ledger)
        for row_id in ids:
            rows.move(
                ledger,
                row_id,
                State.READY,
                actor="Ana",
                reason="approved",
                approval_id=approval_id,
            )
    return [rows.get(ledger, row_id) for row_id in ids]


def bound(ledger: Ledger, *row_keys: str) -> envelopes.Envelope:
    """An envelope around approved rows."""
    intents = ready(ledger, *row_keys)
    body = b"[" + b",".join(i.payload or b"" for i in intents) + b"]"
    return envelopes.bind(ledger, intents, body, entity=ISSUER, environment="sandbox")


def doubtful(ledger: Ledger, envelope: envelopes.Envelope) -> envelopes.Envelope:
    """Sends it, and nobody knows what came of it."""
    attempt = envelopes.open_attempt(ledger, envelope)
    with ledger.transaction():
        envelopes.close_attempt(ledger, attempt, "AMBIGUOUS", ambiguous=True)
        for intent in envelopes.members(ledger, envelope.id):
            rows.move(ledger, intent.id, State.UNKNOWN, actor="sender", reason="no answer")
    return envelopes.get(ledger, envelope.id)
