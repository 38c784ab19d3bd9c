"""Acceptances and claims at SII, against the sandbox over real HTTP: asked for, approved by a
person, inside the eight days, and registered at most once whatever breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tupana_etl.domain import SANTIAGO, utcnow
from tupana_etl.errors import ConfigError
from tupana_etl.outbox import legal_acts, resolve, rows, status
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.payment_contract import ACCEPTANCES, CLAIMS, LEGAL_ACTS
from tupana_etl.outbox.plan import Plan
from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.states import State
from tupana_etl.pipeline import refresh

from .till import Document, Till, fault, open_till

PENDING = "acceptance = 'pending' AND payment_method = '2'"


@pytest.fixture(scope="module", params=[pytest.param("2026-04", marks=pytest.mark.long), "2026-08"])
def served(request: pytest.FixtureRequest) -> Iterator[Till]:
    with open_till(contract=request.param, documents=500) as opened:
        yield opened


@pytest.fixture
def till(served: Till) -> Till:
    served.reset()
    return served


@pytest.fixture(scope="module")
def pending(served: Till) -> list[Document]:
    """Received, neither claimed nor accepted, the newest first."""
    found = served.received(PENDING)
    assert len(found) > 3
    return found


def codes(made: Plan) -> dict[str, str]:
    return {row.draft.row_key: row.reason_code for row in made.rows}


def registered(till: Till, document: Document) -> dict[str, int]:
    """What SII took of a document, from the sandbox's own book."""
    told = (key.split("/") for key in till.entries())
    return {code: till.entries()[f"{i}/{code}"] for i, code in told if i == document[3]}


def by_somebody_else(till: Till, document: Document, code: str) -> None:
    answer = till.desk.api.post(f"/documents/{document[3]}/states", json={"event_code": code})
    assert answer.status_code == 200, answer.text


def test_a_claim_waits_for_the_flag_and_for_a_person(till: Till, pending: list[Document]) -> None:
    row = till.claim("claim:1", pending[0])
    refused = till.plan_payments(row)
    assert codes(refused) == {"claim:1": "legal_act"}
    assert "--allow-claims" in refused.rows[0].reason
    made = till.plan_claims(row)
    assert made.rows[0].state == State.PLANNED
    assert made.over_caps == legal_acts.APPROVAL
    assert (till.send().requests, till.entries()) == (0, {}), "no sandbox approves a legal act"
    till.approve(made)
    result = till.send()
    assert result.counts == {State.VERIFIED: 1}, result.notices
    assert registered(till, pending[0]) == {"RCD": 1}
    assert till.plan_claims(row).rows[0].state == State.VERIFIED
    assert till.plan_payments(row).rows[0].state == State.VERIFIED, "done is done, flag or not"
    assert till.send().requests == 0


def test_in_the_older_era_a_lost_claim_is_read_and_adopted() -> None:
    """The whole of this file runs there in the long suite."""
    with open_till(contract="2026-04", list_rows="lean", documents=100) as till:
        document = till.received(PENDING)[0]
        row = till.claim("claim:1", document)
        till.approve(till.plan_claims(row))
        till.desk.lever("/faults", faults=[fault("lost")])
        result = till.send()
        assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 1), result.notices
        assert registered(till, document) == {"RCD": 1}
        assert till.plan_claims(row).rows[0].state == State.VERIFIED


def test_without_the_flag_an_approval_is_lost(till: Till, pending: list[Document]) -> None:
    row = till.claim("claim:1", pending[0])
    till.approve(till.plan_claims(row))
    till.plan_payments(row)
    assert till.states() == {"claim:1": State.BLOCKED}
    assert till.send().requests == 0


def test_the_marts_follow(till: Till, pending: list[Document]) -> None:
    document = pending[-1]
    sql = f"SELECT acceptance FROM marts.documents WHERE doc_key = '{'|'.join(document[:3])}'"
    assert till.ask(sql) == [("pending",)]
    till.approve(till.plan_claims(till.claim("ok:1", document, event="ERM", reason="delivered")))
    assert till.send().counts == {State.VERIFIED: 1}
    refresh(till.settings, document=document[3])
    assert till.ask(sql) == [("accepted_express",)]
    event = till.ask("SELECT event, op, state FROM outbox.\"rows\" WHERE row_key = 'ok:1'")
    assert event == [("ERM", "payment", "VERIFIED")]


