"""Makes schedules: reads the list, intends, sends once, reads again.

A schedule made twice invoices twice, for years, and the call has no Idempotency-Key. So the
company's list is looked through for the same content before a call and after it: what is
there is adopted, and what was lost and is not there waits for a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from tupana_etl.domain import canonical_rut
from tupana_etl.errors import ApiError, Fatal
from tupana_etl.outbox import listings, reading, rows
from tupana_etl.outbox.deliver import freeze_and_deliver
from tupana_etl.outbox.run import Run, by_company
from tupana_etl.outbox.schedule_drafts import body_of, schedule_of
from tupana_etl.outbox.states import DEAD, SCHEDULE, State

PATH = "/scheduled-documents"

_ROWS = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
_ROW = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True)
class Shelf:
    """The schedules of a company, as its list showed them whole."""

    at: datetime
    """Our clock, before it was read."""
    schedules: Mapping[str, dict[str, Any]]
    """By id."""

    def like(self, intent: rows.Intent, taken: Sequence[str]) -> list[str]:
        """Ids of those that are what a row asks for, and no other row's."""
        return [
            number
            for number, listed in self.schedules.items()
            if number not in taken and listed.get("status") != "completed" and _same(intent, listed)
        ]


async def follow(run: Run) -> None:
    """One round for every schedule: doubts, then what may be sent, then what was taken."""
    reading.thaw(run, SCHEDULE)
    waiting = {State.UNKNOWN, State.READY, State.ACCEPTED, State.STUCK, State.ISSUED}
    every = rows.in_state(run.ledger, {*waiting, State.QUARANTINED}, SCHEDULE)
    open_rows = [i for i in every if i.state is not State.QUARANTINED or i.id not in run.looked]
    for entity, intents in by_company(open_rows).items():
        sendable = run.may_send(entity)
        if all(i.state is State.READY for i in intents) and not sendable:
            continue
        shelf = await read_shelf(run, entity)
        if shelf is None:
            continue
        for intent in intents:
            if intent.state is State.READY:
                await _make(run, intent, shelf)
            else:
                _settle(run, intent, shelf)


async def read_shelf(run: Run, entity: str) -> Shelf | None:
    """The list of a company's schedules, read whole; None, and the run says why, when not."""
    at = run.ledger.clock()
    found = await listings.whole(run, entity, PATH, _listed, what="schedules")
    if found is None:
        return None
    company = {"master_entity_id": run.companies[canonical_rut(entity) or entity]}
    try:
        for number in [n for n, row in found.items() if "details" not in row]:
            reply = await run.client.get(f"{PATH}/{number}", company, company=entity)
            found[number] = _ROW.decode(reply.body)
    except Fatal:
        raise
    except (ApiError, msgspec.MsgspecError, ValueError) as error:
        why = str(error) if isinstance(error, ApiError) else "a schedule is something else"
        listings.unread(run, entity, "schedules", why)
        return None
    return Shelf(at, found)


def _listed(page: bytes) -> dict[str, dict[str, Any]] | None:
    try:
        return {str(row["id"]): row for row in _ROWS.decode(page)}
    except (msgspec.MsgspecError, KeyError, ValueError, RecursionError):
        return None


def found_for(run: Run, intent: rows.Intent, shelf: Shelf) -> list[str]:
    """Ids of the schedules that a row may have made."""
    others = rows.newest(run.ledger, SCHEDULE).values()
    taken = [
        str(other.document_id)
        for other in others
        if other.id != intent.id and other.document_id and other.state not in DEAD
    ]
    return shelf.like(intent, taken)


async def _make(run: Run, intent: rows.Intent, shelf: Shelf) -> None:
    if not run.may_send(intent.entity) or not reading.is_ready(run, intent):
        return
    there = found_for(run, intent, shelf)
    if there:
        reason = f"schedule {there[0]} is this one already: nothing was sent"
        reading.adopt(run, intent, reason, flags="adopted", **_as(there[0]))
    elif reading.bytes_are_approved(run, intent):
        company = run.companies[canonical_rut(intent.entity) or intent.entity]
        await freeze_and_deliver(run, [intent], body_of(intent.payload, company))


def _settle(run: Run, intent: rows.Intent, shelf: Shelf) -> None:
    """What the list says of a row that was sent."""
    there = found_for(run, intent, shelf)
    if intent.state is State.QUARANTINED:
        run.looked.add(intent.id)
        if len(there) == 1:
            reading.tell_found(run, intent, f"schedule {there[0]} is there by now: adopt it")
        elif not there:
            reading.note_miss(run, intent)
    elif len(there) > 1:
        several = f"schedules {', '.join(there)} are all what the row asks for"
        reading.to_a_person(run, intent, "readback", several)
    elif there:
        lost = intent.state is State.UNKNOWN
        reason = "the answer was lost; found in the list" if lost else "read back as asked"
        reading.adopt(run, intent, reason, **_as(there[0]))
    elif intent.state is State.UNKNOWN:
        if reading.is_settled(run, intent, shelf.at):
            reading.note_miss(run, intent)
            reading.to_a_person(
                run,
                intent,
                "answer_lost",
                "the answer was lost and no such schedule is in the list: it may not have been "
                "made, and it is not sent again by itself",
            )
    else:
        reading.stuck_when_overdue(run, intent, "the API took it, and the list does not show it")


def _as(number: str) -> dict[str, Any]:
    return {"evidence": {"schedule": number}, "document_id": number}


def _same(intent: rows.Intent, listed: Mapping[str, Any]) -> bool:
    """Whether a schedule is what a row asks for. What the list does not say is no difference."""
    asked = schedule_of(intent.payload)
    receiver = listed.get("receiver") or {}
    pairs = [
        (asked["dte_type"], _text(_inner(listed, "dte_type").get("code"))),
        (canonical_rut(asked["receiver_tax_id"]), canonical_rut(receiver.get("rut") or "")),
        *((_text(asked.get(name)), _text(listed.get(name))) for name in _PLAIN),
    ]
    if any(wanted != got for wanted, got in pairs if wanted is not None and got is not None):
        return False
    details = listed.get("details")
    return isinstance(details, list) and _lines(asked["details"]) == _lines(details)


_PLAIN = (
    *("frequency", "day_of_month", "day_of_week", "start_date", "end_type", "end_date"),
    *("max_occurrences", "currency"),
)


def _lines(details: Sequence[Mapping[str, Any]]) -> Counter[tuple[Any, ...]]:
    return Counter(
        (_text(line.get("item_name")), _number(line, "quantity"), _number(line, "unit_price"))
        for line in details
    )


def _inner(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _number(line: Mapping[str, Any], name: str) -> Decimal | None:
    value = line.get(name)
    return None if value is None or isinstance(value, bool) else Decimal(str(value)).normalize()
