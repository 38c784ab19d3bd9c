"""Cedes invoices: reads the list of cessions, intends, sends once, reads again.

A cession is a sale of a credit, registered at SII, and the call has no Idempotency-Key. So
it is never repeated: a lost answer is looked for in the list of cessions, those made
elsewhere included, and what is not found there waits for a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tupana_etl.domain import canonical_rut
from tupana_etl.errors import ApiError, Fatal, NotFound
from tupana_etl.outbox import cession_answers, envelopes, listings, reading, rows
from tupana_etl.outbox.cession_answers import LIVE, Listed
from tupana_etl.outbox.cession_drafts import Assignee, ceding_of
from tupana_etl.outbox.deliver import freeze_and_deliver
from tupana_etl.outbox.drafts import canonical
from tupana_etl.outbox.envelopes import Envelope
from tupana_etl.outbox.run import Run, by_company, together
from tupana_etl.outbox.states import CESSION, State

TOGETHER = 20
"""Invoices of one call: the API names no limit, and one lost answer puts all of them in doubt."""


@dataclass(frozen=True)
class Register:
    """The cessions of a company's own invoices, as the list showed them whole."""

    at: datetime
    """Our clock, before it was read."""
    entity: str
    cessions: list[Listed]

    def of(self, intent: rows.Intent) -> Listed | None:
        """The cession that stands of a row's invoice; None when there is none. What was ceded
        back to the issuer is its own again."""
        found = [
            each
            for each in self.cessions
            if each.document_id == intent.document_id and each.status in LIVE
        ]
        last = max(found, key=lambda each: each.at, default=None)
        return None if last is None or last.assignee_rut == canonical_rut(self.entity) else last


async def follow(run: Run) -> None:
    """One round for every cession: doubts, then what may be sent, then what was taken."""
    reading.thaw(run, CESSION)
    for entity, intents in by_company(_rows(run, State.UNKNOWN)).items():
        await _settle_doubts(run, entity, intents)
    for entity, intents in by_company(_rows(run, State.READY)).items():
        await _cede(run, entity, intents)
    await _read_batches(run)
    taken = _rows(run, State.ACCEPTED, State.STUCK, State.ISSUED)
    for entity, intents in by_company(taken).items():
        await _confirm(run, entity, intents)
    waiting = [i for i in _rows(run, State.QUARANTINED) if i.id not in run.looked]
    for entity, intents in by_company(waiting).items():
        await _look_after(run, entity, intents)


async def register(run: Run, entity: str) -> Register | None:
    """The list of a company's cessions, read whole; None, and the run says why, when not."""
    at = run.ledger.clock()
    found = await listings.whole(
        run, entity, "/cessions", _listed, what="cessions", params={"document_type": "issued"}
    )
    return None if found is None else Register(at, entity, list(found.values()))


def _listed(page: bytes) -> dict[str, Listed] | None:
    listed = cession_answers.listed(page)
    return None if listed is None else {each.id: each for each in listed}


def is_wanted(intent: rows.Intent, listed: Listed) -> bool:
    """Whether a cession is the one that a row asked for."""
    ceding = ceding_of(intent.payload)
    same = listed.assignee_rut == canonical_rut(ceding.assignee.rut) and not listed.is_external
    return same and listed.amount in (None, ceding.amount)


def differs(listed: Listed) -> str:
    """Says to whom an invoice is ceded, when it is not as asked."""
    where = " outside Tu Pana" if listed.is_external else ""
    amount = "" if listed.amount is None else f" for {listed.amount:f} pesos"
    return f"the invoice is ceded{where} to {listed.assignee_rut or 'somebody'}{amount}"


def _rows(run: Run, *states: State) -> list[rows.Intent]:
    return rows.in_state(run.ledger, set(states), CESSION)


async def _cede(run: Run, entity: str, intents: Sequence[rows.Intent]) -> None:
    """Every READY row of a company, in calls of their assignees; a refused call one by one."""
    most = TOGETHER
    while True:
        fit = await _fit(run, entity, [rows.get(run.ledger, i.id) for i in intents])
        if not fit:
            return
        for group in _packed(fit, most):
            await _send(run, entity, group)
        again = {i.id for i in _rows(run, State.READY)} & {i.id for i in fit}
        if not again or most == 1:
            return
        most = 1


async def _fit(run: Run, entity: str, intents: Sequence[rows.Intent]) -> list[rows.Intent]:
    """The rows that may be sent, by the list of cessions and their documents as of now."""
    turn = [i for i in intents if i.state is State.READY and reading.may_send(run, i)]
    known = await register(run, entity) if turn else None
    if known is None:
        return []
    checked = await together(_fits(run, i, known) for i in turn)
    return [i for i, fits in zip(turn, checked, strict=True) if fits]


async def _fits(run: Run, intent: rows.Intent, known: Register) -> bool:
    seen = await reading.see(run, intent)
    if seen is None or not reading.is_ready(run, intent):
        return False
    listed = known.of(intent)
    if listed is not None and is_wanted(intent, listed):
        _adopt(run, intent, listed, "ceded so already: nothing was sent", flags="adopted")
        return False
    ceding = ceding_of(intent.payload)
    wrong = reading.not_it(intent, seen.facts)
    if not wrong and seen.facts.total not in (None, ceding.amount):
        wrong = f"its total is {seen.facts.total:f}"
    against = {
        "unknown_document": wrong and f"it is not the invoice that was approved: {wrong}",
        "already_ceded": differs(listed) if listed is not None else "",
        "paid": "the invoice is paid" if seen.is_paid else "",
    }
    for code, reason in against.items():
        if reason:
            reading.block(run, intent, code, reason)
            return False
    return reading.bytes_are_approved(run, intent)