def test_the_reason_goes_with_a_claim_and_stays_here_with_an_acceptance() -> None:
    told = {
        code: legal_acts.Act("1", code, "too late", "76086428-5", None).body for code in LEGAL_ACTS
    }
    assert {code for code, body in told.items() if b"too late" in body} == {*CLAIMS}
    assert told["ACD"] == b'{"event_code":"ACD"}'


def test_rows_that_may_not_be_sent_say_why(till: Till, pending: list[Document]) -> None:
    first, second = pending[:2]
    mine = till.invoices("counterparty_is_own = false")[0]
    old = till.received("acceptance = 'accepted_tacit' AND payment_method = '2'")[0]
    cash = till.received("payment_method = '1'")
    wanted = {
        "missing": till.claim("a", first, reason=""),
        "not_for_type": till.claim("b", second, paid_on="2026-01-01"),
        "unknown_document": till.claim("c", mine),
        "claim_window": till.claim("d", old),
        "bad_value": till.claim("e", (first[0], "39", first[2], "")),
        **({"not_claimable": till.claim("f", cash[0])} if cash else {}),
    }
    made = till.plan_claims(*wanted.values())
    assert codes(made) == {row["row_key"]: code for code, row in wanted.items()}
    assert "received" in made.rows[2].reason
    assert till.send().requests == 0


def test_payments_beside_acts_keep_the_acts_back(till: Till, pending: list[Document]) -> None:
    unpaid = till.invoices("NOT is_paid")[0]
    made = till.plan_claims(till.payment("bank:1", unpaid), till.claim("claim:1", pending[0]))
    assert codes(made) == {"bank:1": "", "claim:1": "legal_act"}
    assert made.over_caps == "", "the payment needs no approval of its own"
    reason = till.plan_payments(till.payment("bank:2", unpaid, reason="because"))
    assert codes(reason) == {"bank:2": "not_for_type"}


def test_accepted_twice_is_two_acts_and_claimed_too_is_a_contradiction(
    till: Till, pending: list[Document]
) -> None:
    document = pending[0]
    both = [
        till.claim("goods", document, event="ERM", reason="delivered"),
        till.claim("content", document, event="ACD", reason="as ordered"),
    ]
    made = till.plan_claims(*both, till.claim("claim", document))
    assert set(codes(made).values()) == {"same_document"}
    till.approve(till.plan_claims(*both))
    result = till.send()
    assert (result.counts, result.notices) == ({State.VERIFIED: 2}, [])
    assert registered(till, document) == {"ERM": 1, "ACD": 1}


@pytest.mark.parametrize(
    ("there", "asked", "end"),
    [
        ("RCD", "ACD", State.BLOCKED),
        ("ACD", "RCD", State.BLOCKED),
        ("RCD", "RFP", State.VERIFIED),
        ("RCD", "RCD", State.VERIFIED),
    ],
)
def test_what_was_said_since_the_plan_counts(
    till: Till, pending: list[Document], there: str, asked: str, end: State
) -> None:
    document = pending[0]
    till.approve(till.plan_claims(till.claim("claim:1", document, event=asked)))
    by_somebody_else(till, document, there)
    result = till.send()
    assert result.counts == {end: 1}, result.notices
    sent = {"RFP": 1} if asked == "RFP" else {}
    assert registered(till, document) == {there: 1} | sent
    if asked == there:
        assert (result.rows[0].flags, result.requests) == ("adopted", 0)


