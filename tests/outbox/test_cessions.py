"""Cessions against the sandbox over real HTTP, both contracts: at most one an invoice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tupana_etl.domain import utcnow
from tupana_etl.outbox import cession_contract, sources
from tupana_etl.outbox.reading import UNSURE
from tupana_etl.outbox.states import State

from .desk import REPO
from .till import FACTOR, Document, Till, fault, open_till

PATH = "/cessions/batch"


@pytest.fixture(scope="module", params=["2026-04", "2026-08"])
def served(request: pytest.FixtureRequest) -> Iterator[Till]:
    with open_till(contract=request.param, documents=200) as opened:
        yield opened


@pytest.fixture
def till(served: Till) -> Till:
    """The module's sandbox and what is published of it, as if nothing had been ceded."""
    served.reset()
    return served


@pytest.fixture(scope="module")
def invoices(served: Till) -> list[Document]:
    """Invoices of one company that may be ceded."""
    found = served.ask(
        "SELECT issuer_rut, dte_type_code, folio, document_id FROM marts.factoring_candidates c "
        "JOIN marts.documents d USING (issuer_rut, dte_type_code, folio, document_id) "
        "WHERE eligible AND c.open_balance_clp = d.total_clp ORDER BY issuer_rut, folio"
    )
    mine = [tuple(map(str, row)) for row in found if row[0] == found[0][0]]
    assert len(mine) >= 3
    return mine  # type: ignore[return-value]


def planned(till: Till, *documents: Document, **other: str) -> None:
    plan = till.plan_cessions(
        *(till.cession(f"op1:{document[2]}", document, **other) for document in documents)
    )
    assert [row.state for row in plan.rows] == [State.PLANNED] * len(documents), plan.rows
    till.approve(plan)


def test_invoices_are_ceded_once_and_read_back(till: Till, invoices: list[Document]) -> None:
    planned(till, *invoices[:3])
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 3}, 1), result.notices
    assert all(row.issued_total == row.total for row in result.rows)
    wanted = {document[3]: 1 for document in invoices[:3]}
    assert till.ceded() == wanted
    assert till.send().requests == 0
    assert till.ceded() == wanted


def test_nobody_cedes_without_a_name_not_even_in_a_sandbox(
    till: Till, invoices: list[Document]
) -> None:
    plan = till.plan_cessions(till.cession("op1", invoices[0]))
    assert "named person" in plan.over_caps
    assert till.send().requests == 0
    assert till.states() == {"op1": State.PLANNED}


def test_another_assignee_or_amount_after_approval_is_another_plan(
    till: Till, invoices: list[Document]
) -> None:
    first = till.plan_cessions(till.cession("op1", invoices[0]))
    till.approve(first)
    other = {"assignee_rut": "77777777-7"}
    edited = till.plan_cessions(till.cession("op1", invoices[0], **other))
    assert edited.plan_hash != first.plan_hash
    assert till.states() == {"op1": State.PLANNED}
    with pytest.raises(Exception, match="not the newest"):
        till.approve(first)
    assert till.send().requests == 0
    wrong = till.plan_cessions(till.cession("op1", invoices[0], amount="1"))
    assert wrong.rows[0].reason_code == "arithmetic"


def test_one_failed_of_three_is_rejected_alone(till: Till, invoices: list[Document]) -> None:
    planned(till, *invoices[:3])
    till.desk.lever("/faults", faults=[fault("cession_fails", 1, PATH)])
    result = till.send()
    assert result.counts == {State.VERIFIED: 2, State.REJECTED: 1}, result.notices
    assert not result.complete
    again = till.plan_cessions(
        *(till.cession(f"op1:{document[2]}", document) for document in invoices[:3])
    )
    assert not any(row.will_be_sent for row in again.rows)
    assert till.send().requests == 0
    assert sum(till.ceded().values()) == 2


@pytest.mark.parametrize(
    ("kind", "argument"), [("lost", None), ("done_status", 502), ("html", None)]
)
def test_a_lost_answer_is_found_in_the_list(
    till: Till, invoices: list[Document], kind: str, argument: Any
) -> None:
    planned(till, *invoices[:2])
    till.desk.lever("/faults", faults=[fault(kind, argument, PATH)])
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 2}, 1), result.notices
    assert till.ceded() == {document[3]: 1 for document in invoices[:2]}


@pytest.mark.parametrize(("kind", "argument"), [("reset", None), ("status", 504)])
def test_a_lost_call_takes_two_people_to_be_made_again(
    till: Till, invoices: list[Document], kind: str, argument: Any
) -> None:
    planned(till, invoices[0])
    key = f"op1:{invoices[0][2]}"
    till.desk.lever("/faults", faults=[fault(kind, argument, PATH)])
    assert till.send().counts == {State.QUARANTINED: 1}
    assert till.send().requests == 0
    tomorrow: dict[str, Any] = {"clock": lambda: utcnow() + timedelta(hours=25)}
    with pytest.raises(Exception, match="may still happen"):
        till.resolve(key, "release", also_by="Berta")
    till.send(**tomorrow)
    for second in ("", "ana "):
        with pytest.raises(Exception, match="two people"):
            till.resolve(key, "release", also_by=second, **tomorrow)
    assert till.ceded() == {}
    assert till.resolve(key, "release", also_by="Berta", **tomorrow).state is State.READY
    assert till.send(**tomorrow).counts == {State.VERIFIED: 1}
    assert till.ceded() == {invoices[0][3]: 1}


