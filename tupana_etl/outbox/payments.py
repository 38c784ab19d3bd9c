"""Books payments: reads the document, intends, sends once, reads again.

The API has no Idempotency-Key here and books a repeated PAID again, so a call whose end is
not known is never repeated. The document is read: when it says what was wanted, that is
adopted; when it still does not after a while, a person decides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from tupana_etl.domain import canonical_rut
from tupana_etl.errors import ApiError, Fatal, NotFound
from tupana_etl.outbox import envelopes, facts, failpoints, rows
from tupana_etl.outbox.deliver import deliver
from tupana_etl.outbox.facts import Facts
from tupana_etl.outbox.payment_drafts import payment_of
from tupana_etl.outbox.run import Run, together
from tupana_etl.outbox.settle import quarantine
from tupana_etl.outbox.states import ISSUE, PAYMENT, IllegalMove, State

ACTOR = "payments"

UNSURE = frozenset(
    {State.BOUND, State.IN_FLIGHT, State.UNKNOWN, State.ACCEPTED} | {State.STUCK, State.QUARANTINED}
)
"""States of a row that keep every other row about its document from being sent."""


@dataclass(frozen=True)
class Seen:
    """A document as it was just read."""

    facts: Facts
    is_paid: bool | None
    """None when it does not say."""
    at: datetime
    """Our clock, before it was asked for."""


class _Mark(msgspec.Struct):
    is_paid: bool | None = None


async def follow(run: Run) -> None:
    """One round for every payment: doubts first, then what may be sent, then what was taken."""
    _thaw(run)
    await together(_settle_doubt(run, i) for i in _rows(run, State.UNKNOWN))
    ready: dict[str, list[rows.Intent]] = {}
    for intent in _rows(run, State.READY):
        ready.setdefault(str(intent.document_id), []).append(intent)
    await together(_in_turn(run, about_one) for about_one in ready.values())
    await together(_confirm(run, i) for i in _rows(run, State.ACCEPTED, State.STUCK, State.ISSUED))
    await together(_look_after(run, i) for i in _rows(run, State.QUARANTINED))


async def see(run: Run, intent: rows.Intent) -> Seen | None:
    """The document of a row; None, and the run says why, when it cannot be read now."""
    at = run.ledger.clock()
    failpoints.hit("lookup.before")
    try:
        reply = await run.client.get(
            f"/documents/{intent.document_id}", document=str(intent.document_id)
        )
    except NotFound:
        run.notice(f"Row {intent.row_key}: document {intent.document_id} is not there any more.")
        return None
    except Fatal:
        raise
    except ApiError as error:
        run.notice(f"Row {intent.row_key}: its document could not be read: {error}")
        return None
    found = facts.of_body(reply.body)
    try:
        mark = msgspec.json.decode(reply.body, type=_Mark)
    except (msgspec.MsgspecError, ValueError):
        mark = _Mark()
    if found is None or mark.is_paid is None:
        run.notice(
            f"Row {intent.row_key}: document {intent.document_id} does not say whether it is "
            "paid, so nothing is sent and nothing is believed."
        )
        return None
    return Seen(found, mark.is_paid, at)


def reads_as_wanted(intent: rows.Intent, seen: Seen) -> bool:
    return seen.is_paid is payment_of(intent.payload).is_paid


def _rows(run: Run, *states: State) -> list[rows.Intent]:
    return rows.in_state(run.ledger, set(states), PAYMENT)


def _thaw(run: Run) -> None:
    """What was bound and provably not processed is read again before it is sent again."""
    for envelope in envelopes.holding(run.ledger, State.BOUND, op=PAYMENT):
        with run.ledger.transaction():
            envelopes.retire(
                run.ledger, envelope.id, actor=ACTOR, reason="not processed: read again first"
            )


async def _in_turn(run: Run, intents: Sequence[rows.Intent]) -> None:
    """Rows about one document, one after the other."""
    for intent in intents:
        await _book(run, intent)


async def _book(run: Run, intent: rows.Intent) -> None:
    if not run.may_send(intent.entity):
        return
    if canonical_rut(intent.entity) not in run.companies:
        run.hold(intent.entity, "the key does not see this company, so nothing is sent for it.")
        return
    waits = in_the_way(run, intent)
    if waits:
        run.notice(f"Row {intent.row_key} is not sent yet: {waits}.")
        return
    seen = await see(run, intent)
    if seen is None or not _is_ready(run, intent):
        return
    wrong = _not_it(intent, seen.facts)
    if wrong:
        with run.ledger.transaction():
            rows.move(
                run.ledger,
                intent.id,
                State.BLOCKED,
                actor=ACTOR,
                reason=f"document {intent.document_id} is not what was approved: {wrong}",
                reason_code="unknown_document",
            )
    elif reads_as_wanted(intent, seen):
        _adopt(run, intent, "read so already: nothing was sent", flags="adopted")
    else:
        await _send(run, intent)


def _is_ready(run: Run, intent: rows.Intent) -> bool:
    return rows.get(run.ledger, intent.id).state is State.READY


def in_the_way(run: Run, intent: rows.Intent) -> str:
    """Why a row about a document has to wait for another one; '' when it has not."""
    document_id = str(intent.document_id)
    for other in rows.of_document(run.ledger, document_id, ISSUE):
        if other.state is not State.VERIFIED and not other.acknowledged_by:
            return f"its document, row {other.row_key}, is {other.state} and not VERIFIED"
    for other in rows.of_document(run.ledger, document_id, PAYMENT):
        if other.id != intent.id and other.state in UNSURE:
            return f"row {other.row_key} about the same document is {other.state}"
    return ""


def _not_it(intent: rows.Intent, found: Facts) -> str:
    """How the document read now differs from the one that was approved; '' when it does not."""
    pairs = {
        "type": (intent.dte_type, found.dte_type),
        "folio": (intent.folio, found.folio),
        "issuer": (canonical_rut(intent.entity), found.issuer),
    }
    wrong = [name for name, (asked, got) in pairs.items() if got is not None and asked != got]
    return ", ".join(wrong) or ("" if found.issued else "it is not issued")


async def _send(run: Run, intent: rows.Intent) -> None:
    payload = intent.payload or b""
    if hashlib.sha256(payload).hexdigest() != intent.payload_sha256:
        run.hold(intent.entity, f"row {intent.row_key} is not what was approved. Plan it again.")
        return
    failpoints.hit("bind.before")
    try:
        envelope = envelopes.bind(
            run.ledger,
            [intent],
            payment_of(payload).body,
            entity=intent.entity,
            environment=run.proof.environment,
            use_defaults=False,
        )
    except IllegalMove:
        return  # planned anew this very moment
    failpoints.hit("bind.after")
    await deliver(run, envelope)


async def _confirm(run: Run, intent: rows.Intent) -> None:
    """A payment that the API took: the document must read so."""
    seen = await see(run, intent)
    if seen is None:
        return
    if reads_as_wanted(intent, seen):
        _adopt(run, intent, "read back as asked")
    elif intent.state is State.ISSUED:
        with run.ledger.transaction():
            _quarantine(run, intent, "readback", "it was seen as asked, and reads otherwise now")
    elif intent.state is State.ACCEPTED and _since_last(run, intent) >= run.pace.overdue:
        with run.ledger.transaction():
            rows.move(
                run.ledger,
                intent.id,
                State.STUCK,
                actor=ACTOR,
                reason="the API took it, and the document still reads otherwise",
            )


async def _settle_doubt(run: Run, intent: rows.Intent) -> None:
    """Adopted when the document says so; after a while without that, a person's to decide."""
    seen = await see(run, intent)
    if seen is None:
        return
    if reads_as_wanted(intent, seen):
        _adopt(run, intent, "the answer was lost; found by reading")
    elif seen.at >= _last(run, intent) + timedelta(seconds=run.pace.settle):
        with run.ledger.transaction():
            _note_miss(run, intent)
            _quarantine(
                run,
                intent,
                "answer_lost",
                "the answer was lost and the document does not read so: it may not have been "
                "booked, and it is not sent again by itself",
            )


