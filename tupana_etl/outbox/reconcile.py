"""Rows of unknown outcome: looked up first, adopted when found, replayed only when surely not.

UNKNOWN rows are looked up until they are found or their window is over; only an envelope
of which a completed look-up found nothing at all is sent again, with the same key and the
same bytes. STUCK rows and quarantined rows without a document are looked up too, once a
run: what is found helps the person who decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tupana_etl.outbox import envelopes, failpoints, rows, window
from tupana_etl.outbox.deliver import deliver
from tupana_etl.outbox.envelopes import Envelope
from tupana_etl.outbox.facts import Facts
from tupana_etl.outbox.ledger import Ledger, stamp
from tupana_etl.outbox.look import Sight, look_up
from tupana_etl.outbox.payment_drafts import act_of
from tupana_etl.outbox.rebuild import REBUILT
from tupana_etl.outbox.run import Pace, Run, by_company
from tupana_etl.outbox.settle import quarantine
from tupana_etl.outbox.states import State

ACTOR = "reconciler"

WATCHED = timedelta(hours=48)
"""After its last attempt, for how long a row once in doubt is looked up again."""


async def reconcile(run: Run) -> datetime | None:
    """Looks up every row that is in doubt; when the next look-up is due, None for never."""
    for entity, intents in by_company(rows.in_state(run.ledger, {State.UNKNOWN})).items():
        sight = await look_up(run, entity, intents)
        if not sight.complete:
            run.notice(f"Rows of company {entity} could not be looked up: {sight.why}")
        run.filters.pop(entity, None)  # proven anew with every look-up
        for envelope, members in _by_envelope(run.ledger, intents):
            await _decide(run, envelope, members, sight)
    await _look_after(run)
    await _watch_doubtful(run)
    return _due(run)


async def seek_ready(run: Run) -> None:
    """After a ledger was rebuilt: READY rows may have been issued by what the backup lacks.

    Each is looked up before it is first bound; a company whose rows cannot be looked up
    is not sent to by this run.
    """
    if not run.ledger.meta(REBUILT):
        return
    ready = [i for i in rows.in_state(run.ledger, {State.READY}) if i.id not in run.sought]
    for entity, intents in by_company(ready).items():
        if not run.may_send(entity):
            continue
        sight = await look_up(run, entity, intents)
        if not sight.complete:
            run.hold(entity, f"the ledger was rebuilt, and nobody can look: {sight.why}")
            continue
        with run.ledger.transaction():
            adopt(run, intents, sight)
        run.sought |= {intent.id for intent in intents}


async def _decide(
    run: Run, envelope: Envelope, members: Sequence[rows.Intent], sight: Sight
) -> None:
    """What one look-up means for the doubtful rows of one envelope."""
    trusted = sight.complete and sight.began >= window.next_move(
        run.ledger, envelope, run.pace.settle
    )
    doubt = window.suspicion(run.ledger, envelope, sight.skews, run.key)
    with run.ledger.transaction():
        if doubt:
            envelopes.close_window(run.ledger, envelope.id, doubt)
        found = adopt(run, members, sight)
        missing = [intent for intent in members if intent.id not in found]
        if trusted:
            note_misses(run.ledger, missing, sight)
        envelope = envelopes.get(run.ledger, envelope.id)
        over = window.is_over(envelope, run.ledger.clock())
        if over and trusted and missing:
            run.looked |= {intent.id for intent in missing}
            quarantine(
                run.ledger,
                missing,
                "window_over",
                "not found, and its key may be forgotten: never sent again without a person",
                actor=ACTOR,
                evidence={"envelope": envelope.id, "window": envelope.window_closed or "20 h"},
            )
    failpoints.hit("adopt.after")
    whole = len(missing) == len(envelopes.members(run.ledger, envelope.id))
    untouched = not any(sight.of(intent) for intent in missing)
    if trusted and whole and untouched and not over and run.may_send(envelope.entity):
        await deliver(run, envelope, looked_up_at=sight.began)


def adopt(run: Run, intents: Sequence[rows.Intent], sight: Sight) -> set[int]:
    """Rows whose document was found become ISSUED, those with two an incident.

    Ids of the rows that were decided. Expects a transaction.
    """
    decided = set()
    for intent in intents:
        documents = sight.issued(intent)
        evidence: dict[str, Any] = {"how": sight.how, "documents": [d.id for d in documents]}
        if len(documents) > 1:
            reason = twice(documents)
            quarantine(
                run.ledger,
                [intent],
                "duplicate",
                reason,
                actor=ACTOR,
                evidence=evidence,
            )
            run.hold(intent.entity, f"row {intent.row_key} was {reason}.")
            decided.add(intent.id)
        elif documents:
            rows.move(
                run.ledger,
                intent.id,
                State.ISSUED,
                actor=ACTOR,
                reason="found by its row key",
                evidence=evidence,
                document_id=documents[0].id,
                folio=documents[0].folio,
            )
            decided.add(intent.id)
    return decided


def note_misses(ledger: Ledger, intents: Sequence[rows.Intent], sight: Sight) -> None:
    """Records that a completed look-up did not find rows. Expects a transaction."""
    ledger.con.executemany(
        "INSERT INTO lookups (intent_id, at, control_ok, hits, note) VALUES (?, ?, 1, 0, ?)",
        [(intent.id, ledger.now(), sight.how) for intent in intents],
    )


def misses(ledger: Ledger, intent: rows.Intent) -> list[datetime]:
    """When completed look-ups found nothing of a row, since its last attempt."""
    found = ledger.con.execute(
        "SELECT at FROM lookups WHERE intent_id = ? AND control_ok = 1 AND hits = 0 ORDER BY id",
        [intent.id],
    )
    moments = [datetime.fromisoformat(row[0]) for row in found]
    last = _last_attempt(ledger, intent)
    return [at for at in moments if last is None or at >= last]


def _last_attempt(ledger: Ledger, intent: rows.Intent) -> datetime | None:
    if intent.envelope_id is None:
        return None
    tried = envelopes.attempts(ledger, intent.envelope_id)
    return max((a.closed_at or a.opened_at for a in tried), default=None)


def is_surely_absent(ledger: Ledger, pace: Pace, intent: rows.Intent) -> str:
    """Why a row may not be taken for never issued yet, as a sentence; '' when it may."""
    at = misses(ledger, intent)
    last = _last_attempt(ledger, intent)
    since = timedelta(0) if not at or last is None else at[-1] - last
    over = release_after(ledger, pace, intent)
    if len(at) >= pace.misses and since >= over:
        return ""
    return (
        f"{len(at)} of {pace.misses} look-ups found nothing, the last {_hours(since)} of "
        f"{_hours(over).removesuffix('.0')} h after the last attempt. Every `tupana outbox send` "
        "looks once."
    )


def release_after(ledger: Ledger, pace: Pace, intent: rows.Intent) -> timedelta:
    """How long after its last attempt a row must stay away before a person may release it.

    An act at SII that may be sent for less than twice that long: half of what is left, and a
    quarter of an hour at least. SII's register holds each act of a document once (web service
    v1.2), so one that was late after all is not registered twice.
    """
    act, last = act_of(intent.op, intent.payload), _last_attempt(ledger, intent)
    if act is None or act.deadline is None or last is None:
        return pace.misses_over
    return min(pace.misses_over, max(pace.overdue, (act.deadline - last) / 2))


def _hours(since: timedelta) -> str:
    return f"{since.total_seconds() / 3600:.1f}"


async def _look_after(run: Run) -> None:
    """STUCK rows, and quarantined ones that may never have been issued: once a run."""
    waiting = [
        intent
        for intent in rows.in_state(run.ledger, {State.STUCK, State.QUARANTINED})
        if intent.document_id is None
        and intent.envelope_id is not None
        and intent.reason_code not in ("duplicate",)
        and intent.id not in run.looked
    ]
    for entity, intents in by_company(waiting).items():
        sight = await look_up(run, entity, intents)
        run.looked |= {intent.id for intent in intents}
        with run.ledger.transaction():
            stuck = [i for i in intents if i.state is State.STUCK]
            found = adopt(run, stuck, sight)
            rest = [i for i in intents if i.id not in found]
            if sight.complete:
                note_misses(run.ledger, [i for i in rest if not sight.of(i)], sight)
            for intent in rest:
                if intent.state is State.QUARANTINED and sight.issued(intent):
                    _tell_found(run, intent, sight)
            gone = [
                i
                for i in rest
                if i.state is State.STUCK and not is_surely_absent(run.ledger, run.pace, i)
            ]
            quarantine(
                run.ledger, gone, "stuck", "accepted, never issued, nowhere found", actor=ACTOR
            )


async def _watch_doubtful(run: Run) -> None:
    """Verified rows that were once in doubt: a late second document must not go unseen."""
    since = stamp(run.ledger.clock() - WATCHED)
    verified = rows.doubtful_since(run.ledger, since, {State.VERIFIED})
    watched = [i for i in verified if i.id not in run.looked and i.reason_code != "duplicate"]
    for entity, intents in by_company(watched).items():
        sight = await look_up(run, entity, intents)
        run.looked |= {intent.id for intent in intents}
        double = [i for i in intents if len(sight.issued(i)) > 1]
        if double:
            with run.ledger.transaction():
                for intent in double:
                    _tell_double(run, intent, sight.issued(intent))


def _tell_double(run: Run, intent: rows.Intent, documents: Sequence[Facts]) -> None:
    reason = twice(documents)
    rows.note(
        run.ledger,
        intent.id,
        actor=ACTOR,
        reason=reason,
        evidence={"documents": [each.id for each in documents]},
        restate=True,
        reason_code="duplicate",
        flags="duplicate",
    )
    run.hold(intent.entity, f"row {intent.row_key} was {reason}.")


def twice(documents: Sequence[Facts]) -> str:
    """What to say of a row that has two documents."""
    two = " and ".join(d.id for d in documents[:2])
    return f"issued twice, as documents {two}: a credit note (61) must void one"


def _tell_found(run: Run, intent: rows.Intent, sight: Sight) -> None:
    documents = [each.id for each in sight.issued(intent)]
    rows.note(
        run.ledger,
        intent.id,
        actor=ACTOR,
        reason=f"found as document {', '.join(documents)}: adopt it",
        evidence={"documents": documents},
        restate=True,
    )
    run.notice(f"Row {intent.row_key} exists as document {', '.join(documents)}: adopt it.")


def _by_envelope(
    ledger: Ledger, intents: Sequence[rows.Intent]
) -> list[tuple[Envelope, list[rows.Intent]]]:
    groups: dict[int, list[rows.Intent]] = {}
    for intent in intents:
        groups.setdefault(intent.envelope_id or 0, []).append(intent)
    return [(envelopes.get(ledger, each), members) for each, members in groups.items()]


def _due(run: Run) -> datetime | None:
    """When a look-up of an UNKNOWN row can next decide something."""
    now = run.ledger.clock()
    moments = [
        window.next_move(run.ledger, envelope, run.pace.settle)
        for envelope in envelopes.holding(run.ledger, State.UNKNOWN)
    ]
    later = [at for at in moments if at > now]
    if later:
        return min(later)
    return now + timedelta(seconds=run.pace.settle) if moments else None
