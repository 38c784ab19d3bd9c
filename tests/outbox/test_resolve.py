"""What a person may decide, and what nobody may."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tupana_etl.errors import ConfigError
from tupana_etl.outbox import resolve, rows
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.states import State

from .office import Office


def decide(office: Office, row_key: str, decision: str, document: str = "") -> rows.Intent:
    return asyncio.run(
        resolve.decide(
            office.settings,
            row_key,
            decision,
            by="Ana Rojas",
            reason="looked into it",
            document=document,
            ways=office.ways,
        )
    )


def quarantine(office: Office, mood: str) -> None:
    """A row whose window is over and that nothing is known of."""
    office.approve("a")
    office.vendor.moods = [mood]
    office.send(wait=0)
    office.at += timedelta(hours=20.5)
    office.send(wait=0)
    assert office.states()["a"] is State.QUARANTINED


def test_a_row_that_was_surely_never_issued_is_released_and_sent_once(office: Office) -> None:
    quarantine(office, "cut")
    with pytest.raises(ConfigError, match="of 3 look-ups found nothing"):
        decide(office, "a", "release")
    office.at += timedelta(hours=5)
    office.send(wait=0)
    released = decide(office, "a", "release")
    assert (released.generation, released.state) == (2, State.READY)
    assert office.send().counts == {State.VERIFIED: 1}
    assert len({key for key, _ in office.vendor.posts}) == 2  # a key of its own
    with open_ledger(office.home, office.clock) as ledger:
        who = [e for e in rows.history(ledger, "a") if e.after == State.RELEASED]
    assert (who[0].actor, who[0].reason) == ("Ana Rojas", "looked into it")
    office.check()


def test_a_row_that_exists_is_adopted_never_released(office: Office) -> None:
    quarantine(office, "late:21")
    office.at += timedelta(hours=30)
    with pytest.raises(ConfigError, match="exists as document 1000"):
        decide(office, "a", "release")
    row = decide(office, "a", "adopt", "1000")
    assert (row.state, row.document_id, row.flags) == (State.VERIFIED, "1000", "adopted")
    office.check()


def test_a_document_of_another_row_cannot_be_adopted(office: Office) -> None:
    office.approve("other")
    office.send()
    quarantine(office, "cut")
    with pytest.raises(ConfigError, match="row other's"):
        decide(office, "a", "adopt", "1000")
    with pytest.raises(ConfigError, match="was not issued"):
        decide(office, "a", "adopt", "999999")


def test_what_differs_is_recorded_when_a_person_takes_it(office: Office) -> None:
    office.approve("a")
    office.vendor.net_off = 500
    office.send()
    row = decide(office, "a", "adopt", "1000")
    assert row.state is State.VERIFIED
    assert "differs" in row.flags
    assert row.issued_total != row.total


def test_a_row_with_a_document_is_never_released(office: Office) -> None:
    office.approve("a")
    office.vendor.net_off = 500
    office.send()
    office.at += timedelta(hours=60)
    with pytest.raises(ConfigError, match="would make two"):
        decide(office, "a", "release")


def test_a_look_up_that_cannot_see_releases_nothing(office: Office) -> None:
    quarantine(office, "cut")
    office.at += timedelta(hours=30)
    office.send(wait=0)
    office.at += timedelta(hours=30)
    office.send(wait=0)
    office.vendor.lists = "down"
    with pytest.raises(ConfigError, match="not released"):
        decide(office, "a", "release")
    assert office.states()["a"] is State.QUARANTINED


def test_a_row_under_way_is_nobodys_to_decide(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.send(wait=0)
    for decision in ("release", "adopt", "abandon", "acknowledge"):
        with pytest.raises(ConfigError, match="UNKNOWN"):
            decide(office, "a", decision, "1000")


def test_abandon_and_acknowledge_need_a_name_and_are_kept(office: Office) -> None:
    office.approve("bad", item="REFUSE")
    office.approve("never")
    office.vendor.moods = ["503"] * 99
    assert decide(office, "never", "abandon").state is State.ABANDONED
    office.vendor.moods = []
    assert not office.send().complete
    assert decide(office, "bad", "acknowledge").acknowledged_by == "Ana Rojas"
    assert office.send().complete
    with pytest.raises(ConfigError, match="name and a reason"):
        asyncio.run(
            resolve.decide(office.settings, "bad", "abandon", by=" ", reason="x", ways=office.ways)
        )


def test_two_people_at_once_only_one_decides(office: Office) -> None:
    quarantine(office, "cut")
    decide(office, "a", "abandon")
    with pytest.raises(ConfigError, match="ABANDONED"):
        decide(office, "a", "abandon")
    with pytest.raises(ConfigError, match="ABANDONED"):
        decide(office, "a", "release")


def test_advice_names_what_may_be_done(office: Office) -> None:
    quarantine(office, "cut")
    with open_ledger(office.home, office.clock) as ledger:
        row = rows.newest(ledger)["a"]
        assert "No release yet" in resolve.advice(ledger, row, office.pace)
    office.at += timedelta(hours=5)
    office.send(wait=0)
    office.send(wait=0)
    with open_ledger(office.home, office.clock) as ledger:
        assert "--release" in resolve.advice(ledger, rows.newest(ledger)["a"], office.pace)
