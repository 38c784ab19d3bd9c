"""Envelopes: the frozen bodies that are sent, and every attempt to send one.

``bind`` freezes, ``open_attempt`` is on disk before the first byte leaves, ``close_attempt``
says how it ended. What the answer means for the rows is the sender's to decide and
``rows.move``'s to write. All but the look-ups write, in one transaction of their own
unless they say that they expect one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tupana_etl.outbox import rows
from tupana_etl.outbox.ledger import Ledger, stamp
from tupana_etl.outbox.states import IllegalMove, State

SAFE_WINDOW = timedelta(hours=20)
"""A key is replayed this long after our first send, and never later: the API forgets keys
after 24 h and would issue again."""

MAX_DOCUMENTS = 200
"""Documents a batch may hold (API reference, POST /documents/batch)."""


@dataclass(frozen=True)
class Envelope:
    """One frozen request body and what is known of it."""

    id: int
    op: str
    entity: str
    """Issuer RUT; one company an envelope."""
    environment: str
    body: bytes
    sha256: str
    idem_key: str
    use_defaults: bool
    bound_at: str
    first_send_at: datetime | None
    safe_until: datetime | None
    batch_id: str | None
    ever_ambiguous: bool
    window_closed: str | None
    """Why a replay is not safe although ``safe_until`` is not reached."""
    retired_at: str | None
    """When it was given up as provably never executed."""
    purged_at: str | None
    """When its body was emptied."""


@dataclass(frozen=True)
class Attempt:
    """One sending of an envelope; ``closed_at`` None when its end was never seen."""

    id: int
    envelope_id: int
    number: int
    opened_at: datetime
    looked_up_at: datetime | None
    key: str
    """Fingerprint of the API key it was sent with."""
    boot_id: str
    monotonic: float
    closed_at: datetime | None
    outcome: str | None
    http_status: int | None
    request_id: str | None
    batch_id: str | None
    response_sha256: str | None
    skew_seconds: float | None
    """The server's clock minus ours, when it answered."""
    note: str | None


def bind(
    ledger: Ledger,
    intents: Sequence[rows.Intent],
    body: bytes,
    *,
    entity: str,
    environment: str,
    use_defaults: bool = True,
    actor: str = "binder",
) -> Envelope:
    """Freezes a body and its rows, in order: READY → BOUND, in one commit.

    The key follows from the content, so the same rows in the same bytes always get the
    same key. Raises IllegalMove when a row is not READY any more or there are too many.
    """
    op = intents[0].op if intents else ""
    if not 1 <= len(intents) <= MAX_DOCUMENTS or {i.op for i in intents} != {op}:
        raise IllegalMove(f"An envelope holds 1 to {MAX_DOCUMENTS} rows of one operation.")
    if {i.entity for i in intents} != {entity}:
        raise IllegalMove("An envelope holds the rows of one company.")
    sha256 = hashlib.sha256(body).hexdigest()
    with ledger.transaction():
        # The same rows in the same bytes after a retired envelope: a key of their own.
        again = ledger.con.execute(
            "SELECT count(*) FROM envelopes WHERE sha256 = ? AND retired_at IS NOT NULL", [sha256]
        ).fetchone()[0]
        key = idempotency_key(op, entity, environment, sha256, intents, again=again)
        cursor = ledger.con.execute(
            "INSERT INTO envelopes (op, entity, environment, body, sha256, idem_key, "
            "use_defaults, bound_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [op, entity, environment, body, sha256, key, int(use_defaults), ledger.now()],
        )
        envelope_id = int(cursor.lastrowid or 0)
        for position, intent in enumerate(intents):
            if rows.get(ledger, intent.id).payload_sha256 != intent.payload_sha256:
                raise IllegalMove(f"Row {intent.id} was planned anew; its approval is another's.")
            ledger.con.execute(
                "INSERT INTO members VALUES (?, ?, ?)", [envelope_id, position, intent.id]
            )
            rows.move(
                ledger,
                intent.id,
                State.BOUND,
                actor=actor,
                reason="frozen for sending",
                evidence={"envelope": envelope_id, "position": position, "sha256": sha256},
                envelope_id=envelope_id,
                position=position,
            )
    return get(ledger, envelope_id)


def idempotency_key(
    op: str,
    entity: str,
    environment: str,
    sha256: str,
    intents: Sequence[rows.Intent],
    *,
    again: int = 0,
) -> str:
    """From the content alone: operation, company, bytes, rows and their generations, and how
    often the same was retired before."""
    parts = [op, entity, environment, sha256, str(again)]
    parts += [f"{i.row_tag}.{i.generation}" for i in intents]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"tupana-etl-{environment}-{digest}"


