"""What became of accepted rows: by the batch where the API shows it, by the row key elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tupana_etl.api.outcomes import Item, batch_of
from tupana_etl.errors import ApiError, Fatal, NotFound
from tupana_etl.outbox import envelopes, facts, failpoints, rows, window
from tupana_etl.outbox.envelopes import Envelope
from tupana_etl.outbox.look import Sight, look_up
from tupana_etl.outbox.reconcile import adopt
from tupana_etl.outbox.run import Run, by_company, together
from tupana_etl.outbox.settle import REFUSED_ITEMS, quarantine
from tupana_etl.outbox.states import State

ACTOR = "poller"

WAITING = frozenset({State.ACCEPTED, State.STUCK})


@dataclass(frozen=True)
class _Read:
    """A batch as it was read."""

    envelope: Envelope
    items: tuple[Item, ...] | None
    """None when the API does not show the batch."""
    problem: str = ""
    """Why it cannot be this envelope's batch."""


@dataclass(frozen=True)
class _Unsure:
    """A row to be looked up before anything is believed of it."""

    intent: rows.Intent
    refused: Item | None = None
    """What its batch said, when that was no."""


async def poll(run: Run) -> None:
    """Asks for the results of every accepted row, once."""
    waiting = [e for e in envelopes.holding(run.ledger, *WAITING) if e.batch_id]
    if not waiting:
        return
    failpoints.hit("poll.before")
    read = await _read_batches(run, waiting)
    failpoints.hit("poll.after")
    unsure: list[_Unsure] = []
    for each in read:
        if each is not None and each.items is None:
            unsure += [_Unsure(i) for i in _waiting(run, each.envelope)]
        elif each is not None:
            unsure += apply(run, each.envelope, each.items or (), each.problem)
    await look_into(run, unsure)
    failpoints.hit("issued.after")
    _overdue(run)


async def look_into(run: Run, unsure: Sequence[_Unsure]) -> None:
    """Looks up rows by their key: those that are there are ISSUED, whatever was said of them."""
    said = {each.intent.id: each for each in unsure}
    for entity, intents in by_company(each.intent for each in unsure).items():
        sight = await look_up(run, entity, intents)
        with run.ledger.transaction():
            waiting = _current(run, intents)
            found = adopt(run, waiting, sight)
            for intent in waiting:
                refused = said[intent.id].refused
                if refused and intent.id not in found and _surely(run, intent, sight):
                    _reject(run, intent, refused)


def _surely(run: Run, intent: rows.Intent, sight: Sight) -> bool:
    """Whether a look-up that did not find a row may be believed."""
    envelope = envelopes.get(run.ledger, intent.envelope_id or 0)
    settled = sight.began >= window.next_move(run.ledger, envelope, run.pace.settle)
    return sight.complete and settled and not sight.issued(intent)


def apply(run: Run, envelope: Envelope, items: Sequence[Item], problem: str = "") -> list[_Unsure]:
    """Moves the rows of an envelope by what its batch says, in one transaction.

    Returns rows that must be looked up by their key before anything is believed: issued
    without a document's id, or refused after an attempt of unknown outcome.
    """
    unsure: list[_Unsure] = []
    members = envelopes.members(run.ledger, envelope.id)
    told = {item.index: item for item in items}
    fits = len(told) == len(items) and all(0 <= index < len(members) for index in told)
    if not fits:
        problem = problem or "the batch speaks of documents that were not in it"
    with run.ledger.transaction():
        if problem:
            waiting = [i for i in members if i.state in WAITING]
            quarantine(run.ledger, waiting, "foreign_batch", problem, actor=ACTOR)
            run.hold(envelope.entity, f"{problem}. A person must resolve its rows.")
            return []
        for index, intent in enumerate(members):
            item = told.get(index)
            if intent.state in WAITING and item is not None and not _final(run, intent, item):
                unsure.append(_Unsure(intent, item if item.status in REFUSED_ITEMS else None))
    return unsure