def test_the_eight_days_are_counted_to_the_second(till: Till, pending: list[Document]) -> None:
    document = pending[0]
    end = end_of(till, document)

    def at(seconds: float) -> dict[str, Any]:
        return {"clock": lambda: end + timedelta(seconds=seconds)}

    row = till.claim("claim:1", document)
    assert codes(till.plan_claims(row, **at(0))) == {"claim:1": "claim_window"}
    made = till.plan_claims(row, **at(-1))
    assert made.rows[0].draft.until == f"{end.astimezone(SANTIAGO):%Y-%m-%d %H:%M}"
    till.approve(made)
    late = till.send(**at(1))
    assert (late.counts, late.requests) == ({State.BLOCKED: 1}, 0)
    assert "ended on" in late.notices[0]
    assert not late.complete


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("lost", None), ("lost", "reset"), ("done_status", 502), ("html", None)],
)
def test_a_lost_answer_is_read_and_adopted(
    till: Till, pending: list[Document], kind: str, argument: Any
) -> None:
    till.approve(till.plan_claims(till.claim("claim:1", pending[0])))
    till.desk.lever("/faults", faults=[fault(kind, argument)])
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 1), result.notices
    assert registered(till, pending[0]) == {"RCD": 1}


@pytest.mark.parametrize(("kind", "argument"), [("reset", None), ("status", 504)])
def test_a_lost_claim_waits_for_a_person(
    till: Till, pending: list[Document], kind: str, argument: Any
) -> None:
    till.approve(till.plan_claims(till.claim("claim:1", pending[0])))
    till.desk.lever("/faults", faults=[fault(kind, argument)])
    result = till.send()
    assert (result.counts, result.requests) == ({State.QUARANTINED: 1}, 1)
    assert till.send().requests == 0
    with pytest.raises(Exception, match="may still happen"):
        till.resolve("claim:1", "release")
    by_somebody_else(till, pending[0], "RCD")
    assert till.resolve("claim:1", "adopt").state is State.VERIFIED


@pytest.mark.parametrize("failpoint", ["attempt.after", "post.body_out", "result.before"])
def test_killed_anywhere_it_is_registered_at_most_once(
    till: Till, pending: list[Document], failpoint: str
) -> None:
    till.approve(till.plan_claims(till.claim("claim:1", pending[0])))
    assert till.desk.send(till.home, failpoint) != 0
    till.send()
    there = registered(till, pending[0]).get("RCD", 0)
    assert there <= 1
    assert till.states()["claim:1"] is (State.VERIFIED if there else State.QUARANTINED)


def test_what_sii_refuses_is_rejected(till: Till, pending: list[Document]) -> None:
    till.approve(till.plan_claims(till.claim("claim:1", pending[0])))
    till.desk.lever("/clock", days=9)  # SII's clock, not ours
    result = till.send()
    assert result.counts == {State.REJECTED: 1}
    assert "8 días" in result.rows[0].reason


def test_an_error_of_sii_may_hide_what_it_registered(till: Till, pending: list[Document]) -> None:
    till.approve(till.plan_claims(till.claim("claim:1", pending[0])))
    till.desk.lever("/faults", faults=[fault("done_status", 400)])
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 1), result.notices
    assert "refused, and is there" in result.rows[0].reason
    assert registered(till, pending[0]) == {"RCD": 1}


@pytest.mark.parametrize("failpoint", ["attempt.after", "result.before", "result.after"])
def test_killed_at_a_refusal_it_still_ends_as_refused_or_at_a_person(
    till: Till, pending: list[Document], failpoint: str
) -> None:
    till.approve(till.plan_claims(till.claim("claim:1", pending[0])))
    till.desk.lever("/clock", days=9)
    assert till.desk.send(till.home, failpoint) != 0
    result = till.send()
    told = State.REJECTED if failpoint == "result.after" else State.QUARANTINED
    assert (result.counts, result.requests) == ({told: 1}, 0)
    assert registered(till, pending[0]) == {}


def end_of(till: Till, document: Document) -> datetime:
    """Of the eight days."""
    (until,) = till.ask(
        "SELECT strftime(timezone('UTC', accept_deadline), '%Y-%m-%dT%H:%M:%S+00:00') "
        f"FROM marts.documents WHERE doc_key = '{'|'.join(document[:3])}'"
    )[0]
    return datetime.fromisoformat(until)


def before(end: datetime) -> Callable[[float], dict[str, Any]]:
    """A clock that runs, so many hours before an end."""

    def at(hours: float) -> dict[str, Any]:
        ahead = end - timedelta(hours=hours) - utcnow()
        return {"clock": lambda: utcnow() + ahead}

    return at


