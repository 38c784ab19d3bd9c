"""What payments and cessions have in common: no call has a key that makes it safe to repeat,
so what is there is read, before a call and after it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from tupana_etl.api.outcomes import Kind
from tupana_etl.domain import canonical_rut
from tupana_etl.errors import ApiError, Fatal, NotFound
from tupana_etl.outbox import envelopes, facts, failpoints, rows
from tupana_etl.outbox.facts import Facts
from tupana_etl.outbox.run import Run
from tupana_etl.outbox.settle import quarantine
from tupana_etl.outbox.states import CESSION, ISSUE, PAYMENT, SCHEDULE, State

T = TypeVar("T")

UNSURE = frozenset(
    {State.BOUND, State.IN_FLIGHT, State.UNKNOWN, State.ACCEPTED} | {State.STUCK, State.QUARANTINED}
)
"""States of a row that keep every other row about its document from being sent."""


LOOKED_AT = {CESSION: "cessions", SCHEDULE: "schedules"}
"""What is looked through for rows that are about no single document."""


@dataclass(frozen=True)
class Seen:
    """A document as it was just read."""

    facts: Facts
    at: datetime
    """Our clock, before it was asked for."""
    is_paid: bool | None = None
    events: frozenset[str] = frozenset()
    """Codes of SII's register, where they were asked for."""


class _Mark(msgspec.Struct):
    is_paid: bool | None = None


class _Event(msgspec.Struct):
    event_code: str


class _States(msgspec.Struct):
    states: list[_Event]


async def see(run: Run, intent: rows.Intent) -> Seen | None:
    """The document of a row, with whether it is paid; None, and the run says why, when it
    cannot be read now."""
    at = run.ledger.clock()
    body = await _body(run, intent)
    found = None if body is None else facts.of_body(body)
    mark = _decoded(body, _Mark)
    if found is not None and mark is not None and mark.is_paid is not None:
        return Seen(found, at, is_paid=mark.is_paid)
    if body is not None:
        run.notice(
            f"Row {intent.row_key}: document {intent.document_id} does not say whether it is "
            "paid, so nothing is sent and nothing is believed."
        )
    return None


async def see_register(run: Run, intent: rows.Intent) -> Seen | None:
    """The document of a row, with what SII's register has of it; None likewise."""
    at = run.ledger.clock()
    body = await _body(run, intent, "/states")
    told = _decoded(body, _States)
    document = None if told is None else await _body(run, intent)
    found = None if document is None else facts.of_body(document)
    if told is not None and found is not None:
        return Seen(found, at, events=frozenset(state.event_code for state in told.states))
    if body is not None:
        run.notice(
            f"Row {intent.row_key}: SII's register of document {intent.document_id} cannot be "
            "read, so nothing is sent and nothing is believed."
        )
    return None


async def _body(run: Run, intent: rows.Intent, part: str = "") -> bytes | None:
    """What the API says of a row's document; None, and the run says why."""
    failpoints.hit("lookup.before")
    path, name = f"/documents/{intent.document_id}{part}", str(intent.document_id)
    try:
        return (await run.client.get(path, document=name)).body
    except NotFound:
        run.notice(f"Row {intent.row_key}: document {intent.document_id} is not there any more.")
    except Fatal:
        raise
    except ApiError as error:
        run.notice(f"Row {intent.row_key}: its document could not be read: {error}")
    return None


def _decoded(body: bytes | None, kind: type[T]) -> T | None:
    try:
        return None if body is None else msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def may_send(run: Run, intent: rows.Intent) -> bool:
    """Whether a READY row's turn has come; says why when something is in its way."""
    if not run.may_send(intent.entity):
        return False
    if canonical_rut(intent.entity) not in run.companies:
        run.hold(intent.entity, "the key does not see this company, so nothing is sent for it.")
        return False
    waits = in_the_way(run, intent)
    if waits:
        run.notice(f"Row {intent.row_key} is not sent yet: {waits}.")
    return not waits


def in_the_way(run: Run, intent: rows.Intent) -> str:
    """Why a row about a document has to wait for another one; '' when it has not."""
    document_id = str(intent.document_id)
    for other in rows.of_document(run.ledger, document_id, ISSUE):
        if other.state is not State.VERIFIED and not other.acknowledged_by:
            return f"its document, row {other.row_key}, is {other.state} and not VERIFIED"
    for op in (PAYMENT, CESSION):
        for other in rows.of_document(run.ledger, document_id, op):
            if other.id != intent.id and other.state in UNSURE:
                return f"row {other.row_key} about the same document is {other.state}"
    return ""


def not_it(intent: rows.Intent, found: Facts, *, received_from: str = "") -> str:
    """How the document read now differs from the one that was approved; '' when it does not.

    It is one that the row's company issued, or received from the issuer that is named.
    """
    company, issuer = canonical_rut(intent.entity), canonical_rut(received_from)
    pairs = {
        "type": (intent.dte_type, found.dte_type),
        "folio": (intent.folio, found.folio),
        "issuer": (issuer or company, found.issuer),
        "receiver": (company if issuer else found.receiver, found.receiver),
    }
    wrong = [name for name, (asked, got) in pairs.items() if got is not None and asked != got]
    return ", ".join(wrong) or ("" if found.issued else "it is not issued")


