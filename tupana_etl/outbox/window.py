"""Whether the clock can be trusted to say that a key is young enough to be replayed."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime, timedelta

from tupana_etl.outbox import envelopes
from tupana_etl.outbox.envelopes import Envelope
from tupana_etl.outbox.ledger import Ledger

MAX_SKEW = 300.0
"""Seconds by which our clock and the server's may differ."""


def suspicion(ledger: Ledger, envelope: Envelope, skews: Iterable[float]) -> str:
    """Why the age of an envelope's key cannot be told, as a phrase; '' when it can.

    ``skews`` are the seconds by which the server's clock was ahead in the answers of the
    look-up just made. Where it told no time, our own clocks must agree: a machine that was
    restarted, or whose wall clock moved against the time since its start, proves nothing.
    """
    now = ledger.clock()
    tried = envelopes.attempts(ledger, envelope.id)
    if not tried:
        return ""
    last = tried[-1]
    if now < max(a.closed_at or a.opened_at for a in tried):
        return "the clock went backwards since the last attempt"
    told = list(skews)
    if told:
        worst = max(told, key=abs)
        too_far = abs(worst) > MAX_SKEW
        return f"our clock and the server's differ by {worst:.0f} s" if too_far else ""
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
