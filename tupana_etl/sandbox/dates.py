"""Days and moments of the world: busy month ends, quiet weekends, Santiago's clock."""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate
from random import Random

from tupana_etl.domain import SANTIAGO


@dataclass(frozen=True)
class Days:
    """The days of the world with their share of the documents."""

    days: tuple[date, ...]
    cumulative: tuple[float, ...]

    @property
    def last(self) -> date:
        return self.days[-1]


def days(today: date, months: int) -> Days:
    """``months`` of thirty and a half days up to ``today``, month ends three times as busy."""
    span = max(1, months * 61 // 2)
    every = tuple(today - timedelta(days=span - 1 - i) for i in range(span))
    return Days(every, tuple(accumulate(_weight(d) for d in every)))


def pick(rng: Random, calendar: Days, count: int) -> list[date]:
    return rng.choices(calendar.days, cum_weights=calendar.cumulative, k=count)


def moment(rng: Random, day: date, today: date) -> datetime:
    """A moment of the day in office hours of Santiago, as UTC, whole seconds.

    Today's fall before six in the morning, so that a fresh world has no future events.
    """
    hour = rng.randint(0, 5) if day >= today else rng.randint(8, 19)
    wall = time(hour, rng.randint(0, 59), rng.randint(0, 59))
    return datetime.combine(day, wall, SANTIAGO).astimezone(UTC)


def local_day(at: datetime) -> date:
    return at.astimezone(SANTIAGO).date()


def end_of(today: date) -> datetime:
    """The last moment anything of the world may have happened."""
    return datetime.combine(today, time(6), SANTIAGO).astimezone(UTC)


def _weight(day: date) -> float:
    left = monthrange(day.year, day.month)[1] - day.day
    return (3.0 if left < 4 else 1.0) * (0.15 if day.weekday() >= 5 else 1.0)
