"""Sends what was approved and follows it to its end. May be killed, repeated, run twice.

Every run does the same, from whatever the ledger says: attempts that a crash left open
become doubts, doubts are looked up, approved rows are bound and sent, results are asked
for, documents are read back. It ends when nothing is open or when its patience does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tupana_etl import home as homes
from tupana_etl.api.client import Client
from tupana_etl.api.limiter import Limiter
from tupana_etl.api.reads import companies
from tupana_etl.api.retry import Budget
from tupana_etl.api.writes import Transport, Writer
from tupana_etl.domain import utcnow
from tupana_etl.errors import ApiError, AuthError, OriginError
from tupana_etl.outbox import (
    cessions,
    envelopes,
    failpoints,
    payments,
    proof,
    rows,
    schedules,
    window,
)
from tupana_etl.outbox.approve import admit_in_sandbox
from tupana_etl.outbox.bind import bind, bind_ready
from tupana_etl.outbox.deliver import deliver
from tupana_etl.outbox.ledger import Clock, Ledger, open_ledger, sending
from tupana_etl.outbox.proof import Proof
from tupana_etl.outbox.reconcile import reconcile, seek_ready
from tupana_etl.outbox.results import poll
from tupana_etl.outbox.run import Pace, Run, Sleep, Tell, incidents, is_incident, together
from tupana_etl.outbox.settle import unknown_after_crash
from tupana_etl.outbox.states import CESSION, ISSUE, PAYMENT, SCHEDULE, State
from tupana_etl.outbox.status import deadlines
from tupana_etl.outbox.verify import verify
from tupana_etl.settings import Settings

AT_ONCE = 4
"""POSTs in flight, at most: each may hold 200 documents."""

RETRIES = 40
"""Tries that one run repeats because the API had no room or no connection came about."""

OPEN = frozenset({State.UNKNOWN, State.ACCEPTED})
"""States in which this run may still learn something by waiting, beside ISSUED."""

UNFINISHED = frozenset(
    {State.READY, State.BOUND, State.IN_FLIGHT, State.UNKNOWN, State.ACCEPTED}
    | {State.STUCK, State.ISSUED, State.QUARANTINED}
)
"""States in which a row still needs a run or a person."""


@dataclass(frozen=True)
class SendResult:
    """What a run of sending did, and what it leaves."""

    environment: str
    """``sandbox``, ``production`` or ``unproven``."""
    why: str
    """How the environment is known."""
    requests: int
    """POSTs sent."""
    rows: list[rows.Intent]
    """Every row that was unfinished at the start, as it is now, and every one that was
    rejected or issued twice and that nobody has acknowledged."""
    notices: list[str] = field(default_factory=list)
    """What a person should know, one sentence each."""
    awaiting_approval: int = 0
    """Rows that are planned and not approved: this run leaves them."""

    @property
    def counts(self) -> dict[str, int]:
        """Rows of this run by the state they are in now."""
        found: dict[str, int] = {}
        for row in self.rows:
            found[row.state] = found.get(row.state, 0) + 1
        return found

    @property
    def complete(self) -> bool:
        """Every row of this run is verified, or somebody has decided about it. One that was
        approved and found not to be fit just before it was sent is not complete."""
        return not any(
            (row.state in {*UNFINISHED, State.BLOCKED} and not row.acknowledged_by) or _untold(row)
            for row in self.rows
        )


@dataclass(frozen=True)
class Ways:
    """How a run reaches the world; tests put their own in its place."""

    clock: Clock = utcnow
    sleep: Sleep = asyncio.sleep
    transport: Transport | None = None
    pace: Pace = field(default_factory=Pace)


async def send(
    settings: Settings,
    *,
    wait: float = 120.0,
    tell: Tell = lambda counts: None,
    follow_only: bool = False,
    only: str = "",
    ways: Ways | None = None,
) -> SendResult:
    """Sends every approved row of the home and follows all that was sent.

    Waits up to ``wait`` seconds for another sender of this home, and as long for results
    after the last batch was taken in. In a proven sandbox, plans under their caps are sent
    without approval. With ``follow_only`` nothing is sent, not even again: what was sent is
    looked up, followed and read back. ``only`` is one of ``OPS``: rows of every other kind
    are left as they are, and nothing is sent that no person approved. Raises ConfigError and
    OriginError when nothing may be sent, LedgerError when the ledger cannot be trusted,
    LockHeld, AuthError, and what the server answered when not even the companies could be
    read. What fails later is in the result.
    """
    ways = ways or Ways()
    settings.need_key()
    with sending(settings.home, wait), open_ledger(settings.home, ways.clock) as ledger:
        recover(ledger)
        async with at_work(settings, ledger, ways, wait=wait) as run:
            run.tell = tell
            if follow_only:
                run.stopped = "this run only follows what was sent"
            elif run.proof.is_sandbox and not only:
                admit_in_sandbox(ledger, run.proof.why)
            followed = UNFINISHED - ({State.READY, State.BOUND} if follow_only else set())
            wanted = {i.id for i in _of_kind(ledger, only) if i.state in followed}
            await _rounds(run, settings, only)
        wanted |= {i.id for i in _of_kind(ledger, only) if _untold(i)}
        for urgent in deadlines(_of_kind(ledger, only), ledger.clock()):
            run.notice(urgent)
        return SendResult(
            run.proof.environment,
            run.proof.why,
            run.sent,
            [rows.get(ledger, row_id) for row_id in sorted(wanted)],
            run.notices,
            sum(i.state is State.PLANNED for i in _of_kind(ledger, only)),
        )


def _of_kind(ledger: Ledger, only: str) -> list[rows.Intent]:
    return [i for i in rows.everything(ledger) if only in ("", i.op)]


def _untold(row: rows.Intent) -> bool:
    """It came to a bad end, and nobody has said that they know."""
    return not row.acknowledged_by and (row.state is State.REJECTED or is_incident(row))


@asynccontextmanager
async def at_work(
    settings: Settings, ledger: Ledger, ways: Ways, *, wait: float = 0.0
) -> AsyncIterator[Run]:
    """A run on an open ledger: connections open, companies known, environment proven."""
    client = Client(settings, transport=ways.transport, sleep=ways.sleep)
    writer = Writer(settings, transport=ways.transport, now=ways.clock, watch=failpoints.watch)
    async with client, writer:
        yield await _begin(settings, ledger, (client, writer), ways, wait)


def recover(ledger: Ledger) -> None:
    """Attempts left open by a process that ended are doubts from now on."""
    for attempt in envelopes.open_attempts(ledger):
        failpoints.hit("recover.before")
        unknown_after_crash(ledger, attempt)
        failpoints.hit("recover.after")


async def _begin(
    settings: Settings, ledger: Ledger, wires: tuple[Client, Writer], ways: Ways, wait: float
) -> Run:
    client, writer = wires
    try:
        found = {c.rut: c.id for c in await companies(client)}
        homes.check_origin(settings, found)
        evidence = await proof.prove(ledger, settings, client)
    except ApiError as error:
        error.message = f"{error.message.rstrip('.')}. Nothing was sent; every row stays as it was."
        raise
    check_environment(ledger, evidence)
    run = Run(
        ledger=ledger,
        client=client,
        writer=writer,
        companies=found,
        proof=evidence,
        key=proof.key_fingerprint(settings),
        pace=ways.pace,
        sleep=ways.sleep,
        limiter=Limiter(min(AT_ONCE, settings.max_concurrency), ways.sleep),
        budget=Budget.of(RETRIES),
        deadline=ways.clock() + timedelta(seconds=wait),
        patience=wait,
    )
    for entity, why in incidents(ledger).items():
        run.hold(entity, why)
    for entity in sorted({i.entity for i in rows.in_state(ledger, {State.READY, State.BOUND})}):
        if entity not in found:
            run.hold(entity, "the key does not see this company, so nothing is sent for it.")
    return run


def check_environment(ledger: Ledger, evidence: Proof) -> None:
    """A ledger belongs to one environment, pinned by the first proof. Raises OriginError."""
    if evidence.environment == proof.UNPROVEN:
        return
    pinned = ledger.meta("environment")
    if pinned and pinned != evidence.environment:
        raise OriginError(
            f"The ledger of {ledger.home} holds {pinned} documents, and this is "
            f"{evidence.environment}: {evidence.why} Mixing both would mix invented documents "
            "with real ones: set TUPANA_HOME to a new folder. Nothing was sent."
        )
    if not pinned:
        with ledger.transaction():
            ledger.set_meta("environment", evidence.environment)


async def _rounds(run: Run, settings: Settings, only: str) -> None:
    pause = run.pace.poll
    try:
        while True:
            before = rows.counts(run.ledger, only)
            due = await _round(run, settings, only)
            check_environment(run.ledger, run.proof)
            after = rows.counts(run.ledger, only)
            run.tell(after)
            if not _waiting(run, after, only):
                return
            pause = run.pace.poll if after != before else min(pause * 1.5, run.pace.poll_most)
            seconds = _pause(run, after, pause, due)
            if seconds > run.time_left:
                return
            await run.sleep(seconds)
    except AuthError as refused:
        run.stop(str(refused))


async def _round(run: Run, settings: Settings, only: str) -> datetime | None:
    """One round for every kind of row, or for one; when the next look-up of a document is due."""
    due = None
    if only in ("", ISSUE):
        await _deliver_all(run)
        due = await reconcile(run)
        await poll(run)
        await verify(run, settings)
    for op, follow in _FOLLOWED.items():
        if only in ("", op):
            await follow(run)
    return due


_FOLLOWED = {
    PAYMENT: payments.follow,
    CESSION: cessions.follow,
    SCHEDULE: schedules.follow,
}


def _waiting(run: Run, counts: dict[State, int], only: str) -> bool:
    """Whether waiting can still bring anything."""
    sendable = any(
        run.may_send(i.entity)
        for i in rows.in_state(run.ledger, {State.READY, State.BOUND}, only or ISSUE)
    )
    refused = sum(1 for i in rows.in_state(run.ledger, {State.ISSUED}) if i.sii_state)
    # SII's refusal is a person's to answer.
    issued = counts.get(State.ISSUED, 0) > (refused if only in ("", ISSUE) else 0)
    return sendable or issued or any(counts.get(state) for state in OPEN)


def _pause(run: Run, counts: dict[State, int], pause: float, due: datetime | None) -> float:
    """Seconds to the next round: to the next look-up when nothing else is awaited."""
    others = any(counts.get(s) for s in (State.ACCEPTED, State.ISSUED, State.BOUND, State.READY))
    if due is None or others:
        return pause
    return max((due - run.ledger.clock()).total_seconds(), 0.001)


async def _deliver_all(run: Run) -> None:
    """Sends every bound envelope, and what comes of those that are refused whole."""
    _renew(run)
    await seek_ready(run)
    bind_ready(run)
    run.queue = [e for e in envelopes.holding(run.ledger, State.BOUND) if not e.ever_ambiguous]
    while run.queue and not run.stopped:
        now, run.queue = run.queue, []
        await together(deliver(run, envelope) for envelope in now)


def _renew(run: Run) -> None:
    """Envelopes never processed whose key has grown old: a new one with a key of its own."""
    now = run.ledger.clock()
    for envelope in envelopes.holding(run.ledger, State.BOUND):
        tried = envelopes.attempts(run.ledger, envelope.id)
        back = any(now < (a.closed_at or a.opened_at) for a in tried)
        if envelope.ever_ambiguous or not (window.is_over(envelope, now) or back):
            continue
        intents = envelopes.members(run.ledger, envelope.id)
        with run.ledger.transaction():
            envelopes.retire(
                run.ledger, envelope.id, actor="binder", reason="never processed, key too old"
            )
        bind(run, intents)
