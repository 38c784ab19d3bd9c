"""Where every row stands, and whether anything is left to do."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from tupana_etl.outbox import legal_acts, rows
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.payment_drafts import act_of, entry_of
from tupana_etl.outbox.rows import Intent
from tupana_etl.outbox.run import is_incident
from tupana_etl.outbox.states import PAYMENT, RESTING, State

NEXT: dict[State, str] = {
    State.PLANNED: "tupana outbox approve PLAN_HASH --by NAME",
    State.BLOCKED: "mend the source and plan again, or abandon it",
    State.READY: "tupana outbox send",
    State.BOUND: "tupana outbox send",
    State.IN_FLIGHT: "tupana outbox send",
    State.UNKNOWN: "tupana outbox send (it looks before it sends)",
    State.ACCEPTED: "tupana outbox send",
    State.STUCK: "tupana outbox send later; then ask Tu Pana with the batch id",
    State.ISSUED: "tupana outbox send",
    State.REJECTED: "mend the source and plan again, or acknowledge it",
    State.QUARANTINED: "tupana outbox resolve",
}
"""What a person does about a row in each state that is not at rest."""


URGENT = timedelta(hours=48)
"""Before the end of an act's eight days, when it is said aloud."""


ALOUD = 5
"""Acts that are named; the others are counted."""


def is_settled(intent: Intent) -> bool:
    """Verified, given up, or seen and accepted by a person: nothing is left to do."""
    if intent.acknowledged_by is not None:
        return True
    return intent.state in RESTING and not is_incident(intent)


def event_of(intent: Intent) -> str:
    """What a payment's row says of its document (``PAID``, ``RCD`` …); '' of other rows."""
    if intent.op != PAYMENT or intent.payload is None:
        return ""
    return entry_of(intent.payload).event_code


def until(intent: Intent) -> datetime | None:
    """Until when SII takes the act that a row asks for; None of every other row."""
    act = act_of(intent.op, intent.payload)
    return None if act is None else act.deadline


def deadlines(intents: Iterable[Intent], now: datetime) -> list[str]:
    """What to say of acts at SII that are not done and whose time is about to end, or ended
    with nobody having decided; the first to end first."""
    told = [(end, i) for i in intents if not is_settled(i) and (end := until(i)) is not None]
    urgent = sorted((e for e in told if e[0] - now <= URGENT), key=lambda each: each[0])
    said = [_deadline(intent, end, now) for end, intent in urgent[:ALOUD]]
    more = len(urgent) - len(said)
    rest = [f"So it is with {more} acts more: `tupana outbox status --json`."] if more else []
    return [*said, *rest]


def _deadline(intent: Intent, end: datetime, now: datetime) -> str:
    what = f"row {intent.row_key}, {event_of(intent)}, is {intent.state}"
    hours = (end - now).total_seconds() / 3600
    if hours <= 0:
        return f"The eight days are over since {legal_acts.told(end)}: {what}."
    return f"SII takes it until {legal_acts.told(end)}, {hours:.0f} h from now: {what}."


def current(ledger: Ledger) -> list[Intent]:
    """The newest generation of every row but those withdrawn, oldest first."""
    return [i for i in rows.everything(ledger) if i.state != State.WITHDRAWN]


def is_done(intents: Iterable[Intent]) -> bool:
    """What decides the exit code of ``status``."""
    return all(is_settled(intent) for intent in intents)


def oldest_unknown(intents: Iterable[Intent]) -> datetime | None:
    """Since when the oldest doubt stands; None when there is none."""
    since = [i.updated_at for i in intents if i.state == State.UNKNOWN]
    return datetime.fromisoformat(min(since)) if since else None