def open_attempt(
    ledger: Ledger,
    envelope: Envelope,
    *,
    looked_up_at: datetime | None = None,
    key: str = "",
    actor: str = "sender",
) -> Attempt:
    """Records that the body is about to be sent; on disk when this returns.

    BOUND rows go IN_FLIGHT; the rows of a doubtful envelope stay UNKNOWN while it is
    replayed, which needs ``looked_up_at``: the end of a completed look-up that found none
    of them, later than the last attempt. Raises IllegalMove when the envelope must not be
    sent (see :func:`why_not`).
    """
    with ledger.transaction():
        now = ledger.clock()
        current = get(ledger, envelope.id)
        against = why_not(ledger, current, now=now, looked_up_at=looked_up_at)
        if against:
            raise IllegalMove(f"Envelope {envelope.id} may not be sent: {against}")
        if current.first_send_at is None:
            ledger.con.execute(
                "UPDATE envelopes SET first_send_at = ?, safe_until = ? WHERE id = ?",
                [stamp(now), stamp(now + SAFE_WINDOW), envelope.id],
            )
        number = len(attempts(ledger, envelope.id)) + 1
        ledger.con.execute(
            "INSERT INTO attempts (envelope_id, number, opened_at, looked_up_at, key, boot_id, "
            "monotonic) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                *(envelope.id, number, stamp(now)),
                *(stamp(looked_up_at) if looked_up_at else None, key),
                *(boot_id(), time.monotonic()),
            ],
        )
        for intent in members(ledger, envelope.id):
            if intent.state == State.BOUND:
                rows.move(
                    ledger,
                    intent.id,
                    State.IN_FLIGHT,
                    actor=actor,
                    reason=f"attempt {number}",
                    evidence={"envelope": envelope.id, "attempt": number},
                )
    return attempts(ledger, envelope.id)[-1]


