"""Whether the clock can be trusted to say that a key is young enough to be replayed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from tupana_etl.outbox import envelopes
from tupana_etl.outbox.envelopes import Attempt, Envelope
from tupana_etl.outbox.ledger import Ledger

MAX_SKEW = 300.0
"""Seconds by which our clock and the server's may differ."""


def suspicion(ledger: Ledger, envelope: Envelope, skews: Iterable[float], key: str) -> str:
    """Why an envelope's key may not be known to the API any more, as a phrase; '' when it is.

    ``key`` is the fingerprint of the API key of today: nobody says that the API knows an
    Idempotency-Key under another one.
    ``skews`` are the seconds by which the server's clock was ahead in the answers of the
    look-up just made. Where it told no time, our own clocks must agree: a machine that was
    restarted, or whose wall clock moved against the time since its start, proves nothing.
    """
    now = ledger.clock()
    tried = envelopes.attempts(ledger, envelope.id)
    if not tried:
        return ""
    last = tried[-1]
    if any(attempt.key != key for attempt in tried):
        return "the API key was changed since the last attempt"
    if now < max(a.closed_at or a.opened_at for a in tried):
        return "the clock went backwards since the last attempt"
    told = list(skews)
    return _too_far(told) if told else _moved(last, now)


def _too_far(skews: list[float]) -> str:
    worst = max(skews, key=abs)
    differ = f"our clock and the server's differ by {worst:.0f} s"
    return differ if abs(worst) > MAX_SKEW else ""


def _moved(last: Attempt, now: datetime) -> str:
    """By our own clocks alone, since the server tells no time."""
    if last.boot_id != envelopes.boot_id():
        return "the machine was restarted since, and the server does not tell the time"
    drift = (now - last.opened_at).total_seconds() - (time.monotonic() - last.monotonic)
    if abs(drift) > MAX_SKEW:
        return f"the clock was moved by {drift:.0f} s since, and the server does not tell the time"
    return ""


def is_over(envelope: Envelope, now: datetime) -> bool:
    """Whether the key may not be replayed any more."""
    return bool(envelope.window_closed) or (
        envelope.safe_until is not None and now >= envelope.safe_until
    )


def next_move(ledger: Ledger, envelope: Envelope, settle: float) -> datetime:
    """From when a look-up that finds nothing may be believed."""
    closed = [a.closed_at or a.opened_at for a in envelopes.attempts(ledger, envelope.id)]
    return max(closed) + timedelta(seconds=settle)
