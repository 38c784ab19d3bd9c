"""Sends one envelope: attempt on disk, one POST, its answer on disk. Again only if unsent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tupana_etl.api.outcomes import Kind, Outcome
from tupana_etl.api.retry import wait_before
from tupana_etl.outbox import bind, envelopes, failpoints, rows
from tupana_etl.outbox.envelopes import Envelope
from tupana_etl.outbox.run import Run
from tupana_etl.outbox.settle import Settled, settle, unknown_after_crash
from tupana_etl.outbox.states import CESSION, ISSUE, PAYMENT, SCHEDULE, IllegalMove, State

PATH = "/documents/batch"

SAME_REFUSALS = 8
"""Whole envelopes of a company refused in a row with the same words, none taken in
between: then it is the company that is refused and not its rows."""

CLAIM = timedelta(seconds=90)
"""How old an attempt may be when its first byte leaves: a process may be stopped between
the two, and wake up when the look-up and the key behind it are worth nothing any more."""

_UNSENT = (Kind.NOT_SENT, Kind.NOT_PROCESSED)


async def freeze_and_deliver(run: Run, intents: Sequence[rows.Intent], body: bytes) -> None:
    """Sends READY rows of one company whose call has no key: its body is frozen, and sent once."""
    failpoints.hit("bind.before")
    try:
        envelope = envelopes.bind(
            run.ledger,
            intents,
            body,
            entity=intents[0].entity,
            environment=run.proof.environment,
            use_defaults=False,
        )
    except IllegalMove:
        return  # planned anew this very moment; the next round sees what is READY
    failpoints.hit("bind.after")
    await deliver(run, envelope)


async def deliver(run: Run, envelope: Envelope, *, looked_up_at: datetime | None = None) -> None:
    """Sends an envelope until something is known of it, or the run's patience ends.

    Repeats only what provably was not processed. Rows refused whole are bound anew and
    sent at once, smaller. ``looked_up_at`` is for a replay: when the look-up began that
    found none of the rows.
    """
    tries = 0
    while run.may_send(envelope.entity):
        tries += 1
        entered = await run.limiter.enter()
        try:
            if not run.may_send(envelope.entity):
                return
            try:
                outcome, settled = await _attempt(run, envelope, looked_up_at)
            except IllegalMove as refused:
                run.hold(envelope.entity, f"{refused} Nothing of it was sent.")
                return
            seconds = wait_before(tries, outcome.retry_after)
            again = outcome.kind in _UNSENT and _may_repeat(run, outcome, tries, seconds)
            if outcome.kind is Kind.NOT_PROCESSED:
                run.limiter.slow_down(entered)
                if again:  # before the slot is free: a Retry-After is meant for all
                    await run.limiter.hold(seconds)
            elif outcome.kind is Kind.ACCEPTED:
                run.limiter.speed_up()
        finally:
            run.limiter.leave()
        _learn(run, envelope, outcome, settled)
        run.tell(rows.counts(run.ledger))
        await _rebind(run, settled)
        if not again:
            return
        if outcome.kind is Kind.NOT_SENT:
            await run.sleep(seconds)


async def _attempt(
    run: Run, envelope: Envelope, looked_up_at: datetime | None
) -> tuple[Outcome, Settled]:
    failpoints.hit("attempt.before")
    attempt = envelopes.open_attempt(run.ledger, envelope, looked_up_at=looked_up_at, key=run.key)
    failpoints.hit("attempt.after")
    run.sent += 1
    try:
        outcome = await run.writer.post(
            body=envelope.body,
            company=envelope.entity,
            **_address(run, envelope),
            still=lambda: run.ledger.clock() - attempt.opened_at < CLAIM,
        )
    except BaseException:  # cancelled, or a bug of ours: bytes may have left
        unknown_after_crash(run.ledger, attempt)
        raise
    current = envelopes.get(run.ledger, envelope.id)
    return outcome, settle(run.ledger, current, attempt, outcome)


def _address(run: Run, envelope: Envelope) -> dict[str, Any]:
    """Where an envelope goes, and what goes with it."""
    if envelope.op == PAYMENT:
        (row,) = envelopes.members(run.ledger, envelope.id)
        return {"path": f"/documents/{row.document_id}/states", "expects_batch": False}
    if envelope.op == CESSION:
        return {"path": "/cessions/batch", "expects_batch": False}
    if envelope.op == SCHEDULE:
        return {"path": "/scheduled-documents", "expects_batch": False}
    return {
        "path": PATH,
        "idempotency_key": envelope.idem_key,
        "headers": {"X-Use-Defaults": "true"} if envelope.use_defaults else None,
    }


def _may_repeat(run: Run, outcome: Outcome, tries: int, seconds: float) -> bool:
    """Whether there is time and budget left; says so when there is not."""
    if run.time_left >= seconds and run.budget.spend():
        return True
    run.stop(
        f"{outcome.reason.rstrip('.')}: given up after {tries} tries, nothing was sent of "
        "these rows. They wait for the next `tupana outbox send`."
    )
    return False


def _learn(run: Run, envelope: Envelope, outcome: Outcome, settled: Settled) -> None:
    """What one answer says of the run and of the company."""
    if settled.incident:
        run.hold(envelope.entity, f"{settled.incident}. A person must resolve its rows.")
    if outcome.kind is Kind.ACCEPTED:
        run.budget.earn()
        run.extend()
        run.refusals.pop(envelope.entity, None)
    elif outcome.kind is Kind.HALT:
        if outcome.company_only:
            run.hold(envelope.entity, outcome.reason)
        else:
            run.stop(outcome.reason)
    elif outcome.kind is Kind.REFUSED and envelope.op == ISSUE:
        _count_refusal(run, envelope, outcome)


def _count_refusal(run: Run, envelope: Envelope, outcome: Outcome) -> None:
    if outcome.status == 413:
        size = len(envelopes.members(run.ledger, envelope.id))
        run.most_documents = max(1, min(run.most_documents, (size + 1) // 2))
        return
    if outcome.refused:
        return
    before, times = run.refusals.get(envelope.entity, ("", 0))
    times = times + 1 if before == outcome.reason else 1
    run.refusals[envelope.entity] = (outcome.reason, times)
    if times >= SAME_REFUSALS:
        run.hold(
            envelope.entity,
            f"every batch is refused with the same words ({outcome.reason.rstrip('.')}), so the "
            "cause is not in one row. Mend it and send again; the rows are READY.",
        )


async def _rebind(run: Run, settled: Settled) -> None:
    """The rows of a refused envelope, in new ones with keys of their own."""
    if not settled.groups:
        return
    failpoints.hit("rebind.before")
    again: list[Envelope] = []
    for group in settled.groups:
        intents = [rows.get(run.ledger, row_id) for row_id in group]
        if intents and run.may_send(intents[0].entity):
            again += bind.bind(run, [i for i in intents if i.state is State.READY])
    failpoints.hit("rebind.after")
    run.queue.extend(again)