def why_not(
    ledger: Ledger, envelope: Envelope, *, now: datetime, looked_up_at: datetime | None
) -> str:
    """Why an envelope must not be sent now, as a sentence; '' when it may."""
    states = {intent.state for intent in members(ledger, envelope.id)}
    tried = attempts(ledger, envelope.id)
    last = tried[-1].closed_at if tried else None
    looked = looked_up_at is not None and (last is None or looked_up_at >= last)
    doubtful = envelope.ever_ambiguous
    reasons = {
        "it was given up and its rows bound anew.": envelope.retired_at,
        "the API has already answered it with a batch.": envelope.batch_id,
        "its bytes are not those that were frozen.": hashlib.sha256(envelope.body).hexdigest()
        != envelope.sha256,
        f"its rows are {', '.join(sorted(states))}.": states
        not in ({State.UNKNOWN}, {State.BOUND}),
        "an attempt was never closed; the rows must become UNKNOWN first.": tried and not last,
        "the clock went backwards since it was first sent.": envelope.first_send_at
        and now < envelope.first_send_at,
        "its window is over; the API may have forgotten its key.": envelope.safe_until
        and now >= envelope.safe_until,
        f"its window is closed: {envelope.window_closed}.": doubtful and envelope.window_closed,
        "nobody has looked its rows up since the last attempt.": doubtful and not looked,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def close_attempt(
    ledger: Ledger,
    attempt: Attempt,
    outcome: str,
    *,
    ambiguous: bool,
    http_status: int | None = None,
    request_id: str | None = None,
    batch_id: str | None = None,
    response_sha256: str | None = None,
    skew_seconds: float | None = None,
    note: str | None = None,
) -> None:
    """Says how an attempt ended. Expects a transaction, with the moves of the rows in it.

    ``ambiguous`` marks the envelope and its rows for good.
    """
    envelope_id = attempt.envelope_id
    ledger.con.execute(
        "UPDATE attempts SET closed_at = ?, outcome = ?, http_status = ?, request_id = ?, "
        "batch_id = ?, response_sha256 = ?, skew_seconds = ?, note = ? "
        "WHERE id = ? AND closed_at IS NULL",
        [
            *(ledger.now(), outcome, http_status, request_id, batch_id, response_sha256),
            *(skew_seconds, note, attempt.id),
        ],
    )
    if ambiguous:
        ledger.con.execute("UPDATE envelopes SET ever_ambiguous = 1 WHERE id = ?", [envelope_id])
        ledger.con.execute(
            "UPDATE intents SET ever_ambiguous = 1 WHERE envelope_id = ?", [envelope_id]
        )
    if batch_id:
        ledger.con.execute(
            "UPDATE envelopes SET batch_id = ? WHERE id = ? AND batch_id IS NULL",
            [batch_id, envelope_id],
        )


def batches(ledger: Ledger) -> set[str]:
    """The API's id of every batch that an attempt from here is known to have become."""
    query = "SELECT DISTINCT batch_id FROM envelopes WHERE batch_id IS NOT NULL"
    return {str(batch) for (batch,) in ledger.con.execute(query)}


def close_window(ledger: Ledger, envelope_id: int, why: str) -> None:
    """No replay of this envelope any more: the clock cannot be trusted. Expects a transaction."""
    ledger.con.execute(
        "UPDATE envelopes SET window_closed = ? WHERE id = ? AND window_closed IS NULL",
        [why, envelope_id],
    )


def retire(ledger: Ledger, envelope_id: int, *, actor: str, reason: str) -> None:
    """Gives up an envelope that was provably never executed: its rows still BOUND or
    IN_FLIGHT go back to READY, for a new envelope with a new key. Expects a transaction.

    Raises IllegalMove when it was ever doubtful, has a batch, or an attempt is open.
    """
    envelope = get(ledger, envelope_id)
    tried = attempts(ledger, envelope_id)
    if envelope.ever_ambiguous or envelope.batch_id or any(a.closed_at is None for a in tried):
        raise IllegalMove(f"Envelope {envelope_id} may have been executed; it cannot be retired.")
    ledger.con.execute(
        "UPDATE envelopes SET retired_at = ? WHERE id = ?", [ledger.now(), envelope_id]
    )
    for intent in members(ledger, envelope_id):
        if intent.state in (State.BOUND, State.IN_FLIGHT):
            rows.move(
                ledger,
                intent.id,
                State.READY,
                actor=actor,
                reason=reason,
                evidence={"envelope": envelope_id},
                envelope_id=None,
                position=None,
            )


def get(ledger: Ledger, envelope_id: int) -> Envelope:
    """One envelope; KeyError when there is none."""
    found = _select(ledger, "WHERE id = ?", [envelope_id])
    if not found:
        raise KeyError(envelope_id)
    return found[0]


def holding(ledger: Ledger, *states: State, op: str = "issue") -> list[Envelope]:
    """Envelopes, not retired, with a row in any of the states, oldest first."""
    marks = ", ".join("?" * len(states))
    return _select(
        ledger,
        "WHERE op = ? AND retired_at IS NULL AND id IN "
        f"(SELECT envelope_id FROM intents WHERE state IN ({marks})) ORDER BY id",
        [op, *map(str, states)],
    )


def members(ledger: Ledger, envelope_id: int) -> list[rows.Intent]:
    """The rows an envelope was bound with, in the order of its body."""
    return rows.of_envelope(ledger, envelope_id)


def attempts(ledger: Ledger, envelope_id: int) -> list[Attempt]:
    """Every attempt to send an envelope, from the first."""
    return _attempts(ledger, "WHERE envelope_id = ? ORDER BY number", [envelope_id])


def open_attempts(ledger: Ledger) -> list[Attempt]:
    """Attempts whose end was never recorded: a crash, or another process still sending."""
    return _attempts(ledger, "WHERE closed_at IS NULL ORDER BY id", [])


def boot_id() -> str:
    """Tells one start of the machine from another; '' where the system does not say."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text(encoding="ascii").strip() if path.exists() else ""


def _select(ledger: Ledger, where: str, values: list[Any]) -> list[Envelope]:
    names = tuple(Envelope.__dataclass_fields__)
    found = ledger.con.execute(f"SELECT {', '.join(names)} FROM envelopes {where}", values)
    return [_envelope(dict(zip(names, row, strict=True))) for row in found]


def _envelope(row: dict[str, Any]) -> Envelope:
    for name in ("use_defaults", "ever_ambiguous"):
        row[name] = bool(row[name])
    for name in ("first_send_at", "safe_until"):
        row[name] = _moment(row[name])
    return Envelope(**row)


def _attempts(ledger: Ledger, where: str, values: list[Any]) -> list[Attempt]:
    names = tuple(Attempt.__dataclass_fields__)
    found = ledger.con.execute(f"SELECT {', '.join(names)} FROM attempts {where}", values)
    made = []
    for row in found:
        fields = dict(zip(names, row, strict=True))
        for name in ("opened_at", "looked_up_at", "closed_at"):
            fields[name] = _moment(fields[name])
        made.append(Attempt(**fields))
    return made


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
