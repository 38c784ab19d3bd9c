"""When to ask again, and how long to wait first.

All of it is plain arithmetic: the one place that retries is ``client.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from secrets import SystemRandom

RETRIED = frozenset({408, 429, 500, 502, 503, 504})
"""Statuses that another try may cure; a GET changes nothing, so all of them are safe."""

BUSY = frozenset({429, 503})
"""Statuses by which the server asks for less."""

TRIES = 5
"""Tries of one call, the first included."""

TRIES_BUSY = 8
"""The same while the server says it is busy: it will take the call, only not yet."""

BACKOFF_BASE = 0.5
BACKOFF_CAP = 20.0
WAIT_FLOOR = 0.5
"""Seconds. ``Retry-After: 0`` obeyed to the letter burns every try within milliseconds."""
WAIT_CAP = 60.0
"""Seconds. A longer ``Retry-After`` is asked again after this, as the official SDK does."""

EARNED_BACK = 0.1
"""Part of a retry that a good answer returns to the budget."""

_RANDOM = SystemRandom()


@dataclass
class Budget:
    """Retries left for the run.

    Every retry spends one, every good answer earns a tenth back, never above the start:
    a long run survives a server that fails now and then, a dead server is given up soon
    however many calls are waiting for it.
    """

    capacity: float
    left: float

    @classmethod
    def of(cls, retries: int) -> Budget:
        return cls(float(retries), float(retries))

    def spend(self) -> bool:
        """True when there was a retry left, which is now gone."""
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def earn(self) -> None:
        self.left = min(self.capacity, self.left + EARNED_BACK)


def retry_after(header: str | None, now: datetime | None = None) -> float | None:
    """Seconds that a ``Retry-After`` asks for; None when absent or not understood.

    Both forms of RFC 9110 §10.2.3 are read: seconds and HTTP date (a past one is 0).
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text)
    moment = http_date(text)
    if moment is None:
        return None
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())


def http_date(text: str | None) -> datetime | None:
    """The moment of an HTTP date (RFC 9110 §5.6.7); None when it is absent or none."""
    try:
        moment = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    # "-0000": UTC, says RFC 5322
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def backoff(tries: int) -> float:
    """Seconds to wait after ``tries`` failures: exponential, capped, full jitter.

    Full jitter spreads callers that failed together over the whole interval.
    """
    return _RANDOM.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2 ** (tries - 1)))


def wait_before(tries: int, asked: float | None) -> float:
    """Seconds before the next try; never less than the server asked, up to the cap."""
    if asked is None:
        return backoff(tries)
    return min(WAIT_CAP, max(WAIT_FLOOR, asked, backoff(tries)))
