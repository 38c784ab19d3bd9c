"""Payments against the sandbox over real HTTP: at most one entry a row, whatever breaks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tupana_etl.domain import today, utcnow
from tupana_etl.outbox import payment_contract, rows, sources
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.plan import Caps
from tupana_etl.outbox.states import State
from tupana_etl.pipeline import rebuild_marts, sync

from .desk import REPO
from .till import Document, Till, fault, open_till

STATEMENT = REPO / "sql" / "outbox" / "payments" / "bank_statement.sql"


@pytest.fixture(scope="module")
def served() -> Iterator[Till]:
    with open_till() as opened:
        yield opened


@pytest.fixture
def till(served: Till) -> Till:
    """The module's sandbox and what is published of it, as if nothing had been booked."""
    served.reset()
    return served


@pytest.fixture(scope="module")
def unpaid(served: Till) -> list[Document]:
    return served.invoices("NOT is_paid")


@pytest.fixture(scope="module")
def paid(served: Till) -> list[Document]:
    return served.invoices("is_paid")


def test_a_payment_is_booked_once_and_read_back(till: Till, unpaid: list[Document]) -> None:
    made = till.plan_payments(till.payment("bank:1", unpaid[0]), till.payment("bank:2", unpaid[1]))
    assert [row.state for row in made.rows] == [State.PLANNED, State.PLANNED]
    assert made.rows[0].draft.total
    result = till.send()
    assert result.counts == {State.VERIFIED: 2}, result.notices
    wanted = {f"{document[3]}/PAID": 1 for document in unpaid[:2]}
    assert till.entries() == wanted
    again = till.plan_payments(till.payment("bank:1", unpaid[0]), till.payment("bank:2", unpaid[1]))
    assert {row.state for row in again.rows} == {State.VERIFIED}
    assert till.send().requests == 0
    assert till.entries() == wanted


def test_the_day_of_a_payment_is_published_and_comes_again_with_the_ledger(
    till: Till, unpaid: list[Document]
) -> None:
    document, day = unpaid[-1], today() - timedelta(days=3)
    dated = f"""SELECT timezone('America/Santiago', paid_at)::DATE, paid_at_source
        FROM marts.documents WHERE doc_key = '{"|".join(document[:3])}'"""
    till.plan_payments(till.payment("bank:1", document, paid_on=day.isoformat()))
    assert till.send().counts == {State.VERIFIED: 1}
    sync(till.settings)
    assert till.ask(dated) == [(day, "outbox")]
    everything = "SELECT * FROM marts.documents ORDER BY ALL"
    published = till.ask(everything)
    rebuild_marts(till.settings, from_lake=True)
    assert till.ask(everything) == published
    for file in till.home.glob("ledger.*"):
        file.unlink()
    rebuild_marts(till.settings, from_lake=True)
    assert till.ask(dated) == [(today(), "observed")]


def test_what_is_paid_already_is_adopted_and_never_sent(till: Till, paid: list[Document]) -> None:
    made = till.plan_payments(till.payment("bank:1", paid[0]))
    assert "adopted" in made.rows[0].reason
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 0)
    assert result.rows[0].flags == "adopted"
    assert till.entries() == {}


def test_paid_unpaid_and_paid_again_are_rows_of_their_own(
    till: Till, unpaid: list[Document]
) -> None:
    document = unpaid[0]
    till.plan_payments(till.payment("bank:1", document))
    till.send()
    till.plan_payments(till.payment("undo:1", document, event="UNPAID", paid_on=""))
    till.send()
    second = till.plan_payments(till.payment("bank:1", document))
    assert second.rows[0].state == State.VERIFIED
    till.send()
    assert till.entries() == {f"{document[3]}/PAID": 1, f"{document[3]}/UNPAID": 1}
    till.plan_payments(till.payment("bank:2", document))
    assert till.send().counts == {State.VERIFIED: 1}
    assert till.entries()[f"{document[3]}/PAID"] == 2


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("lost", None), ("lost", "reset"), ("done_status", 502), ("html", None), ("reset_body", None)],
)
def test_a_lost_answer_is_read_and_adopted(
    till: Till, unpaid: list[Document], kind: str, argument: Any
) -> None:
    till.plan_payments(till.payment("bank:1", unpaid[0]))
    till.desk.lever("/faults", faults=[fault(kind, argument)])
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 1), result.notices
    assert till.entries() == {f"{unpaid[0][3]}/PAID": 1}


@pytest.mark.parametrize(("kind", "status", "times"), [("done_status", 400, 1), ("status", 422, 0)])
def test_a_refusal_is_read_before_it_is_believed(
    till: Till, unpaid: list[Document], kind: str, status: int, times: int
) -> None:
    end = State.VERIFIED if times else State.REJECTED
    row = till.payment("bank:1", unpaid[0])
    till.plan_payments(row)
    till.desk.lever("/faults", faults=[fault(kind, status)])
    result = till.send()
    assert (result.counts, result.requests) == ({end: 1}, 1), result.notices
    assert sum(till.entries().values()) == times
    assert till.plan_payments(row).rows[0].state == end, "nothing is booked again by itself"
    assert till.send().requests == 0


@pytest.mark.parametrize(
    ("kind", "argument"), [("reset", None), ("close", None), ("status", 504), ("status", 409)]
)
def test_a_lost_call_waits_for_a_person(
    till: Till, unpaid: list[Document], kind: str, argument: Any
) -> None:
    till.plan_payments(till.payment("bank:1", unpaid[0]))
    till.desk.lever("/faults", faults=[fault(kind, argument)])
    result = till.send()
    assert (result.counts, result.requests) == ({State.QUARANTINED: 1}, 1)
    assert not result.complete
    assert till.send().requests == 0
    # Another row about the document would be the same payment: it waits too.
    till.plan_payments(till.payment("bank:2", unpaid[0]))
    waiting = till.send()
    assert waiting.requests == 0
    assert "bank:1" in " ".join(waiting.notices)
    assert till.entries() == {}


