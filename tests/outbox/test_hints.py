"""Webhooks only make things known sooner: with them, without them, the ledger ends the same."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tupana_etl.errors import LedgerError, LockHeld
from tupana_etl.outbox import failpoints, hints, rows
from tupana_etl.outbox.ledger import open_ledger, sending
from tupana_etl.outbox.states import State

from .conftest import SHM
from .office import Office
from .test_machine import Crash, crashing

NOT_EXECUTED = ("429", "503", "no_connection", "garbage_unexecuted", "500", "409")
MOODS = ("ok", "lost", "502_executed", "garbage", "cut", "401", "late:0.01", *NOT_EXECUTED)


def test_the_failure_of_a_batch_is_learned_from_its_event_alone(office: Office) -> None:
    office.approve("a", "b")
    office.vendor.processing = timedelta(minutes=5)
    office.send(wait=0)
    (batch,) = office.vendor.batches
    assert set(office.states().values()) == {State.ACCEPTED}
    for row_key in ("a", "b"):
        office.vendor.statuses[office.row(row_key).row_tag] = "permanent_error"
    office.at += timedelta(minutes=6)
    office.arrives("batch.intake_failed", batch)
    posts = len(office.vendor.posts)
    assert office.drained().followed == [batch]
    assert set(office.states().values()) == {State.REJECTED}
    assert len(office.vendor.posts) == posts
    assert office.drained().events == 0


@pytest.mark.parametrize("batch_get", [True, False])
def test_a_document_that_was_issued_brings_its_batch_to_its_end(
    office: Office, batch_get: bool
) -> None:
    """Whether the API shows the batch or only, by its row key, the document."""
    office.approve("a")
    office.vendor.batch_get = batch_get
    office.vendor.processing = timedelta(minutes=5)
    office.send(wait=0)
    office.at += timedelta(minutes=6)
    office.arrives("document.issued", 1)
    assert office.drained().read == ["1"]
    assert office.states() == {"a": State.VERIFIED}


def test_an_event_that_says_issued_is_not_believed(office: Office) -> None:
    """The API does not show it: the row waits, and is STUCK when it is overdue."""
    office.approve("a")
    office.vendor.processing = timedelta(hours=2)
    office.send(wait=0)
    for minutes, state in ((0, State.ACCEPTED), (20, State.STUCK)):
        office.at += timedelta(minutes=minutes)
        office.arrives("document.issued", 1)
        office.drained()
        assert office.states() == {"a": state}
    office.at += timedelta(hours=2)
    office.arrives("document.issued", 1)
    office.drained()
    assert office.states() == {"a": State.VERIFIED}


def test_an_event_may_overtake_the_answer_and_a_strangers_is_dropped(office: Office) -> None:
    office.arrives("batch.intake_failed", "batch-1")
    assert "not sent from this home" in office.drained().failed["batch-1"]
    for minutes in (1, 5):
        office.at += timedelta(minutes=minutes)
        done = office.drained()
    assert list(done.ignored) == ["batch-1"]
    assert office.vendor.reads == 0


def test_while_a_sender_is_at_work_it_is_left_to_it(office: Office) -> None:
    office.approve("a")
    office.vendor.processing = timedelta(minutes=5)
    office.send(wait=0)
    (batch,) = office.vendor.batches
    office.arrives("batch.intake_failed", batch)
    with sending(office.home, 0), pytest.raises(LockHeld):
        asyncio.run(hints.follow(office.settings, [batch], office.ways))
    with sending(office.home, 0):
        assert list(office.drained().failed) == [batch]
    office.at += timedelta(minutes=6)
    assert office.drained().followed == [batch]
    assert office.states() == {"a": State.VERIFIED}


steps = st.lists(
    st.tuples(
        st.lists(st.sampled_from(MOODS), max_size=3),
        st.sampled_from([0.0, 45.0]),
        st.sampled_from(["", "", *failpoints.NAMES]),
        st.sampled_from([0, 1, 16, 90]),
        st.sampled_from([0, 20, 1800]),
        st.sampled_from(["known", "twice", "forged", "none"]),
    ),
    min_size=1,
    max_size=6,
)

Steps = list[tuple[list[str], float, str, int, int, str]]


def final(history: Steps, refused: bool, *, with_events: bool) -> dict[str, Any]:
    """What the ledger and the oracle say at the end of a history."""
    folder = Path(tempfile.mkdtemp(prefix="tupana-twins-", dir=SHM if SHM.is_dir() else None))
    office = Office(folder / "home")
    try:
        office.approve("a", "b", "c")
        if refused:
            office.vendor.statuses[office.row("b").row_tag] = "invalid"
        for moods, wait, failpoint, minutes, processing, events in history:
            office.vendor.moods = list(moods)
            office.vendor.processing = timedelta(seconds=processing)
            with crashing(failpoint, 1), suppress(Crash, LedgerError):
                office.send(wait)
            office.at += timedelta(minutes=minutes)
            if with_events:
                deliver(office, events)
            office.check()
        office.vendor.moods, office.vendor.processing = [], timedelta(0)
        for _ in range(3):
            office.send(400.0)
            office.at += timedelta(minutes=30)
        office.check()
        copies = office.vendor.copies()
        with open_ledger(office.home, office.clock) as ledger:
            assert rows.first_broken_event(ledger) is None
            return {
                key: (row.state, row.generation, row.total, row.reason_code, copies[row.row_tag])
                for key, row in rows.newest(ledger).items()
            }
    finally:
        shutil.rmtree(folder)


def deliver(office: Office, events: str) -> None:
    """What the vendor would announce by now, as often as told, and lies."""
    for _ in range({"none": 0, "twice": 2}.get(events, 1)):
        office.vendor_announces()
        office.at += timedelta(seconds=1)
    if events == "forged":
        office.arrives("document.issued", 999)
        office.arrives("batch.intake_failed", "batch-of-nobody")
    posts = len(office.vendor.posts)
    office.drained()
    assert len(office.vendor.posts) == posts, "an event sends nothing"


def same_ending(examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(steps, st.booleans())
    def with_and_without(history: Steps, refused: bool) -> None:
        with_events = final(history, refused, with_events=True)
        assert with_events == final(history, refused, with_events=False)

    with_and_without()


def test_with_events_and_without_the_ledger_ends_the_same() -> None:
    same_ending(25)


@pytest.mark.long
def test_thousands_of_histories_end_the_same_with_events_and_without() -> None:
    same_ending(2_000)
