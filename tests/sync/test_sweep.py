"""Old windows come round, whatever their size."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tupana_etl.extract.sweep import budget, due_periods, split_due, tiles
from tupana_etl.warehouse.known import KnownWindow

TODAY = date(2026, 11, 20)
START = date(2020, 1, 1)
THEN = datetime(2026, 11, 19, tzinfo=UTC)


def old(number: int, rows: int, verified: datetime | None = THEN) -> KnownWindow:
    first = START + timedelta(days=30 * number)
    return KnownWindow(first, first + timedelta(days=29), rows, verified)


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=30), st.integers(1, 700))
def test_every_window_comes_round(sizes: list[int], runs: int) -> None:
    windows = [old(n, rows) for n, rows in enumerate(sizes)]
    others = [old(n, 30_000) for n in range(5)]
    read: set[date] = set()
    for turn in range(len(windows)):
        share = budget(windows, [*windows, *others], runs)
        due, waiting = split_due(windows, TODAY, share)
        assert due
        assert {*due, *waiting} == {*windows}
        read |= {w.date_from for w in due}
        now = THEN + timedelta(hours=turn + 1)
        windows = [
            KnownWindow(w.date_from, w.date_to, w.rows, now) if w in due else w for w in windows
        ]
    assert read == {w.date_from for w in windows}


@given(
    st.lists(st.integers(0, 20_000), min_size=1, max_size=30),
    st.lists(st.integers(0, 6), min_size=1, max_size=12),
    st.integers(1, 700),
)
def test_nothing_waits_more_than_a_week_however_uneven_the_runs(
    sizes: list[int], days_between: list[int], runs: int
) -> None:
    windows = [old(n, rows) for n, rows in enumerate(sizes)]
    today = THEN.date()
    for days in days_between:
        # A run on every seventh day at the latest.
        for day in {today + timedelta(days=days), today + timedelta(days=6)}:
            due, _ = split_due(windows, day, budget(windows, windows, runs))
            if day == today + timedelta(days=6):
                today = day
            now = datetime.combine(day, datetime.min.time(), UTC)
            windows = [
                KnownWindow(w.date_from, w.date_to, w.rows, now) if w in due else w for w in windows
            ]
            assert all(w.verified_at and now - w.verified_at <= timedelta(days=7) for w in windows)


def test_recent_open_and_unread_windows_are_always_read() -> None:
    recent = KnownWindow(TODAY - timedelta(days=100), TODAY - timedelta(days=80), 9, THEN)
    newest = KnownWindow(TODAY, None, 9, THEN)
    unread = old(1, 9, None)
    due, _ = split_due([old(0, 10**6), unread, recent, newest], TODAY, 0)
    assert due == [unread, recent, newest]


def test_small_companies_are_read_whole() -> None:
    windows = [old(n, 1_000) for n in range(20)]
    due, waiting = split_due(windows, TODAY, budget(windows, windows, runs=600))
    assert (due, waiting) == (windows, [])


@given(st.lists(st.booleans(), min_size=1, max_size=24))
def test_tiles_cover_all_time_without_overlap(kept: list[bool]) -> None:
    known = [old(n, 5) for n, keep in enumerate(kept) if keep]
    cut = tiles(known, START)
    assert cut[0].date_from == START
    assert cut[-1].date_to is None
    for before, after in pairwise(cut):
        assert before.date_to is not None
        assert after.date_from == before.date_to + timedelta(days=1)


def test_every_month_of_the_books_comes_round() -> None:
    periods = [f"2025{m:02d}" for m in range(1, 13)]
    verified = dict.fromkeys(periods, THEN)
    read: set[str] = set()
    for turn in range(7):
        due = due_periods(periods, verified, TODAY, runs=7)
        assert set(periods[-4:]) <= due
        read |= due
        verified |= dict.fromkeys(due, THEN + timedelta(hours=turn + 1))
    assert read == set(periods)