def block(run: Run, intent: rows.Intent, code: str, reason: str) -> None:
    """A READY row that must not be sent as things are; nothing happens if it is no longer."""
    with run.ledger.transaction():
        if is_ready(run, intent):
            rows.move(
                run.ledger,
                intent.id,
                State.BLOCKED,
                actor=intent.op,
                reason=reason,
                reason_code=code,
            )
            run.notice(f"Row {intent.row_key} is not sent: {reason}.")


def is_ready(run: Run, intent: rows.Intent) -> bool:
    """Whether a row is READY still: a plan may have changed it meanwhile."""
    current = rows.get(run.ledger, intent.id)
    return current.state is State.READY and current.payload_sha256 == intent.payload_sha256


def adopt(
    run: Run,
    intent: rows.Intent,
    reason: str,
    *,
    flags: str = "",
    evidence: Mapping[str, Any] | None = None,
    amount: Decimal | None = None,
    document_id: str | None = None,
) -> None:
    """What a row wanted was read: VERIFIED. ``amount`` is what a cession is of;
    ``document_id`` is the id of what was made, where it was not known before."""
    about = {"document": intent.document_id} if intent.document_id else {}
    told = {**about, **(evidence or {})}
    with run.ledger.transaction():
        if rows.get(run.ledger, intent.id).state is not intent.state:
            return  # a plan or a person was faster
        if intent.state is not State.ISSUED:
            rows.move(
                run.ledger,
                intent.id,
                State.ISSUED,
                actor=intent.op,
                reason=reason,
                evidence=told,
                flags=flags,
                document_id=document_id or intent.document_id,
            )
        rows.move(
            run.ledger,
            intent.id,
            State.VERIFIED,
            actor=intent.op,
            reason=reason,
            evidence=told,
            issued_total=amount,
        )


def to_a_person(run: Run, intent: rows.Intent, code: str, reason: str) -> None:
    """QUARANTINED, in a transaction of its own."""
    with run.ledger.transaction():
        quarantine(
            run.ledger,
            [intent],
            code,
            reason,
            actor=intent.op,
            evidence={"document": intent.document_id},
        )


def was_refused(run: Run, intent: rows.Intent) -> bool:
    """Whether the last attempt of a row of unknown outcome was answered with a refusal."""
    tried = envelopes.attempts(run.ledger, intent.envelope_id or 0)
    return bool(tried) and tried[-1].outcome == Kind.REFUSED


def reject(run: Run, intent: rows.Intent) -> None:
    """What was refused is not there either: the refusal stands, in its own words."""
    with run.ledger.transaction():
        rows.move(
            run.ledger,
            intent.id,
            State.REJECTED,
            actor=intent.op,
            reason=intent.reason,
            evidence={"document": intent.document_id},
            reason_code="refused",
        )


def note_miss(run: Run, intent: rows.Intent) -> None:
    """Records that a completed look did not find what a row wanted."""
    with run.ledger.transaction():
        run.ledger.con.execute(
            "INSERT INTO lookups (intent_id, at, control_ok, hits, note) VALUES (?, ?, 1, 0, ?)",
            [intent.id, run.ledger.now(), LOOKED_AT.get(intent.op, "document")],
        )


def tell_found(run: Run, intent: rows.Intent, reason: str) -> None:
    """A quarantined row is there by now: a person is told."""
    if intent.reason != reason:
        with run.ledger.transaction():
            rows.note(run.ledger, intent.id, actor=intent.op, reason=reason, restate=True)
    run.notice(f"Row {intent.row_key}: {reason}.")


def stuck_when_overdue(run: Run, intent: rows.Intent, reason: str) -> None:
    """An ACCEPTED row that does not show in time."""
    late = run.ledger.clock() - last_attempt(run, intent) >= run.pace.overdue
    if intent.state is State.ACCEPTED and late:
        with run.ledger.transaction():
            rows.move(run.ledger, intent.id, State.STUCK, actor=intent.op, reason=reason)


def is_settled(run: Run, intent: rows.Intent, at: datetime) -> bool:
    """Whether a look that began at ``at`` is late enough after the attempt to be believed."""
    return at >= last_attempt(run, intent) + timedelta(seconds=run.pace.settle)


def last_attempt(run: Run, intent: rows.Intent) -> datetime:
    """When the last attempt of a row ended."""
    tried = envelopes.attempts(run.ledger, intent.envelope_id or 0)
    return max(a.closed_at or a.opened_at for a in tried)


def thaw(run: Run, op: str) -> None:
    """What was bound and provably not processed is read again before it is sent again."""
    for envelope in envelopes.holding(run.ledger, State.BOUND, op=op):
        with run.ledger.transaction():
            envelopes.retire(
                run.ledger, envelope.id, actor=op, reason="not processed: read again first"
            )


def bytes_are_approved(run: Run, intent: rows.Intent) -> bool:
    """Whether a row's content is what was approved; holds the company when it is not."""
    if hashlib.sha256(intent.payload or b"").hexdigest() == intent.payload_sha256:
        return True
    run.hold(intent.entity, f"row {intent.row_key} is not what was approved. Plan it again.")
    return False