@pytest.mark.parametrize(("kind", "argument"), [("429", 0), ("503", None)])
def test_what_was_not_processed_is_sent_again(
    till: Till, unpaid: list[Document], kind: str, argument: Any
) -> None:
    till.plan_payments(till.payment("bank:1", unpaid[0]))
    till.desk.lever("/faults", faults=[fault(kind, argument)])
    assert till.send().counts == {State.VERIFIED: 1}
    assert till.entries() == {f"{unpaid[0][3]}/PAID": 1}


def test_a_late_entry_is_told_and_adopted_by_a_person(till: Till, unpaid: list[Document]) -> None:
    till.plan_payments(till.payment("bank:1", unpaid[0]))
    till.desk.lever("/faults", faults=[fault("later", 60)])
    assert till.send().counts == {State.QUARANTINED: 1}
    till.desk.lever("/clock", seconds=61)
    told = till.send()
    assert (told.counts, told.requests) == ({State.QUARANTINED: 1}, 0)
    assert "adopt it" in told.notices[0]
    assert till.resolve("bank:1", "adopt").state is State.VERIFIED
    assert till.entries() == {f"{unpaid[0][3]}/PAID": 1}


def test_a_person_releases_only_what_stayed_away_for_a_day(
    till: Till, unpaid: list[Document]
) -> None:
    till.plan_payments(till.payment("bank:1", unpaid[0]))
    till.desk.lever("/faults", faults=[fault("reset")])
    till.send()
    with pytest.raises(Exception, match="may still happen"):
        till.resolve("bank:1", "release")
    till.send()
    tomorrow: dict[str, Any] = {"clock": lambda: utcnow() + timedelta(hours=25)}
    till.send(**tomorrow)
    assert till.resolve("bank:1", "release", **tomorrow).state is State.READY
    assert till.send(**tomorrow).counts == {State.VERIFIED: 1}
    assert till.entries() == {f"{unpaid[0][3]}/PAID": 1}


def test_rows_that_may_not_be_booked_say_why(till: Till, unpaid: list[Document]) -> None:
    document = unpaid[0]
    issuer, kind, folio, _ = document
    tomorrow = (today() + timedelta(days=1)).isoformat()
    wanted = {
        "unknown_document": till.payment("a", (issuer, kind, "99999999", "")),
        "legal_act": till.payment("b", document, event="RCD"),
        "bad_value": till.payment("c", (issuer, "61", folio, "")),
        "missing": till.payment("d", unpaid[1], paid_on=""),
        "out_of_range": till.payment("e", unpaid[2], paid_on=tomorrow),
        "no_match": till.payment("f", ("", "", "", ""), no_match="two invoices of this amount"),
    }
    made = till.plan_payments(*wanted.values())
    assert {row.draft.row_key: row.reason_code for row in made.rows} == {
        row["row_key"]: code for code, row in wanted.items()
    }
    assert "legal act" in made.rows[1].reason
    assert made.rows[5].reason == "two invoices of this amount"
    twice = till.plan_payments(till.payment("g", unpaid[3]), till.payment("h", unpaid[3]))
    assert {row.reason_code for row in twice.rows} == {"same_document"}
    assert till.send().requests == 0


def test_a_row_key_is_of_one_kind(till: Till, unpaid: list[Document]) -> None:
    till.desk.approve(till.home, "sale:1")
    made = till.plan_payments(till.payment("sale:1", unpaid[0]))
    assert made.rows[0].reason_code == "row_key_taken"
    assert till.states() == {"sale:1": State.READY}


def test_a_payment_of_what_is_not_verified_waits(till: Till, unpaid: list[Document]) -> None:
    document = unpaid[0]
    till.plan_payments(till.payment("bank:1", document))
    till.desk.approve(till.home, "invoice:1", issuer=document[0])
    with open_ledger(till.home) as ledger, ledger.transaction():
        issued = rows.newest(ledger)["invoice:1"]
        rows.move(ledger, issued.id, State.ISSUED, actor="test", reason="", document_id=document[3])
        rows.move(ledger, issued.id, State.QUARANTINED, actor="test", reason="differs")
    result = till.send()
    assert result.requests == 0
    assert "invoice:1" in " ".join(result.notices)
    assert till.states()["bank:1"] is State.READY


def test_above_the_caps_a_person_approves(till: Till, unpaid: list[Document]) -> None:
    made = till.plan_payments(till.payment("bank:1", unpaid[0]), caps=Caps(documents=0))
    assert made.over_caps
    assert till.send().requests == 0
    till.approve(made)
    assert till.send().counts == {State.VERIFIED: 1}


def test_the_bank_statement_fits_what_is_published(till: Till) -> None:
    read = sources.read(
        str(STATEMENT), till.settings.analytics, till.home, payment_contract.COLUMNS
    )
    assert read.rows == []  # no statement, no payment


@pytest.mark.parametrize(
    "failpoint",
    [
        *("bind.after", "attempt.after", "post.body_out", "post.answered"),
        *("result.before", "result.after"),
    ],
)
def test_killed_anywhere_it_is_booked_at_most_once(
    till: Till, unpaid: list[Document], failpoint: str
) -> None:
    made = till.plan_payments(till.payment("bank:1", unpaid[0]))
    till.approve(made)
    assert till.desk.send(till.home, failpoint) != 0
    till.send()
    booked = till.entries().get(f"{unpaid[0][3]}/PAID", 0)
    state = till.states()["bank:1"]
    assert booked <= 1
    assert state is (State.VERIFIED if booked else State.QUARANTINED)
