"""Books payments, and registers acts at SII: reads the document, intends, sends once, reads
again.

The API has no Idempotency-Key here and books a repeated PAID again, so a call whose end is
not known is never repeated. The document is read: when it says what was wanted, that is
adopted; when it still does not after a while, a person decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from tupana_etl.outbox import legal_acts, reading, rows
from tupana_etl.outbox.deliver import freeze_and_deliver
from tupana_etl.outbox.legal_acts import Act
from tupana_etl.outbox.payment_drafts import act_of, entry_of
from tupana_etl.outbox.reading import Seen
from tupana_etl.outbox.reconcile import release_after
from tupana_etl.outbox.run import Run, together
from tupana_etl.outbox.states import PAYMENT, State


async def follow(run: Run) -> None:
    """One round for every payment: doubts first, then what may be sent, then what was taken."""
    reading.thaw(run, PAYMENT)
    await together(_settle_doubt(run, i) for i in _rows(run, State.UNKNOWN))
    ready: dict[str, list[rows.Intent]] = {}
    for intent in _rows(run, State.READY):
        ready.setdefault(str(intent.document_id), []).append(intent)
    await together(_in_turn(run, about_one) for about_one in ready.values())
    await together(_confirm(run, i) for i in _rows(run, State.ACCEPTED, State.STUCK, State.ISSUED))
    await together(_look_after(run, i) for i in _rows(run, State.QUARANTINED))


def reads_as_wanted(intent: rows.Intent, seen: Seen) -> bool:
    """Whether the document says what the row asked for."""
    asked = entry_of(intent.payload)
    if isinstance(asked, Act):
        return asked.event_code in seen.events
    return seen.is_paid is asked.is_paid


async def see(run: Run, intent: rows.Intent) -> Seen | None:
    """The document of a row, as far as the row's question goes."""
    is_act = isinstance(entry_of(intent.payload), Act)
    return await (reading.see_register if is_act else reading.see)(run, intent)


def _rows(run: Run, *states: State) -> list[rows.Intent]:
    return rows.in_state(run.ledger, set(states), PAYMENT)


async def _in_turn(run: Run, intents: Sequence[rows.Intent]) -> None:
    """Rows about one document, one after the other, each read back before the next."""
    for intent in intents:
        await _book(run, intent)
        taken = rows.get(run.ledger, intent.id)
        if len(intents) > 1 and taken.state is State.ACCEPTED:
            await _confirm(run, taken)


async def _book(run: Run, intent: rows.Intent) -> None:
    if not reading.may_send(run, intent):
        return
    seen = await see(run, intent)
    if seen is None or not reading.is_ready(run, intent):
        return
    asked = entry_of(intent.payload)
    whose = asked.issuer_rut if isinstance(asked, Act) else ""
    wrong = reading.not_it(intent, seen.facts, received_from=whose)
    if wrong:
        reason = f"document {intent.document_id} is not what was approved: {wrong}"
        reading.block(run, intent, "unknown_document", reason)
    elif reads_as_wanted(intent, seen):
        reading.adopt(run, intent, "read so already: nothing was sent", flags="adopted")
    elif isinstance(asked, Act) and not _may_register(run, intent, asked, seen):
        return
    elif reading.bytes_are_approved(run, intent):
        await freeze_and_deliver(run, [intent], asked.body)


def _may_register(run: Run, intent: rows.Intent, act: Act, seen: Seen) -> bool:
    """Whether an act may be sent at this moment; blocks the row when it may not."""
    against = legal_acts.said_against(act.event_code, seen.events)
    over = legal_acts.out_of_time(act.event_code, act.deadline, run.ledger.clock())
    if over:
        reading.block(run, intent, "claim_window", over.rstrip("."))
    elif against:
        reading.block(run, intent, "not_claimable", against.rstrip("."))
    elif not legal_acts.is_approved_by_a_person(run.ledger, intent):
        run.hold(intent.entity, f"row {intent.row_key} was approved by nobody. Plan it again.")
    else:
        return True
    return False


async def _confirm(run: Run, intent: rows.Intent) -> None:
    """A payment that the API took: the document must read so."""
    seen = await see(run, intent)
    if seen is None:
        return
    if reads_as_wanted(intent, seen):
        reading.adopt(run, intent, "read back as asked")
    elif intent.state is State.ISSUED:
        reading.to_a_person(run, intent, "readback", "it was seen as asked, and is not any more")
    else:
        reading.stuck_when_overdue(
            run, intent, "the API took it, and the document still reads otherwise"
        )


async def _settle_doubt(run: Run, intent: rows.Intent) -> None:
    """Adopted when the document says so; after a while without that, a person's to decide."""
    seen = await see(run, intent)
    if seen is None:
        return
    refused = reading.was_refused(run, intent)
    if reads_as_wanted(intent, seen):
        how = "it was refused, and is there" if refused else "the answer was lost"
        reading.adopt(run, intent, f"{how}; found by reading")
    elif reading.is_settled(run, intent, seen.at):
        if refused:
            reading.reject(run, intent)
            return
        reading.note_miss(run, intent)
        reading.to_a_person(
            run,
            intent,
            "answer_lost",
            "the answer was lost and the document does not read so: it may not have been "
            f"booked, and it is not sent again by itself{_until(run, intent)}",
        )


def _until(run: Run, intent: rows.Intent) -> str:
    """Until when a lost act may be sent once more, and from when."""
    act = act_of(intent.op, intent.payload)
    if act is None or act.deadline is None:
        return ""
    earliest = reading.last_attempt(run, intent) + release_after(run.ledger, run.pace, intent)
    return (
        f". SII takes it until {legal_acts.told(act.deadline)}; a person may release it from "
        f"{legal_acts.told(earliest)} on, when {run.pace.misses} readings found nothing"
    )


async def _look_after(run: Run, intent: rows.Intent) -> None:
    """Quarantined rows, once a run: is it there by now?"""
    if intent.id in run.looked:
        return
    run.looked.add(intent.id)
    seen = await see(run, intent)
    if seen is None:
        return
    if reads_as_wanted(intent, seen):
        reading.tell_found(
            run, intent, f"document {intent.document_id} reads as asked by now: adopt it"
        )
    else:
        reading.note_miss(run, intent)