def test_a_late_cession_is_told_and_adopted(till: Till, invoices: list[Document]) -> None:
    planned(till, invoices[0])
    till.desk.lever("/faults", faults=[fault("later", 60, PATH)])
    assert till.send().counts == {State.QUARANTINED: 1}
    till.desk.lever("/clock", seconds=61)
    told = till.send()
    assert told.requests == 0
    assert "adopt it" in told.notices[0]
    assert till.resolve(f"op1:{invoices[0][2]}", "adopt").state is State.VERIFIED
    assert till.ceded() == {invoices[0][3]: 1}


@pytest.mark.parametrize(("kind", "argument"), [("429", 0), ("503", None)])
def test_what_was_not_processed_is_sent_again(
    till: Till, invoices: list[Document], kind: str, argument: Any
) -> None:
    planned(till, invoices[0])
    till.desk.lever("/faults", faults=[fault(kind, argument, PATH)])
    assert till.send().counts == {State.VERIFIED: 1}
    assert till.ceded() == {invoices[0][3]: 1}


def test_the_shipped_query_gives_cessions(till: Till) -> None:
    query = REPO / "sql" / "outbox" / "cessions" / "approved_cessions.sql"
    read = sources.read(str(query), till.settings.analytics, till.home, cession_contract.COLUMNS)
    assert read.rows == []  # nothing is approved


def test_ceded_meanwhile_to_somebody_else_is_not_sent(till: Till, invoices: list[Document]) -> None:
    planned(till, invoices[0])
    company = till.ask(f"SELECT id FROM raw.master_entities WHERE tax_id = '{invoices[0][0]}'")
    call = {
        "master_entity_id": int(company[0][0]),
        "document_ids": [int(invoices[0][3])],
        "assignee_rut": "77777777",
        "assignee_dv": "7",
        "assignee_business_name": "Otro",
        "assignee_address": "Otra",
        "assignee_email": "otro@otro.example",
    }
    assert till.desk.api.post(PATH, json=call).status_code in (200, 202)
    result = till.send()
    assert result.requests == 0
    assert result.counts == {State.BLOCKED: 1}
    assert "77777777-7" in result.notices[0]


def test_paid_meanwhile_is_not_sent(till: Till, invoices: list[Document]) -> None:
    planned(till, invoices[0])
    till.desk.lever("/pay", document_id=int(invoices[0][3]))
    try:
        result = till.send()
    finally:
        till.desk.lever("/unpay", document_id=int(invoices[0][3]))
    assert (result.counts, result.requests) == ({State.BLOCKED: 1}, 0)
    assert not result.complete
    assert till.ceded() == {}


def test_what_may_not_be_ceded_says_why(till: Till, invoices: list[Document]) -> None:
    ceded = till.ask(
        "SELECT issuer_rut, dte_type_code, folio, document_id FROM marts.factoring_candidates "
        "WHERE list_contains(reasons, 'already_ceded') AND dte_type_code IN ('33', '34') LIMIT 1"
    )
    paid = till.invoices("is_paid")[0]
    assert ceded
    plan = till.plan_cessions(
        till.cession("outside", ceded[0]),
        till.cession("paid", paid),
        till.cession("good", invoices[0]),
        till.cession("twice", invoices[1]),
        till.cession("again", invoices[1]),
        till.cession("mail", invoices[2], assignee_email="nobody"),
    )
    told = {row.draft.row_key: (row.reason_code, row.reason) for row in plan.rows}
    assert told["outside"][0] == told["paid"][0] == "not_cedible"
    assert "already_ceded" in told["outside"][1]
    assert (told["twice"][0], told["again"][0]) == ("same_document", "same_document")
    assert told["mail"][0] == "bad_value"
    assert told["good"] == ("", f"To {FACTOR['assignee_rut']} {FACTOR['assignee_name']}.")
    mixed = till.plan_cessions(
        till.cession("good", invoices[0]),
        till.cession("other", invoices[1], assignee_rut="77777777-7"),
    )
    assert {row.reason_code for row in mixed.rows} == {"several_assignees"}


@pytest.mark.parametrize(
    "failpoint", ["bind.after", "attempt.after", "post.body_out", "post.answered", "result.after"]
)
def test_killed_anywhere_an_invoice_is_ceded_at_most_once(
    till: Till, invoices: list[Document], failpoint: str
) -> None:
    planned(till, *invoices[:2])
    assert till.desk.send(till.home, failpoint) != 0
    till.send()
    ceded = till.ceded()
    for document in invoices[:2]:
        state = till.states()[f"op1:{document[2]}"]
        assert ceded.get(document[3], 0) <= 1
        assert state is State.VERIFIED if document[3] in ceded else state in UNSURE
