"""Histories nobody thought of: any order of sends, crashes, late executions, clock and people.

The vendor here keeps its promise about keys (the same key within 24 hours is the same
batch) and breaks every other one. After each step at most one document a row may live, no
row may be missing, and the ledger may not claim what the oracle denies.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import defaultdict
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tupana_etl.errors import ConfigError, LedgerError
from tupana_etl.outbox import failpoints, resolve, rows, send
from tupana_etl.outbox.ledger import Ledger, open_ledger
from tupana_etl.outbox.purge import purge
from tupana_etl.outbox.states import State

from .conftest import SHM
from .office import Office

MOODS = (
    *("ok", "lost", "502_executed", "garbage", "cut", "500", "409", "garbage_unexecuted"),
    *("429", "503", "401", "403", "no_connection", "late:0.01", "late:3", "late:19", "late:23"),
)
WAITS = (0.0, 45.0, 400.0)
LATEST_REPLAY = timedelta(hours=20)


class Crash(BaseException):
    """The process ends here."""


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        folder = tempfile.mkdtemp(prefix="tupana-machine-", dir=SHM if SHM.is_dir() else None)
        self.folder = Path(folder)
        self.office = Office(self.folder / "home")
        self.vendor = self.office.vendor
        self.made: set[str] = set()
        self.first: dict[str, datetime] = {}
        self.bodies: dict[str, set[bytes]] = defaultdict(set)
        self.went_back = False
        self.approve(2)

    def teardown(self) -> None:
        try:
            self.everything_heals()
        finally:
            shutil.rmtree(self.folder)

    @rule(count=st.integers(1, 3))
    def approve(self, count: int) -> None:
        keys = [f"row-{len(self.made) + i}" for i in range(count)]
        self.made |= set(keys)
        self.office.approve(*keys)

    @rule(moods=st.lists(st.sampled_from(MOODS), max_size=3), wait=st.sampled_from(WAITS))
    def send(self, moods: list[str], wait: float) -> None:
        self.vendor.moods = list(moods)
        before = len(self.vendor.posts)
        self.office.send(wait)
        self._remember(before)

    @rule(
        moods=st.lists(st.sampled_from(MOODS), max_size=2),
        name=st.sampled_from(failpoints.NAMES),
        times=st.integers(1, 2),
    )
    def crash(self, moods: list[str], name: str, times: int) -> None:
        self.vendor.moods = list(moods)
        before = len(self.vendor.posts)
        with crashing(name, times), suppress(Crash, LedgerError):
            self.office.send(45.0)
        self._remember(before)

    @rule(minutes=st.sampled_from([1, 16, 90, 600, 1195, 1500, 2000]))
    def time_passes(self, minutes: int) -> None:
        self.office.at += timedelta(minutes=minutes)

    @rule(forged=st.booleans())
    def events_arrive(self, forged: bool) -> None:
        """All that webhooks could have told by now, and lies; what follows sends nothing."""
        self.office.vendor_announces()
        if forged:
            self.office.arrives("document.issued", 10**6)
        before = len(self.vendor.posts)
        with suppress(LedgerError):
            self.office.drained()
        assert len(self.vendor.posts) == before

    @rule(hours=st.sampled_from([1, 6]))
    def clock_goes_back(self, hours: int) -> None:
        self.office.at -= timedelta(hours=hours)
        self.went_back = True

    @rule(
        batch_get=st.booleans(),
        search=st.sampled_from(["on", "ignored", "empty"]),
        lists=st.sampled_from(["rich", "lean"]),
        delay=st.sampled_from([0, 60, 600]),
        processing=st.sampled_from([0, 20, 1800]),
    )
    def vendor_changes(
        self, batch_get: bool, search: str, lists: str, delay: int, processing: int
    ) -> None:
        self.vendor.batch_get, self.vendor.filter, self.vendor.lists = batch_get, search, lists
        self.vendor.search_delay = timedelta(seconds=delay)
        self.vendor.processing = timedelta(seconds=processing)

    @rule(
        data=st.data(),
        status=st.sampled_from(["invalid", "permanent_error", "temporary_error", "incomplete"]),
    )
    def vendor_will_refuse(self, data: st.DataObject, status: str) -> None:
        row = self._row(data)
        self.vendor.statuses[row.row_tag] = status

    @rule(data=st.data(), what=st.sampled_from(["release", "abandon", "acknowledge", "adopt"]))
    def a_person_decides(self, data: st.DataObject, what: str) -> None:
        row = self._row(data)
        try:
            self._decide(row, what)
        except ConfigError:
            return  # refused, with a sentence

    @rule(data=st.data())
    def a_rejected_row_is_planned_again(self, data: st.DataObject) -> None:
        row = self._row(data)
        if row.state is State.REJECTED:
            self.vendor.statuses.pop(row.row_tag, None)
            self.office.approve(row.row_key)

    @rule(days=st.sampled_from([3, 30]))
    def content_is_purged(self, days: int) -> None:
        """After that long; what is open keeps what it needs to come to its end."""
        self.office.at += timedelta(days=days, hours=1)
        purge(self.office.home, days, by="Ana", clock=self.office.clock)

    @rule()
    def an_old_ledger_is_put_back(self) -> None:
        path, old = self.office.home / "ledger.sqlite", self.folder / "old.sqlite"
        if old.exists():
            newest = path.read_bytes()
            shutil.copy(old, path)
            if old.read_bytes() != newest:
                with pytest.raises(LedgerError):
                    self.office.send()
            path.write_bytes(newest)
        shutil.copy(path, old)

    @invariant()
    def holds(self) -> None:
        assert self.office.check() == self.made
        assert all(len(bodies) == 1 for bodies in self.bodies.values())

    def everything_heals(self) -> None:
        """A sound vendor and enough time: every row comes to rest or to a person."""
        self.vendor.moods, self.vendor.filter, self.vendor.lists = [], "on", "rich"
        self.vendor.search_delay = self.vendor.processing = timedelta(0)
        for _ in range(6):
            self.office.send(400.0)
            self.holds()
            open_rows = self._under_way()
            if not open_rows:
                return
            self.office.at += timedelta(hours=13)
        raise AssertionError([(row.row_key, row.state, row.reason) for row in open_rows])

    def _under_way(self) -> list[rows.Intent]:
        states = {State.IN_FLIGHT, State.UNKNOWN, State.ACCEPTED, State.STUCK, State.ISSUED}
        with open_ledger(self.office.home, self.office.clock) as ledger:
            assert rows.first_broken_event(ledger) is None
            return rows.in_state(ledger, states | {State.READY, State.BOUND})

    def _row(self, data: st.DataObject) -> rows.Intent:
        return self.office.row(data.draw(st.sampled_from(sorted(self.made))))

    def _decide(self, row: rows.Intent, what: str) -> None:
        office = self.office
        if what in ("abandon", "acknowledge"):
            if what == "abandon" and self.vendor.copies()[row.row_tag]:
                return  # a person who sees a document adopts it
            with open_ledger(office.home, office.clock) as ledger:
                act = resolve.abandon if what == "abandon" else resolve.acknowledge
                act(ledger, row.row_key, by="Ana", reason="seen")
            return

        async def decide() -> None:
            with open_ledger(office.home, office.clock) as ledger:
                async with send.at_work(office.settings, ledger, office.ways) as run:
                    if what == "release":
                        await resolve.release(run, row.row_key, by="Ana", reason="surely not")
                    else:
                        found = [d for d in self.vendor.issued if d.tag == row.row_tag]
                        if found:
                            await resolve.adopt(
                                run, row.row_key, str(found[0].id), by="Ana", reason="it is there"
                            )

        asyncio.run(decide())

    def _remember(self, before: int) -> None:
        for key, body in self.vendor.posts[before:]:
            self.bodies[key].add(body)
            first = self.first.setdefault(key, self.office.at)
            if not self.went_back:
                assert self.office.at - first <= LATEST_REPLAY + timedelta(minutes=10)


@contextmanager
def crashing(name: str, times: int) -> Any:
    """The next time a place is reached, nothing more of the process happens.

    The ledger's connection dies with it, so that no clean-up can write what a process
    that was killed could not have written.
    """
    opened: list[Ledger] = []
    left = [times]

    @contextmanager
    def opening(*args: Any) -> Any:
        with open_ledger(*args) as ledger:
            opened.append(ledger)
            yield ledger

    def hit(place: str) -> None:
        if place == name:
            left[0] -= 1
            if left[0] <= 0:
                opened[-1].con.close()
                raise Crash

    with (
        patch.object(failpoints, "hit", hit),
        patch.object(send, "open_ledger", opening),
    ):
        yield


def run_histories(count: int, number: int = 0) -> None:
    """`number` makes each share of a large count a different one, and the same each time."""
    run_state_machine_as_test(
        seed(number)(type(f"Histories{number}", (Histories,), {})),
        settings=settings(
            max_examples=count,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def test_a_few_hundred_histories() -> None:
    run_histories(200)


@pytest.mark.long
@pytest.mark.parametrize("share", range(1, 41))
def test_ten_thousand_histories(share: int) -> None:
    run_histories(250, share)