def _final(run: Run, intent: rows.Intent, item: Item) -> bool:
    """Records a final result. False when the row key must be looked up first."""
    if item.status in REFUSED_ITEMS:
        if intent.ever_ambiguous:
            return False
        _reject(run, intent, item)
        return True
    if item.status != "success":
        return True  # not final; created, processing, temporary_error, or a word nobody knows
    found = facts.of(item.document or {})
    if found is None or not found.issued:
        return False
    rows.move(
        run.ledger,
        intent.id,
        State.ISSUED,
        actor=ACTOR,
        reason="issued",
        evidence=_evidence(intent, item) | {"document": found.id},
        document_id=found.id,
        folio=found.folio,
    )
    return True


def _reject(run: Run, intent: rows.Intent, item: Item) -> None:
    rows.move(
        run.ledger,
        intent.id,
        State.REJECTED,
        actor=ACTOR,
        reason=item.errors or "refused without a word",
        evidence=_evidence(intent, item),
        reason_code=item.status,
    )


def _evidence(intent: rows.Intent, item: Item) -> dict[str, Any]:
    return {"envelope": intent.envelope_id, "status": item.status}


async def _read_batches(run: Run, waiting: Sequence[Envelope]) -> list[_Read | None]:
    if run.has_batches is None:  # one asks whether there is such a thing at all
        first = await _read(run, waiting[0])
        rest = await together(_read(run, envelope) for envelope in waiting[1:])
        return [first, *rest]
    return await together(_read(run, envelope) for envelope in waiting)


async def _read(run: Run, envelope: Envelope) -> _Read | None:
    """The batch of an envelope; None when it could not be read this time."""
    if run.has_batches is False:
        return _Read(envelope, None)
    try:
        reply = await run.client.get(f"/documents/batch/{envelope.batch_id}")
    except NotFound:
        # Either the API shows no batches, or not this one: the row key finds the documents.
        run.has_batches = run.has_batches or False
        return _Read(envelope, None)
    except Fatal:
        raise
    except ApiError as error:
        run.notice(f"Results could not be read: {error}")
        return None
    batch = batch_of(reply.body)
    if batch is None or batch.name is None:
        return None
    run.has_batches = True
    problem = ""
    if batch.name != envelope.batch_id:
        problem = f"asked for batch {envelope.batch_id}, answered with {batch.name}"
    elif batch.idempotency_key and batch.idempotency_key != envelope.idem_key:
        problem = f"batch {batch.name} was made with another key than this envelope's"
    items = batch.items()
    return None if items is None and not problem else _Read(envelope, items or (), problem)


def _waiting(run: Run, envelope: Envelope) -> list[rows.Intent]:
    return [i for i in envelopes.members(run.ledger, envelope.id) if i.state in WAITING]


def _current(run: Run, intents: Sequence[rows.Intent]) -> list[rows.Intent]:
    now = [rows.get(run.ledger, intent.id) for intent in intents]
    return [intent for intent in now if intent.state in WAITING]


def _overdue(run: Run) -> None:
    """ACCEPTED rows whose result does not come: STUCK, and never sent again."""
    now = run.ledger.clock()
    late = [
        intent
        for envelope in envelopes.holding(run.ledger, State.ACCEPTED)
        if now - _accepted_at(run, envelope) >= run.pace.overdue
        for intent in envelopes.members(run.ledger, envelope.id)
        if intent.state is State.ACCEPTED
    ]
    if not late:
        return
    with run.ledger.transaction():
        for intent in late:
            rows.move(
                run.ledger,
                intent.id,
                State.STUCK,
                actor=ACTOR,
                reason="no final result in time",
                evidence={"minutes": run.pace.overdue.total_seconds() / 60},
            )
    run.notice(f"{len(late)} accepted rows have no result: STUCK, never sent again.")


def _accepted_at(run: Run, envelope: Envelope) -> Any:
    tried = envelopes.attempts(run.ledger, envelope.id)
    return max(a.closed_at or a.opened_at for a in tried if a.batch_id == envelope.batch_id)
