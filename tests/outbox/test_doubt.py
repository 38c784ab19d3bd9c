"""What may have been executed: looked up, adopted, replayed in its window, or left to a person."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tupana_etl.outbox import envelopes, rows
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.send import send
from tupana_etl.outbox.states import State

from .office import Office, document


def test_a_refusal_of_a_replay_is_for_a_person(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.vendor.poison = "document_issuer"
    assert office.send().counts == {State.QUARANTINED: 1}
    assert office.row("a").reason_code == "refused_after_doubt"
    assert len(office.vendor.posts) == 2
    office.check()


def test_nothing_is_replayed_while_nobody_can_look(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.vendor.lists = "down"
    result = office.send(wait=90)
    assert result.counts == {State.UNKNOWN: 1}
    assert len(office.vendor.posts) == 1
    assert "could not be looked up" in result.notices[0]
    office.vendor.lists = "rich"
    assert office.send().counts == {State.VERIFIED: 1}
    office.check()


def test_a_storm_past_the_window_ends_at_a_person(office: Office) -> None:
    office.approve("a")
    while office.states()["a"] is not State.QUARANTINED:
        office.vendor.moods = ["cut"] * 50
        office.send(wait=60)
        office.at += timedelta(hours=2)
    first = envelope_of(office, "a").first_send_at
    assert first is not None
    assert office.at - first < timedelta(hours=25)
    posts = len(office.vendor.posts)
    office.send()
    assert len(office.vendor.posts) == posts
    assert office.row("a").reason_code == "window_over"
    office.check()


@pytest.mark.parametrize(("hours", "replayed"), [(19.98, True), (20.02, False), (24.02, False)])
def test_a_key_is_replayed_for_twenty_hours_and_not_a_minute_more(
    office: Office, hours: float, replayed: bool
) -> None:
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.send(wait=0)
    office.at += timedelta(hours=hours)
    office.send(wait=0)
    assert (len(office.vendor.posts) == 2) is replayed
    assert office.states()["a"] is (State.VERIFIED if replayed else State.QUARANTINED)
    office.check()


@pytest.mark.parametrize("moved", [timedelta(hours=-6), timedelta(minutes=-1)])
def test_a_clock_that_went_back_closes_the_window(office: Office, moved: timedelta) -> None:
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.send(wait=0)
    office.at += moved
    for _ in range(3):
        office.send(wait=0)
        office.at += timedelta(hours=4)
    assert len(office.vendor.posts) == 1
    assert office.states()["a"] is State.QUARANTINED


@pytest.mark.parametrize("skew", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_a_server_with_another_time_closes_the_window(office: Office, skew: timedelta) -> None:
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.send(wait=0)
    office.vendor.skew = skew
    office.at += timedelta(minutes=1)
    assert office.send().counts == {State.QUARANTINED: 1}
    assert len(office.vendor.posts) == 1


def test_another_api_key_closes_the_window(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.send(wait=0)
    office.key = "sk-rotated-0123456789"
    office.at += timedelta(minutes=1)
    assert office.send().counts == {State.QUARANTINED: 1}
    assert len(office.vendor.posts) == 1
    office.check()


def test_what_was_never_processed_gets_a_new_key_after_the_window(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["503"] * 100
    office.send(wait=5)
    office.at += timedelta(hours=30)
    office.vendor.moods = []
    assert office.send().counts == {State.VERIFIED: 1}
    assert office.vendor.posts[0][0] != office.vendor.posts[-1][0]
    assert office.vendor.posts[0][1] == office.vendor.posts[-1][1]
    office.check()


def test_two_documents_of_one_row_halt_the_company(office: Office) -> None:
    office.approve("earlier")
    office.send()
    office.at += timedelta(hours=1)
    office.vendor.idempotent = False
    office.vendor.search_delay = timedelta(minutes=2)
    office.approve("a")
    office.vendor.moods = ["lost"]  # executed, and not to be found in time
    assert office.send(wait=600).counts == {State.QUARANTINED: 1}
    assert office.row("a").reason_code == "duplicate"
    office.approve("next")
    office.approve("other", issuer="77777777-7")
    expected = {State.QUARANTINED: 1, State.READY: 1, State.VERIFIED: 1}
    assert office.send().counts == expected


def test_a_second_document_that_appears_after_all_is_seen(office: Office) -> None:
    office.approve("a")
    office.vendor.idempotent = False
    office.vendor.moods = ["late:5"]  # the server executes both, five hours apart
    assert office.send().counts == {State.VERIFIED: 1}
    office.at += timedelta(hours=6)
    result = office.send()
    assert not result.complete
    assert "issued twice" in result.notices[0]
    office.approve("next")
    assert State.READY in office.send().counts


@pytest.mark.parametrize("filter_", ["ignored", "empty"])
def test_a_broken_search_is_noticed_and_the_list_is_read(office: Office, filter_: str) -> None:
    office.approve("earlier")
    office.send()
    office.vendor.filter = filter_
    office.approve("a")
    office.vendor.moods = ["lost"]
    result = office.send()
    assert result.counts == {State.VERIFIED: 1}
    assert len(office.vendor.posts) == 2
    assert any("search by row key does not work" in text for text in result.notices)
    office.check()


def test_a_search_that_lags_costs_one_harmless_replay(office: Office) -> None:
    office.approve("earlier")
    office.send()
    office.at += timedelta(hours=1)
    office.vendor.search_delay = timedelta(minutes=2)
    office.approve("a")
    office.vendor.moods = ["lost"]
    assert office.send(wait=600).counts == {State.VERIFIED: 1}
    office.check()


def test_an_answer_executed_after_the_window_is_found_and_left_to_a_person(
    office: Office,
) -> None:
    office.approve("a")
    office.vendor.moods = ["late:21"]
    office.send(wait=0)
    office.at += timedelta(hours=20.5)
    office.send(wait=0)
    assert office.states()["a"] is State.QUARANTINED
    office.at += timedelta(hours=1)
    result = office.send(wait=0)
    assert "exists as document" in result.notices[0]
    office.check()


def test_following_sends_nothing_and_not_even_again(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.send(wait=0)
    office.approve("b")
    office.at += timedelta(minutes=1)
    ways = office.ways
    result = asyncio.run(send(office.settings, wait=0, ways=ways, follow_only=True))
    assert (result.counts, len(office.vendor.posts)) == ({State.UNKNOWN: 1}, 1)
    assert office.send().counts == {State.VERIFIED: 2}


@pytest.mark.parametrize("restarted", [False, True])
def test_without_the_server_s_time_our_own_clocks_must_agree(
    office: Office, restarted: bool
) -> None:
    office.vendor.tells_time = False
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.send(wait=0)
    office.at += timedelta(minutes=1 if restarted else 10)  # this machine's time stood still
    with pytest.MonkeyPatch.context() as patch:
        if restarted:
            patch.setattr(envelopes, "boot_id", lambda: "another start")
        assert office.send().counts == {State.QUARANTINED: 1}
    assert len(office.vendor.posts) == 1


def test_after_a_rebuild_no_row_is_sent_before_it_was_looked_up(office: Office) -> None:
    office.approve("a", "b")
    tag = office.row("a").row_tag
    office.vendor.issue(document(tag))  # by a sender whose ledger was lost
    with open_ledger(office.home, office.clock) as ledger, ledger.transaction():
        ledger.set_meta("rebuilt_at", ledger.now())
    office.vendor.lists = "down"
    assert office.send().counts == {State.READY: 2}
    assert office.vendor.posts == []
    office.vendor.lists = "rich"
    assert office.send().counts == {State.VERIFIED: 2}
    assert len(office.vendor.posts) == 1
    office.check()


def test_a_sender_stopped_for_a_day_does_not_replay_what_it_had_decided(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["cut"]
    office.send(wait=0)
    office.at += timedelta(minutes=1)
    original = envelopes.open_attempt

    def stopped(*args: Any, **options: Any) -> envelopes.Attempt:
        attempt = original(*args, **options)
        office.at += timedelta(hours=30)  # between the attempt and its first byte
        return attempt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(envelopes, "open_attempt", stopped)
        office.send(wait=0)
    assert len(office.vendor.posts) == 1
    office.at += timedelta(minutes=1)
    office.send(wait=0)
    assert office.states()["a"] is State.QUARANTINED
    assert len(office.vendor.posts) == 1


def envelope_of(office: Office, row_key: str) -> envelopes.Envelope:
    with open_ledger(office.home, office.clock) as ledger:
        return envelopes.get(ledger, rows.newest(ledger)[row_key].envelope_id or 0)