def _packed(intents: Sequence[rows.Intent], most: int) -> Iterator[list[rows.Intent]]:
    """Rows by assignee, at most ``most`` together."""
    groups: dict[Assignee, list[rows.Intent]] = {}
    for intent in intents:
        groups.setdefault(ceding_of(intent.payload).assignee, []).append(intent)
    for group in groups.values():
        for start in range(0, len(group), most):
            yield group[start : start + most]


async def _send(run: Run, entity: str, intents: Sequence[rows.Intent]) -> None:
    if not run.may_send(entity):
        return
    body = body_of(run.companies[canonical_rut(entity) or entity], intents)
    await freeze_and_deliver(run, intents, body)


def body_of(company: str, intents: Sequence[rows.Intent]) -> bytes:
    """The call for rows of one assignee (API reference, POST /cessions/batch)."""
    assignee = ceding_of(intents[0].payload).assignee
    rut, dv = assignee.rut.split("-")
    body = {
        "master_entity_id": _identifier(company),
        "document_ids": [_identifier(str(i.document_id)) for i in intents],
        "assignee_rut": rut.lstrip("0"),
        "assignee_dv": dv,
        "assignee_business_name": assignee.name,
        "assignee_address": assignee.address,
        "assignee_email": assignee.email,
    }
    if assignee.assignor_email:
        body["assignor_email"] = assignee.assignor_email
    return canonical(body)


def _identifier(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


async def _read_batches(run: Run) -> None:
    """What became of each invoice, where the API tells it by batch (since 2026-08)."""
    for envelope in envelopes.holding(run.ledger, State.ACCEPTED, State.STUCK, op=CESSION):
        if envelope.batch_id:
            await _read_batch(run, envelope)


async def _read_batch(run: Run, envelope: Envelope) -> None:
    try:
        reply = await run.client.get(f"/cessions/batch/{envelope.batch_id}")
    except NotFound:
        return  # the list still tells of what SII took
    except Fatal:
        raise
    except ApiError as error:
        run.notice(f"Cession batch {envelope.batch_id} could not be read: {error}")
        return
    told = cession_answers.statuses(reply.body)
    with run.ledger.transaction():
        for intent in envelopes.members(run.ledger, envelope.id):
            status, words = told.get(str(intent.document_id), ("", ""))
            if status == "failed" and intent.state in (State.ACCEPTED, State.STUCK):
                rows.move(
                    run.ledger,
                    intent.id,
                    State.REJECTED,
                    actor=CESSION,
                    reason=words,
                    evidence={"batch": envelope.batch_id},
                    reason_code="refused",
                )


async def _confirm(run: Run, entity: str, intents: Sequence[rows.Intent]) -> None:
    """What the API took must be in the list, to whom and for how much it was asked."""
    current = [rows.get(run.ledger, i.id) for i in intents]
    known = await register(run, entity)
    if known is None:
        return
    for intent in current:
        if intent.state not in (State.ACCEPTED, State.STUCK, State.ISSUED):
            continue
        listed = known.of(intent)
        if listed is not None and listed.status == "success" and is_wanted(intent, listed):
            _adopt(run, intent, listed, "read back as asked")
        elif listed is not None and not is_wanted(intent, listed):
            reading.to_a_person(run, intent, "readback", differs(listed))
        else:
            reading.stuck_when_overdue(run, intent, "the API took it, and it is not in the list")


async def _settle_doubts(run: Run, entity: str, intents: Sequence[rows.Intent]) -> None:
    """Adopted when the list shows it; after a while without that, a person's to decide."""
    known = await register(run, entity)
    if known is None:
        return
    for intent in intents:
        listed = known.of(intent)
        if listed is not None and is_wanted(intent, listed):
            if listed.status == "success":
                _adopt(run, intent, listed, "the answer was lost; found in the list")
        elif listed is not None:
            reading.to_a_person(run, intent, "readback", differs(listed))
        elif reading.is_settled(run, intent, known.at):
            reading.note_miss(run, intent)
            reading.to_a_person(
                run,
                intent,
                "answer_lost",
                "the answer was lost and the cession is not in the list: it may not have been "
                "made, and it is not sent again by itself",
            )


async def _look_after(run: Run, entity: str, intents: Sequence[rows.Intent]) -> None:
    """Quarantined rows, once a run: is it there by now?"""
    run.looked |= {intent.id for intent in intents}
    known = await register(run, entity)
    if known is None:
        return
    for intent in intents:
        listed = known.of(intent)
        if listed is None:
            reading.note_miss(run, intent)
        elif is_wanted(intent, listed):
            reading.tell_found(run, intent, f"it is ceded by now, as cession {listed.id}: adopt it")


def _adopt(run: Run, intent: rows.Intent, listed: Listed, reason: str, *, flags: str = "") -> None:
    evidence = {"cession": listed.id}
    reading.adopt(run, intent, reason, flags=flags, evidence=evidence, amount=listed.amount)
