"""Rows move as the table says and no other way; what is frozen stays frozen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tupana_etl.outbox import envelopes, rows
from tupana_etl.outbox.ledger import Ledger, open_ledger
from tupana_etl.outbox.states import BY_A_PERSON, DEAD, MOVES, RESTING, IllegalMove, State

from .ledgers import ISSUER, Clock, bound, doubtful, put, ready


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    with open_ledger(tmp_path, clock) as opened:
        yield opened


def move(ledger: Ledger, row_id: int, to: State, *, by_person: bool = False) -> None:
    with ledger.transaction():
        rows.move(ledger, row_id, to, actor="test", reason="why", by_person=by_person)


def test_the_table_of_moves_is_sound() -> None:
    assert set(MOVES) == set(State)
    assert all(not MOVES[state] for state in DEAD | {State.VERIFIED})
    assert all(state not in MOVES[state] for state in State)
    assert State.READY not in MOVES[State.UNKNOWN]
    assert all(after in MOVES[before] for before, after in BY_A_PERSON)
    assert {State.QUARANTINED, State.UNKNOWN, State.REJECTED}.isdisjoint(RESTING)
    # Once bytes may have left, only a result, a doubt or a person leads on.
    never_again = {State.UNKNOWN, State.ACCEPTED, State.STUCK, State.ISSUED, State.QUARANTINED}
    for state in never_again:
        assert MOVES[state].isdisjoint({State.READY, State.BOUND, State.IN_FLIGHT, State.PLANNED})


def test_every_other_move_is_refused(ledger: Ledger) -> None:
    for before in State:
        row_id = put(ledger, f"row {before}", before)
        for after in set(State) - MOVES[before] - {before}:
            with pytest.raises(IllegalMove):
                rows.move(ledger, row_id, after, actor="test", reason="why", by_person=True)
        assert rows.get(ledger, row_id).state == before
        assert len(rows.history(ledger, f"row {before}")) == 1


def test_some_moves_need_a_person(ledger: Ledger) -> None:
    row_id = put(ledger, "row", State.QUARANTINED)
    with pytest.raises(IllegalMove, match="named person"):
        move(ledger, row_id, State.ABANDONED)
    move(ledger, row_id, State.ABANDONED, by_person=True)


def test_one_generation_of_a_row_key_lives(ledger: Ledger) -> None:
    first = put(ledger, "row", State.QUARANTINED)
    with pytest.raises(sqlite3.IntegrityError):
        put(ledger, "row", generation=2)
    move(ledger, first, State.RELEASED, by_person=True)
    put(ledger, "row", generation=2)
    assert [(i.generation, i.state) for i in rows.generations(ledger, "row")] == [
        (1, State.RELEASED),
        (2, State.PLANNED),
    ]
    alive = rows.live(ledger, "row")
    assert alive is not None
    assert alive.generation == 2


def test_nothing_becomes_ready_without_an_approval(ledger: Ledger) -> None:
    row_id = put(ledger, "row")
    with pytest.raises(sqlite3.IntegrityError, match="approval"):
        move(ledger, row_id, State.READY)


def test_history_says_who_when_and_why(ledger: Ledger, clock: Clock) -> None:
    (intent,) = ready(ledger, "row")
    clock.pass_(hours=1)
    envelopes.bind(ledger, [intent], b"{}", entity=ISSUER, environment="sandbox")
    told = rows.history(ledger, "row")
    assert [(e.actor, e.before, e.after, e.reason) for e in told] == [
        ("planner", None, "PLANNED", "planned"),
        ("Ana", "PLANNED", "READY", "approved"),
        ("binder", "READY", "BOUND", "frozen for sending"),
    ]
    assert told[-1].at == "2026-11-24T13:00:00.000000+00:00"
    assert told[-1].evidence["envelope"] == 1


def test_a_rewritten_event_is_found(ledger: Ledger) -> None:
    for key in "abc":
        put(ledger, key)
    assert rows.first_broken_event(ledger) is None
    with pytest.raises(sqlite3.IntegrityError, match="rewritten"):
        ledger.con.execute("UPDATE events SET actor = 'nobody' WHERE id = 2")
    ledger.con.execute("DROP TRIGGER events_are_written_once")
    ledger.con.execute("UPDATE events SET actor = 'nobody' WHERE id = 2")
    assert rows.first_broken_event(ledger) == 2


def test_what_is_bound_is_frozen(ledger: Ledger) -> None:
    bound(ledger, "a", "b")
    for statement in (
        "UPDATE envelopes SET body = x'00'",
        "UPDATE envelopes SET idem_key = 'other'",
        "UPDATE intents SET payload_sha256 = 'other'",
        "UPDATE intents SET row_key = 'other'",
        "DELETE FROM intents",
        "DELETE FROM envelopes",
        "DELETE FROM members",
        "UPDATE members SET position = 7",
        "DELETE FROM events",
    ):
        with pytest.raises(sqlite3.IntegrityError):
            ledger.con.execute(statement)


def test_a_doubt_is_never_forgotten(ledger: Ledger) -> None:
    doubtful(ledger, bound(ledger, "row"))
    for table in ("envelopes", "intents"):
        with pytest.raises(sqlite3.IntegrityError, match="never forgotten"):
            ledger.con.execute(f"UPDATE {table} SET ever_ambiguous = 0")


def test_an_attempt_is_recorded_before_anything_else(ledger: Ledger, clock: Clock) -> None:
    envelope = bound(ledger, "b", "a")
    attempt = envelopes.open_attempt(ledger, envelope)
    now = envelopes.get(ledger, envelope.id)
    assert (now.first_send_at, now.safe_until) == (clock.at, clock.at + timedelta(hours=20))
    assert [i.state for i in envelopes.members(ledger, envelope.id)] == [State.IN_FLIGHT] * 2
    assert [i.row_key for i in envelopes.members(ledger, envelope.id)] == ["b", "a"]
    assert envelopes.open_attempts(ledger) == [attempt]


def test_an_envelope_in_flight_is_not_sent_again(ledger: Ledger) -> None:
    envelope = bound(ledger, "row")
    envelopes.open_attempt(ledger, envelope)
    with pytest.raises(IllegalMove, match="IN_FLIGHT"):
        envelopes.open_attempt(ledger, envelope)


def test_a_doubtful_envelope_is_replayed_only_after_a_look_up(ledger: Ledger, clock: Clock) -> None:
    before = clock.at
    clock.pass_(minutes=1)
    envelope = doubtful(ledger, bound(ledger, "row"))
    with pytest.raises(IllegalMove, match="looked"):
        envelopes.open_attempt(ledger, envelope)
    with pytest.raises(IllegalMove, match="looked"):
        envelopes.open_attempt(ledger, envelope, looked_up_at=before)
    clock.pass_(minutes=1)
    attempt = envelopes.open_attempt(ledger, envelope, looked_up_at=clock.at)
    assert attempt.number == 2
    assert envelopes.members(ledger, envelope.id)[0].state == State.UNKNOWN


def test_the_window_counts_from_the_first_send_and_ends(ledger: Ledger, clock: Clock) -> None:
    envelope = doubtful(ledger, bound(ledger, "row"))
    clock.pass_(hours=19, minutes=59)
    attempt = envelopes.open_attempt(ledger, envelope, looked_up_at=clock.at)
    with ledger.transaction():
        envelopes.close_attempt(ledger, attempt, "AMBIGUOUS", ambiguous=True)
    clock.pass_(minutes=2)
    with pytest.raises(IllegalMove, match="window is over"):
        envelopes.open_attempt(ledger, envelope, looked_up_at=clock.at)


def test_a_window_that_was_closed_stays_closed(ledger: Ledger, clock: Clock) -> None:
    envelope = doubtful(ledger, bound(ledger, "row"))
    with ledger.transaction():
        envelopes.close_window(ledger, envelope.id, "the clock jumped")
    with pytest.raises(IllegalMove, match="clock jumped"):
        envelopes.open_attempt(ledger, envelope, looked_up_at=clock.pass_(minutes=1))


def test_a_clock_that_went_back_stops_a_replay(ledger: Ledger, clock: Clock) -> None:
    envelope = doubtful(ledger, bound(ledger, "row"))
    clock.pass_(hours=-6)
    with pytest.raises(IllegalMove, match="backwards"):
        envelopes.open_attempt(ledger, envelope, looked_up_at=clock.at)


def test_the_key_follows_from_the_content(ledger: Ledger) -> None:
    one, two = ready(ledger, "a", "b")
    keys = {
        envelopes.idempotency_key("issue", ISSUER, env, sha, members)
        for env in ("sandbox", "production")
        for sha in ("x", "y")
        for members in ([one], [two], [one, two], [two, one])
    }
    assert len(keys) == 16
    assert all(len(key) <= 256 and key.isascii() for key in keys)
    assert envelopes.idempotency_key("issue", ISSUER, "sandbox", "x", [one]) in keys


def test_rows_of_a_retired_envelope_get_another_key(ledger: Ledger) -> None:
    first = bound(ledger, "a", "b")
    with ledger.transaction():
        envelopes.retire(ledger, first.id, actor="sender", reason="refused whole")
    intents = rows.in_state(ledger, [State.READY])
    assert [i.envelope_id for i in intents] == [None, None]
    again = envelopes.bind(ledger, intents, first.body, entity=ISSUER, environment="sandbox")
    assert again.sha256 == first.sha256
    assert again.idem_key != first.idem_key
    with pytest.raises(IllegalMove, match="bound anew"):
        envelopes.open_attempt(ledger, first)


def test_a_doubtful_envelope_is_never_retired(ledger: Ledger) -> None:
    envelope = doubtful(ledger, bound(ledger, "row"))
    with pytest.raises(IllegalMove, match="may have been executed"), ledger.transaction():
        envelopes.retire(ledger, envelope.id, actor="sender", reason="hope")


def test_an_envelope_keeps_to_one_company_and_the_cap(ledger: Ledger) -> None:
    intents = ready(ledger, "a")
    for wrong in ([], intents * 201):
        with pytest.raises(IllegalMove):
            envelopes.bind(ledger, wrong, b"{}", entity=ISSUER, environment="sandbox")
    with pytest.raises(IllegalMove, match="one company"):
        envelopes.bind(ledger, intents, b"{}", entity="77777777-7", environment="sandbox")


def test_only_a_ready_row_is_bound(ledger: Ledger) -> None:
    (intent,) = ready(ledger, "a")
    envelopes.bind(ledger, [intent], b"{}", entity=ISSUER, environment="sandbox")
    with pytest.raises(IllegalMove):
        envelopes.bind(ledger, [intent], b"{ }", entity=ISSUER, environment="sandbox")


def test_the_tag_hides_the_row_key_and_is_the_same_for_every_generation(ledger: Ledger) -> None:
    tag = ledger.pepper.tag("issue", "76086428-5:2026-11")
    assert "76086428" not in tag
    assert tag == ledger.pepper.tag("issue", "76086428-5:2026-11")
    assert len({tag, ledger.pepper.tag("issue", "x"), ledger.pepper.tag("state", "x")}) == 3
