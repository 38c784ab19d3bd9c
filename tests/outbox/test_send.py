"""One run of sending against every way an answer can go wrong. Nothing really waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from tupana_etl.errors import LedgerError, LockHeld
from tupana_etl.outbox import envelopes, rows
from tupana_etl.outbox.ledger import Ledger, open_ledger, sending
from tupana_etl.outbox.states import IllegalMove, State

from .office import Office


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


def test_another_ledger_of_the_same_company_is_seen_and_said(office: Office) -> None:
    """Two machines cannot be kept apart from here; the second to look says so, once."""
    other, later = (Office(office.home.with_name(name)) for name in ("other", "later"))
    other.vendor = later.vendor = office.vendor
    office.approve("a", "b")
    assert office.send().notices == []
    other.approve("c")
    (said,) = other.send().notices
    assert "another ledger issues for the company" in said
    office.approve("d")
    assert office.send().notices, "and so does the first"
    later.at = office.at = office.at + timedelta(days=1)
    later.approve("e", date="2026-11-25")
    assert later.send().notices == [], "what was issued before a ledger began may be an old one's"
