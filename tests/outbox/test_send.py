"""One run of sending against every way an answer can go wrong. Nothing really waits."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tupana_etl.errors import LedgerError, LockHeld
from tupana_etl.outbox import envelopes, rows
from tupana_etl.outbox.ledger import Ledger, open_ledger, sending
from tupana_etl.outbox.send import send
from tupana_etl.outbox.states import IllegalMove, State

from .office import Office, document


def test_rows_are_sent_once_and_read_back(office: Office) -> None:
    office.approve("a", "b", "c")
    result = office.send()
    assert result.counts == {State.VERIFIED: 3}
    assert result.complete
    assert len(office.vendor.posts) == 1
    row = office.row("a")
    assert row.document_id is not None
    assert row.folio == f"SANDBOX-{row.document_id}"
    assert (row.issued_total, row.flags) == (row.total, "")
    again = office.send()
    assert (again.requests, again.rows, again.complete) == (0, [], True)
    office.check()


@pytest.mark.parametrize(
    ("mood", "posts"),
    [
        ("lost", 1),  # executed, no answer: found by its row key
        ("502_executed", 1),
        ("garbage", 1),  # 202 without a body
        ("cut", 2),  # not executed: looked up, then the same bytes again
        ("500", 2),
        ("409", 2),
        ("garbage_unexecuted", 2),
        ("429", 2),
        ("503", 2),
        ("late:0.005", 1),  # executed 18 seconds after we gave up waiting
    ],
)
@pytest.mark.parametrize("era", ["2026-04", "2026-08"])
def test_one_document_whatever_the_first_answer_was(
    office: Office, mood: str, posts: int, era: str
) -> None:
    if era == "2026-04":
        office.vendor.batch_get, office.vendor.filter, office.vendor.lists = (
            False,
            "ignored",
            "lean",
        )
    office.approve("earlier")
    office.send()
    office.approve("a", "b")
    before = len(office.vendor.posts)
    office.vendor.moods = [mood]
    result = office.send()
    assert result.counts == {State.VERIFIED: 2}
    assert len(office.vendor.posts) - before == posts
    assert len(set(office.vendor.posts[before:])) == 1  # the same key and the same bytes
    office.check()


def test_no_connection_is_no_doubt(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["no_connection"] * 3
    assert office.send().counts == {State.VERIFIED: 1}
    assert office.row("a").ever_ambiguous is False
    assert office.vendor.reads < 8  # nothing was looked up


def test_an_api_that_stays_busy_ends_the_run_and_loses_nothing(office: Office) -> None:
    office.approve("a", "b")
    office.vendor.moods = ["429"] * 500
    result = office.send(wait=60)
    assert result.counts == {State.BOUND: 2}
    assert not result.complete
    assert "given up after" in result.notices[0]
    office.vendor.moods = []
    assert office.send().counts == {State.VERIFIED: 2}
    office.check()


@pytest.mark.parametrize("mood", ["401", "403"])
def test_a_refused_key_stops_and_a_mended_one_goes_on(office: Office, mood: str) -> None:
    office.approve("a")
    office.vendor.moods = [mood]
    result = office.send()
    assert result.counts == {State.BOUND: 1}
    assert result.notices
    assert office.send().counts == {State.VERIFIED: 1}
    office.check()


def test_a_company_refused_does_not_stop_the_others(office: Office) -> None:
    office.approve("a")
    office.approve("b", issuer="77777777-7")
    office.vendor.moods = ["403"]
    assert sorted(office.send().counts) == [State.BOUND, State.VERIFIED]


def test_rows_refused_by_name_leave_the_others_alone(office: Office) -> None:
    office.approve("p", "q", "r")
    office.approve("bad1", "bad2", item="REFUSE")
    office.approve("s", "t")
    result = office.send()
    assert result.counts == {State.VERIFIED: 5, State.REJECTED: 2}
    assert "mal" in office.row("bad1").reason or office.row("bad1").reason_code == "refused"
    assert len({key for key, _ in office.vendor.posts}) == 2
    assert not result.complete
    office.check()


def test_a_refusal_that_names_nobody_is_narrowed_down(office: Office) -> None:
    office.approve(*(f"r{i}" for i in range(64)))
    office.approve("bad", item="POISON")
    office.approve(*(f"s{i}" for i in range(64)))
    office.vendor.poison = "POISON"
    result = office.send()
    assert result.counts == {State.VERIFIED: 128, State.REJECTED: 1}
    assert len(office.vendor.posts) <= 2 * 8 + 1
    assert len({key for key, _ in office.vendor.posts}) == len(office.vendor.posts)
    office.check()


def test_a_company_whose_every_batch_is_refused_is_held_not_rejected(office: Office) -> None:
    office.approve(*(f"r{i}" for i in range(200)))
    office.vendor.poison = "document_issuer"
    result = office.send()
    assert set(result.counts) <= {State.READY, State.BOUND}
    assert len(office.vendor.posts) <= 10
    assert "the cause is not in one row" in result.notices[-1]
    office.vendor.poison = ""
    assert office.send().counts == {State.VERIFIED: 200}
    office.check()


def test_more_rows_than_a_batch_holds_and_a_smaller_cap(office: Office) -> None:
    office.approve(*(f"r{i}" for i in range(201)))
    assert office.send().counts == {State.VERIFIED: 201}
    assert len(office.vendor.posts) == 2
    office.vendor.most = 50
    office.approve(*(f"s{i}" for i in range(120)))
    assert office.send().counts == {State.VERIFIED: 120}
    office.check()


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


def test_a_batch_of_another_envelope_is_nobodys_success(office: Office) -> None:
    office.approve("a")
    office.send()
    office.approve("b")
    batch = office.vendor.batches["b1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            office.vendor,
            "_execute",
            lambda key, body, at: httpx.Response(202, json=office.vendor._told(batch, "batch_id")),
        )
        result = office.send()
    assert result.counts == {State.QUARANTINED: 1}
    assert office.row("b").reason_code == "foreign_batch"


def test_an_answer_with_positions_beyond_the_batch_is_for_a_person(office: Office) -> None:
    office.approve("a")
    told = office.vendor._told

    def more(batch: object, name: str) -> dict[str, object]:
        answer = told(batch, name)  # type: ignore[arg-type]
        return {**answer, "documents": [*answer["documents"], {"index": 7, "status": "success"}]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(office.vendor, "_told", more)
        assert office.send().counts == {State.QUARANTINED: 1}
    assert office.row("a").reason_code == "batch_mismatch"


def test_results_come_by_position_in_any_order(office: Office) -> None:
    keys = [f"r{i}" for i in range(12)]
    office.approve(*keys)
    told = office.vendor._told

    def shuffled(batch: object, name: str) -> dict[str, object]:
        answer = told(batch, name)  # type: ignore[arg-type]
        return {**answer, "documents": answer["documents"][::-1][: 6 if name == "batch_id" else 99]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(office.vendor, "_told", shuffled)
        assert office.send().counts == {State.VERIFIED: 12}
    office.check()


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


def test_an_api_that_drops_json_param_is_stopped(office: Office) -> None:
    office.approve("a")
    office.vendor.keeps_params = False
    result = office.send()
    assert result.counts == {State.QUARANTINED: 1}
    assert office.row("a").reason_code == "tag_missing"
    office.approve("b")
    assert office.send().counts == {State.QUARANTINED: 1, State.READY: 1}


def test_a_document_with_other_amounts_is_for_a_person(office: Office) -> None:
    office.approve("a")
    office.vendor.net_off = 1
    assert office.send().counts == {State.QUARANTINED: 1}
    assert "net +1" in office.row("a").reason or office.row("a").reason_code == "readback"


@pytest.mark.parametrize(("off", "state"), [(1, "VERIFIED"), (-1, "VERIFIED"), (2, "QUARANTINED")])
def test_a_peso_of_iva_is_flagged_two_are_not_let_through(
    office: Office, off: int, state: str
) -> None:
    office.approve("a")
    office.vendor.iva_off = off
    office.send()
    row = office.row("a")
    assert row.state == state
    assert (row.flags == "iva_off_by_one") is (state == "VERIFIED")


@pytest.mark.parametrize("status", ["invalid", "permanent_error"])
def test_a_document_refused_after_acceptance_is_rejected(office: Office, status: str) -> None:
    office.approve("a", "b")
    office.vendor.statuses[office.row("a").row_tag] = status
    result = office.send()
    assert result.counts == {State.REJECTED: 1, State.VERIFIED: 1}
    assert office.row("a").reason_code == status
    office.check()


@pytest.mark.parametrize(
    "status", ["temporary_error", "incomplete", "confirmation_pending", "something_new"]
)
def test_a_status_that_is_not_final_is_stuck_and_never_sent_again(
    office: Office, status: str
) -> None:
    office.approve("a")
    office.vendor.statuses[office.row("a").row_tag] = status
    office.send()
    assert office.states()["a"] is State.ACCEPTED
    office.at += timedelta(minutes=16)
    result = office.send()
    assert result.counts == {State.STUCK: 1}
    for _ in range(4):
        office.at += timedelta(hours=10)
        office.send()
    assert office.states()["a"] is State.QUARANTINED  # after three look-ups over a day
    assert len(office.vendor.posts) == 1
    office.check()


def test_a_result_that_comes_late_still_counts(office: Office) -> None:
    office.approve("a")
    office.vendor.processing = timedelta(hours=2)
    office.send()
    office.at += timedelta(minutes=16)
    office.send()
    assert office.states()["a"] is State.STUCK
    office.at += timedelta(hours=2)
    assert office.send().counts == {State.VERIFIED: 1}
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


def test_a_document_that_sii_rejects_is_kept_and_told(office: Office) -> None:
    office.approve("a")
    office.vendor.state = "rejected"
    result = office.send()
    assert (office.row("a").state, office.row("a").sii_state) == (State.ISSUED, "rejected")
    assert not result.complete
    assert "rejected by SII" in result.notices[0]
    assert len(office.vendor.posts) == 1
    before = office.at
    assert not office.send().complete
    assert office.at == before  # nothing to wait for


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


def test_two_senders_take_turns(office: Office) -> None:
    office.approve("a")
    with sending(office.home, 0), pytest.raises(LockHeld):
        office.send(wait=0)
    assert office.vendor.posts == []
    assert office.send().counts == {State.VERIFIED: 1}


def test_bytes_that_were_changed_on_disk_are_not_sent(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["503"] * 50
    office.send(wait=5)
    with sqlite3.connect(office.home / "ledger.sqlite") as con:
        con.execute("DROP TRIGGER envelope_is_frozen")
        con.execute("UPDATE envelopes SET body = CAST(replace(body, '1000', '9000') AS BLOB)")
    office.vendor.moods = []
    posts = len(office.vendor.posts)
    result = office.send()
    assert result.counts == {State.BOUND: 1}
    assert len(office.vendor.posts) == posts
    assert "not those that were frozen" in result.notices[0]


def test_a_row_planned_anew_is_not_bound_with_its_old_bytes(office: Office) -> None:
    office.approve("a")
    with open_ledger(office.home, office.clock) as ledger:
        old = rows.newest(ledger)["a"]
        with ledger.transaction():
            ledger.con.execute("UPDATE intents SET payload_sha256 = 'other'")
        with pytest.raises(IllegalMove, match="planned anew"):
            envelopes.bind(
                ledger, [old], old.payload or b"", entity=old.entity, environment="sandbox"
            )


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


@pytest.mark.parametrize("commit", range(1, 9))
def test_a_disk_that_fails_at_any_commit_sends_nothing_more(office: Office, commit: int) -> None:
    office.approve("a")
    office.approve("b", issuer="77777777-7")
    left = [commit]
    original = Ledger.transaction

    @contextmanager
    def failing(self: Ledger) -> Iterator[None]:
        left[0] -= 1
        if left[0] > 0:
            with original(self):
                yield
            return
        raise self._failed(sqlite3.OperationalError("database or disk is full"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "transaction", failing)
        with pytest.raises(LedgerError, match="could not be written"):
            office.send()
    posts = len(office.vendor.posts)
    assert posts <= 2
    assert office.send().counts == {State.VERIFIED: 2}
    office.check()


def envelope_of(office: Office, row_key: str) -> envelopes.Envelope:
    with open_ledger(office.home, office.clock) as ledger:
        return envelopes.get(ledger, rows.newest(ledger)[row_key].envelope_id or 0)
