"""Plans against the ledger: what is kept, replaced, withdrawn, refused; and approval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tupana_etl.errors import ConfigError
from tupana_etl.outbox import drafts, envelopes, plan, rows, status
from tupana_etl.outbox.approve import admit_in_sandbox, approve, waiting
from tupana_etl.outbox.backup import back_up
from tupana_etl.outbox.ledger import Ledger, open_ledger
from tupana_etl.outbox.plan import CONFLICT, Caps, Plan
from tupana_etl.outbox.sources import Source
from tupana_etl.outbox.states import State

from .documents import Row, row
from .ledgers import ISSUER, Clock


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path, Clock()) as opened:
        yield opened


def make(ledger: Ledger, *given: Row, source: str = "sales", caps: Caps | None = None) -> Plan:
    placed = [(f"row {n}", r) for n, r in enumerate(given, 1)]
    return plan.make(ledger, Source(source, placed), caps)


def states(made: Plan) -> dict[str, str]:
    return {r.draft.row_key: str(r.state) for r in made.rows}


def a(**changes: object) -> Row:
    return row(row_key="a", **changes)


def b(**changes: object) -> Row:
    return row(row_key="b", **changes)


def in_ledger(ledger: Ledger) -> dict[str, State]:
    return {key: intent.state for key, intent in rows.newest(ledger).items()}


def issue(ledger: Ledger, key: str, last: State = State.VERIFIED) -> None:
    """Takes an approved row to where a send would have."""
    intent = rows.newest(ledger)[key]
    envelope = envelopes.bind(
        ledger, [intent], intent.payload or b"", entity=ISSUER, environment="sandbox"
    )
    attempt = envelopes.open_attempt(ledger, envelope)
    with ledger.transaction():
        envelopes.close_attempt(ledger, attempt, "ACCEPTED", ambiguous=False, batch_id="batch")
        rows.move(ledger, intent.id, State.ACCEPTED, actor="sender", reason="taken in")
        if last == State.REJECTED:
            rows.move(ledger, intent.id, last, actor="poller", reason="invalid")
            return
        rows.move(ledger, intent.id, State.ISSUED, actor="poller", reason="success", folio="77")
        rows.move(ledger, intent.id, State.VERIFIED, actor="verifier", reason="equal")


def test_planning_twice_changes_nothing(ledger: Ledger) -> None:
    first = make(ledger, a(), b(quantity=0))
    events = len(rows.history(ledger, "a")) + len(rows.history(ledger, "b"))
    again = make(ledger, a(), b(quantity=0))
    assert again == first
    assert states(first) == {"a": "PLANNED", "b": "BLOCKED"}
    assert not first.is_clean
    assert len(rows.history(ledger, "a")) + len(rows.history(ledger, "b")) == events == 2
    assert ledger.con.execute("SELECT count(*) FROM plans").fetchone() == (1,)


def test_the_hash_covers_every_byte_that_would_be_sent(ledger: Ledger) -> None:
    hashes = [
        make(ledger, *given).plan_hash
        for given in (
            [a()],
            [a(), b()],
            [b(), a()],
            [a(item_name="Otra cosa")],
            [a(receiver_rut="11111111-1")],
            [a(unit_price=50_074)],
            [b()],
            [],
        )
    ]
    assert len(set(hashes)) == len(hashes)
    assert make(ledger, a(), b(quantity=0)).plan_hash == hashes[0]
    assert make(ledger, a(), source="other").plan_hash != hashes[0]


def test_a_new_plan_takes_the_place_of_the_last_of_its_source(ledger: Ledger) -> None:
    make(ledger, a(), b())
    make(ledger, row(row_key="other"), source="other")
    made = make(ledger, b(unit_price=1))
    assert made.withdrawn == ["a"]
    assert in_ledger(ledger) == {
        "a": State.WITHDRAWN,
        "b": State.PLANNED,
        "other": State.PLANNED,
    }
    assert b'"unit_price":1}' in (rows.newest(ledger)["b"].payload or b"")
    assert states(make(ledger, a(), b(quantity=-1))) == {"a": "PLANNED", "b": "BLOCKED"}
    assert [e.after for e in rows.history(ledger, "a")] == ["PLANNED", "WITHDRAWN", "PLANNED"]


def test_another_source_takes_a_row_over_and_voids_the_plan_it_was_in(ledger: Ledger) -> None:
    first = make(ledger, a(), b())
    second = make(ledger, a(), source="renamed")
    with pytest.raises(ConfigError, match="not the newest"):
        approve(ledger, first.plan_hash, "Ana")
    assert approve(ledger, second.plan_hash, "Ana").newly == 1
    assert in_ledger(ledger) == {"a": State.READY, "b": State.PLANNED}
    assert make(ledger, b()).withdrawn == []


def test_approving_lets_exactly_the_planned_rows_be_sent(ledger: Ledger) -> None:
    made = make(ledger, a(), b(quantity=0))
    done = approve(ledger, made.plan_hash[:8].upper(), " Ana Rojas ", note="month end")
    assert (done.newly, done.ready, done.by) == (1, 1, "Ana Rojas")
    assert in_ledger(ledger) == {"a": State.READY, "b": State.BLOCKED}
    assert rows.history(ledger, "a")[-1].actor == "Ana Rojas"
    assert ledger.con.execute("SELECT kind, by, note FROM approvals").fetchall() == [
        ("plan", "Ana Rojas", "month end")
    ]
    assert approve(ledger, made.plan_hash, "Eva").newly == 0
    assert ledger.con.execute("SELECT count(*) FROM approvals").fetchone() == (1,)


@pytest.mark.parametrize("given", ["", "abc", "0" * 32, "not a hash at all"])
def test_a_hash_that_was_never_planned_is_refused(ledger: Ledger, given: str) -> None:
    make(ledger, a())
    with pytest.raises(ConfigError):
        approve(ledger, given, "Ana")


def test_an_approval_has_a_name(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="name"):
        approve(ledger, make(ledger, a()).plan_hash, "  ")


def test_a_superseded_plan_is_refused_and_the_newer_named(ledger: Ledger) -> None:
    old = make(ledger, a())
    new = make(ledger, a(unit_price=5))
    with pytest.raises(ConfigError, match=new.plan_hash):
        approve(ledger, old.plan_hash, "Ana")
    assert in_ledger(ledger) == {"a": State.PLANNED}
    assert make(ledger, a()).plan_hash == old.plan_hash
    assert approve(ledger, old.plan_hash, "Ana").newly == 1  # it is the newest again


def test_an_approved_row_keeps_its_approval_only_while_it_stays_the_same(ledger: Ledger) -> None:
    approve(ledger, make(ledger, a(), b()).plan_hash, "Ana")
    made = make(ledger, a(), b(item_name="Otra cosa"), row(row_key="c"))
    assert states(made) == {"a": "READY", "b": "PLANNED", "c": "PLANNED"}
    assert rows.newest(ledger)["b"].approval_id is None
    assert approve(ledger, made.plan_hash, "Ana").newly == 2
    assert states(make(ledger, a())) == {"a": "READY"}
    assert in_ledger(ledger)["b"] == State.WITHDRAWN


def test_what_was_sent_is_never_planned_again(ledger: Ledger) -> None:
    approve(ledger, make(ledger, a(), b()).plan_hash, "Ana")
    issue(ledger, "a")
    made = make(ledger, a(), b())
    assert states(made) == {"a": "VERIFIED", "b": "READY"}
    assert made.is_clean
    made = make(ledger, a(unit_price=99), b())
    (changed, _) = made.rows
    assert (changed.state, changed.reason_code) == (CONFLICT, "conflict")
    assert "folio 77" in changed.reason
    assert "61" in changed.reason
    assert not made.is_clean
    assert states(make(ledger, a(quantity=0), b()))["a"] == CONFLICT
    assert make(ledger, b()).withdrawn == []
    assert len(rows.generations(ledger, "a")) == 1
    assert in_ledger(ledger)["a"] == State.VERIFIED


def test_a_later_version_that_writes_other_json_finds_no_conflict(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve(ledger, make(ledger, a(), b()).plan_hash, "Ana")
    issue(ledger, "a")
    monkeypatch.setattr(drafts, "HEADER", tuple(n for n in drafts.HEADER if n != "due_date"))
    made = make(ledger, a(), b())
    assert states(made) == {"a": "VERIFIED", "b": "PLANNED"}  # other bytes need a new approval
    assert states(make(ledger, a(unit_price=99), b()))["a"] == CONFLICT


def test_a_frozen_row_is_sent_as_it_was_approved(ledger: Ledger) -> None:
    approve(ledger, make(ledger, a()).plan_hash, "Ana")
    intent = rows.newest(ledger)["a"]
    envelopes.bind(ledger, [intent], intent.payload or b"", entity=ISSUER, environment="sandbox")
    made = make(ledger, a(unit_price=1))
    assert states(made) == {"a": CONFLICT}
    assert rows.newest(ledger)["a"].payload == intent.payload


def test_a_rejected_row_is_planned_again_only_when_it_changed(ledger: Ledger) -> None:
    approve(ledger, make(ledger, a()).plan_hash, "Ana")
    issue(ledger, "a", State.REJECTED)
    assert states(make(ledger, a())) == {"a": "REJECTED"}
    made = make(ledger, a(item_name="Otra cosa"))
    assert states(made) == {"a": "PLANNED"}
    assert [(i.generation, i.state) for i in rows.generations(ledger, "a")] == [
        (1, State.REJECTED),
        (2, State.PLANNED),
    ]
    assert {i.row_tag for i in rows.generations(ledger, "a")} == {ledger.pepper.tag("issue", "a")}
    assert approve(ledger, made.plan_hash, "Ana").newly == 1


def test_a_row_that_a_person_gave_up_stays_given_up(ledger: Ledger) -> None:
    make(ledger, a())
    with ledger.transaction():
        gave_up = {"actor": "Ana", "reason": "a test", "by_person": True}
        rows.move(ledger, 1, State.ABANDONED, **gave_up)  # type: ignore[arg-type]
    assert states(make(ledger, a(unit_price=7))) == {"a": "ABANDONED"}


def test_caps_ask_for_a_person_even_in_a_sandbox(ledger: Ledger) -> None:
    make(ledger, a(), b(), caps=Caps(documents=1))
    assert admit_in_sandbox(ledger, "loopback") == 0
    assert [why for *_, why in waiting(ledger)] == ["2 documents, more than the cap of 1"]
    made = make(ledger, a(), b(), caps=Caps(clp=238_357))
    assert "238358 pesos" in made.over_caps
    assert admit_in_sandbox(ledger, "loopback") == 0
    assert approve(ledger, made.plan_hash, "Ana").newly == 2


def test_a_proven_sandbox_admits_what_is_under_the_caps(ledger: Ledger) -> None:
    make(ledger, a())
    with pytest.raises(ValueError, match="proof"):
        admit_in_sandbox(ledger, "")
    assert admit_in_sandbox(ledger, "the base URL is this machine") == 1
    assert in_ledger(ledger) == {"a": State.READY}
    assert waiting(ledger) == []
    kind, note = ledger.con.execute("SELECT kind, note FROM approvals").fetchone()
    assert (kind, note) == ("sandbox", "the base URL is this machine")


def test_status_is_done_only_when_nothing_is_left(ledger: Ledger) -> None:
    assert status.is_done(status.current(ledger))
    approve(ledger, make(ledger, a(), b()).plan_hash, "Ana")
    issue(ledger, "a")
    assert not status.is_done(status.current(ledger))
    issue(ledger, "b", State.REJECTED)
    assert not status.is_done(status.current(ledger))
    with ledger.transaction():
        rows.acknowledge(ledger, rows.newest(ledger)["b"].id, by="Ana", reason="will not mend")
    assert status.is_done(status.current(ledger))


def test_a_backup_is_a_ledger(ledger: Ledger, tmp_path: Path) -> None:
    make(ledger, a())
    folder = tmp_path / "safe" / "today"
    back_up(ledger, folder)
    assert {p.name for p in folder.iterdir()} == {"ledger.sqlite", "ledger.pepper"}
    assert all(p.stat().st_mode & 0o077 == 0 for p in folder.iterdir())
    with pytest.raises(ConfigError, match="never overwrites"):
        back_up(ledger, folder)
    for name in ("ledger.sqlite", "ledger.pepper"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with open_ledger(tmp_path) as restored:
        assert in_ledger(restored) == {"a": State.PLANNED}


def test_ten_thousand_rows_are_planned_in_one_go(ledger: Ledger) -> None:
    many = [row(row_key=f"sale:{n}", unit_price=n) for n in range(1, 10_001)]
    made = make(ledger, *many)
    assert len(made.rows) == 10_000
    assert made.over_caps
    assert rows.counts(ledger) == {State.PLANNED: 10_000}
    assert rows.first_broken_event(ledger) is None
