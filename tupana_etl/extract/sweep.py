"""Which windows of dates a sync reads: the recent ones always, older ones in turn.

There is no updated-since filter, so old documents are read again: windows that touch the
last 90 days in every run, older ones least recently verified first within a budget of
requests, and whatever was last verified six days ago: a company of 20,000 documents is
verified whole by every run, any other within seven days if a run falls on the seventh.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta

from tupana_etl.extract.listing import PAGE_SIZE
from tupana_etl.extract.windows import Window
from tupana_etl.warehouse.known import KnownWindow

LOOK_BACK = timedelta(days=90)
BUDGET = 200
"""Requests per company and run for windows older than the look-back, at least."""


OVERDUE = timedelta(days=6)
"""Older windows verified this long ago are read whatever the budget: runs are not always
as many as last week's."""

RECENT_MONTHS = 4
"""Months of SII's books that may still change: claims and late notes move them."""


def tiles(known: Iterable[KnownWindow], start: date) -> list[KnownWindow]:
    """The known windows, with the gaps between ``start`` and for ever filled by new ones."""
    found: list[KnownWindow] = []
    at: date | None = start
    for window in known:
        if at is None or (window.date_to is not None and window.date_to < at):
            continue
        if window.date_from > at:
            found.append(KnownWindow(at, window.date_from - timedelta(days=1), 0, None))
        found.append(replace(window, date_from=max(window.date_from, at)))
        at = None if window.date_to is None else window.date_to + timedelta(days=1)
    if at is not None:
        found.append(KnownWindow(at, None, 0, None))
    return found


def split_due(
    windows: list[KnownWindow], today: date, budget: int, full: bool = False
) -> tuple[list[KnownWindow], list[KnownWindow]]:
    """The windows to read now, and those that may wait.

    The last one may overrun the budget: a window larger than its listing's share would
    otherwise never come round.
    """
    now = [w for w in windows if full or _always(w, today)]
    waiting = [w for w in windows if w not in now]
    for window in sorted(waiting, key=lambda w: (w.verified_at, w.date_from)):
        if budget <= 0:
            break
        budget -= pages(window)
        now.append(window)
    return sorted(now, key=_start), sorted((w for w in waiting if w not in now), key=_start)


def budget(mine: list[KnownWindow], company: list[KnownWindow], runs: int) -> int:
    """Requests that one listing may spend on older windows.

    The company's budget is 200, or what verifies it whole in a week of ``runs``; its
    listings share it by size.
    """
    total = sum(pages(w) for w in company)
    whole = max(BUDGET, -(-total // runs))
    return whole if total <= whole else -(-whole * sum(pages(w) for w in mine) // total)


def due_periods(
    periods: list[str],
    verified: dict[str, datetime],
    today: date,
    runs: int,
    full: bool = False,
) -> set[str]:
    """The months of SII's books to read now: the last ones always, older ones in turn.

    ``periods`` are in order, ``verified`` says when each was last read whole. Older months
    come round once in a week of ``runs``, and after six days in any case.
    """
    recent, older = periods[-RECENT_MONTHS:], periods[:-RECENT_MONTHS]
    unread = [p for p in older if p not in verified]
    oldest = sorted((p for p in older if p in verified), key=lambda p: (verified[p], p))
    overdue = [p for p in oldest if verified[p].date() <= today - OVERDUE]
    in_turn = oldest if full else oldest[: -(-len(older) // runs)]
    return {*recent, *unread, *overdue, *in_turn}


def pages(window: KnownWindow) -> int:
    return max(1, -(-window.rows // PAGE_SIZE))


def as_window(listing: Window, known: KnownWindow) -> Window:
    return replace(listing, date_from=known.date_from, date_to=known.date_to)


def _always(window: KnownWindow, today: date) -> bool:
    if window.verified_at is None or window.date_to is None:
        return True
    return window.date_to >= today - LOOK_BACK or window.verified_at.date() <= today - OVERDUE


def _start(window: KnownWindow) -> date:
    return window.date_from