def test_a_lost_claim_is_released_before_its_eight_days_end(
    till: Till, pending: list[Document]
) -> None:
    """Half of what is left is waited for, and an answer that was late after all is no second."""
    at = before(end_of(till, pending[0]))
    till.approve(till.plan_claims(till.claim("claim:1", pending[0]), **at(8)))
    till.desk.lever("/faults", faults=[fault("later", 3600)])
    lost = till.send(**at(8))
    assert lost.counts == {State.QUARANTINED: 1}
    until = f"{end_of(till, pending[0]).astimezone(SANTIAGO):%Y-%m-%d %H:%M}"
    assert f"SII takes it until {until}" in lost.rows[0].reason
    assert "a person may release it from" in lost.rows[0].reason
    assert any("8 h from now" in text for text in lost.notices)
    for hours in (7.0, 6.0):
        till.send(**at(hours))
        with pytest.raises(ConfigError, match="of 4 h after"):
            till.resolve("claim:1", "release", **at(hours))
    assert till.resolve("claim:1", "release", **at(3.9)).state is State.READY
    result = till.send(**at(3.9))
    assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 1)
    till.desk.lever("/clock", hours=2)
    assert registered(till, pending[0]) == {"RCD": 1}


def test_a_lost_claim_whose_time_is_over_is_given_up(till: Till, pending: list[Document]) -> None:
    at = before(end_of(till, pending[0]))
    till.approve(till.plan_claims(till.claim("claim:1", pending[0]), **at(1)))
    till.desk.lever("/faults", faults=[fault("reset")])
    till.send(**at(1))
    for hours in (0.5, -0.1):
        told = till.send(**at(hours))
    assert any("eight days are over" in text for text in told.notices)
    with pytest.raises(ConfigError, match="The eight days"):
        till.resolve("claim:1", "release", **at(-0.2))
    with open_ledger(till.home, at(-0.2)["clock"]) as ledger:
        (row,) = rows.everything(ledger)
        assert "The eight days" in resolve.advice(ledger, row, Pace())
        assert "--release" not in resolve.advice(ledger, row, Pace())
    assert till.resolve("claim:1", "abandon").state is State.ABANDONED


def test_the_end_of_the_eight_days_is_said_aloud(till: Till, pending: list[Document]) -> None:
    made = till.plan_claims(till.claim("claim:1", pending[0]))
    end = end_of(till, pending[0])
    assert made.rows[0].state == State.PLANNED
    with open_ledger(till.home) as ledger:
        waiting = rows.everything(ledger)
    assert status.until(waiting[0]) == end
    assert status.deadlines(waiting, end - timedelta(hours=49)) == []
    (soon,) = status.deadlines(waiting, end - timedelta(hours=5))
    assert "5 h from now: row claim:1, RCD, is PLANNED" in soon
    (late,) = status.deadlines(waiting, end + timedelta(hours=5))
    assert "over since" in late
    many = [replace(waiting[0], row_key=f"claim:{n}") for n in range(9)]
    assert status.deadlines(many, end)[-1].startswith("So it is with 4 acts more")
    till.approve(made)
    till.send()
    with open_ledger(till.home) as ledger:
        assert status.deadlines(rows.everything(ledger), end) == []


def test_a_register_that_cannot_be_read_stops_the_act(till: Till, pending: list[Document]) -> None:
    till.approve(till.plan_claims(till.claim("claim:1", pending[0])))
    path = f"/documents/{pending[0][3]}/states"
    gone = {"kind": "status", "argument": 404, "path": path, "method": "GET", "times": 50}
    till.desk.lever("/faults", faults=[gone])
    result = till.send(wait=0.0)
    assert (result.counts, result.requests) == ({State.READY: 1}, 0)
    assert result.notices
    till.desk.lever("/faults", faults=[])


@pytest.mark.parametrize("code", LEGAL_ACTS)
def test_what_stands_against_an_act(code: str) -> None:
    for standing in LEGAL_ACTS:
        contrary = (code in ACCEPTANCES) != (standing in ACCEPTANCES)
        assert bool(legal_acts.said_against(code, [standing])) == contrary
    assert legal_acts.said_against(code, ["NCA", "ENC", "PAG"]) == ""