async def _look_after(run: Run, intent: rows.Intent) -> None:
    """Quarantined rows, once a run: is it there by now?"""
    if intent.id in run.looked:
        return
    run.looked.add(intent.id)
    seen = await see(run, intent)
    if seen is None:
        return
    if not reads_as_wanted(intent, seen):
        with run.ledger.transaction():
            _note_miss(run, intent)
        return
    reason = f"document {intent.document_id} reads as asked by now: adopt it"
    if intent.reason != reason:
        with run.ledger.transaction():
            rows.note(run.ledger, intent.id, actor=ACTOR, reason=reason, restate=True)
    run.notice(f"Row {intent.row_key}: {reason}.")


def _adopt(run: Run, intent: rows.Intent, reason: str, *, flags: str = "") -> None:
    """The document was read and says what the row wanted."""
    evidence = {"document": intent.document_id}
    with run.ledger.transaction():
        current = rows.get(run.ledger, intent.id)
        if current.state is not intent.state:
            return  # a plan or a person was faster
        if current.state is not State.ISSUED:
            rows.move(
                run.ledger,
                intent.id,
                State.ISSUED,
                actor=ACTOR,
                reason=reason,
                evidence=evidence,
                flags=flags,
            )
        rows.move(
            run.ledger, intent.id, State.VERIFIED, actor=ACTOR, reason=reason, evidence=evidence
        )


def _quarantine(run: Run, intent: rows.Intent, code: str, reason: str) -> None:
    quarantine(
        run.ledger,
        [intent],
        code,
        reason,
        actor=ACTOR,
        evidence={"document": intent.document_id},
    )


def _note_miss(run: Run, intent: rows.Intent) -> None:
    run.ledger.con.execute(
        "INSERT INTO lookups (intent_id, at, control_ok, hits, note) VALUES (?, ?, 1, 0, ?)",
        [intent.id, run.ledger.now(), "document"],
    )


def _last(run: Run, intent: rows.Intent) -> datetime:
    """When the last attempt ended."""
    tried = envelopes.attempts(run.ledger, intent.envelope_id or 0)
    return max(a.closed_at or a.opened_at for a in tried)


def _since_last(run: Run, intent: rows.Intent) -> timedelta:
    return run.ledger.clock() - _last(run, intent)
