"""Payments against the sandbox over real HTTP: at most one entry a row, whatever breaks."""

from __future__ import annotations

import asyncio
import csv
import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tupana_etl.domain import today, utcnow
from tupana_etl.outbox import approve, payment_contract, payment_plan, resolve, rows, sources
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.plan import Caps, Plan
from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.send import SendResult, Ways, send
from tupana_etl.outbox.states import State
from tupana_etl.pipeline import sync
from tupana_etl.sandbox.server import DEMO_KEY
from tupana_etl.settings import Settings
from tupana_etl.warehouse import source_rows

from .conftest import SHM
from .desk import REPO, Desk, open_desk

QUICK = Pace(settle=0.1, poll=0.05, poll_most=0.1)

STATEMENT = REPO / "sql" / "outbox" / "payments" / "bank_statement.sql"

OWN = """SELECT issuer_rut, dte_type_code, folio, issued_document_id
FROM marts.documents WHERE issued_document_id IS NOT NULL AND {} ORDER BY date_issued, doc_key"""

PAYABLE = "dte_type_code IN ('33', '34') AND NOT is_paid AND our_role = 'seller'"


@dataclass
class Till:
    """A sandbox, the home that was synced from it, and its documents."""

    desk: Desk
    home: Path
    unpaid: list[tuple[str, str, str, str]]
    """Issuer, type, folio and id."""
    paid: list[tuple[str, str, str, str]]

    @property
    def settings(self) -> Settings:
        return Settings(api_key=DEMO_KEY, base_url=self.desk.url, home=self.home)

    def row(
        self, row_key: str, document: tuple[str, str, str, str], **other: str
    ) -> dict[str, str]:
        issuer, kind, folio, _ = document
        return {
            "row_key": row_key,
            "issuer_rut": issuer,
            "dte_type": kind,
            "folio": folio,
            "event": "PAID",
            "paid_on": today().isoformat(),
            "source": "bank",
            **other,
        }

    def plan(self, *wanted: Mapping[str, str], caps: Caps | None = None) -> Plan:
        names = list(dict.fromkeys(name for row in wanted for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        writer.writerows(wanted)
        path = self.home / "payments.csv"
        path.write_text(text.getvalue(), encoding="utf-8")
        analytics = self.settings.analytics
        source = sources.read(str(path), analytics, self.home, payment_contract.COLUMNS)
        with open_ledger(self.home) as ledger:
            return payment_plan.make(ledger, source, analytics, caps)

    def send(self, wait: float = 5.0, **ways: Any) -> SendResult:
        return asyncio.run(send(self.settings, wait=wait, ways=Ways(pace=QUICK, **ways)))

    def entries(self) -> dict[str, int]:
        """How often each event of each document was booked: the oracle."""
        found: dict[str, int] = self.desk.api.get("/_admin/entries").json()["counts"]
        return found

    def states(self) -> dict[str, State]:
        with open_ledger(self.home) as ledger:
            assert rows.first_broken_event(ledger) is None
            return {row.row_key: row.state for row in rows.everything(ledger)}

    def resolve(self, row_key: str, decision: str, **ways: Any) -> rows.Intent:
        with open_ledger(self.home) as ledger:
            document = rows.generations(ledger, row_key)[-1].document_id
        return asyncio.run(
            resolve.decide(
                self.settings,
                row_key,
                decision,
                by="Ana",
                reason="seen at the bank",
                document=document,
                ways=Ways(pace=QUICK, **ways),
            )
        )


@pytest.fixture(scope="module")
def served() -> Iterator[Till]:
    folder = Path(tempfile.mkdtemp(prefix="tupana-till-", dir=SHM if SHM.is_dir() else None))
    with open_desk(folder) as desk:
        home = folder / "synced"
        settings = Settings(api_key=DEMO_KEY, base_url=desk.url, home=home)
        sync(settings)
        _, unpaid = source_rows.of_query(settings.analytics, OWN.format(PAYABLE))
        _, paid = source_rows.of_query(settings.analytics, OWN.format(PAYABLE.replace("NOT ", "")))
        yield Till(desk, home, unpaid, paid)
    shutil.rmtree(folder)


@pytest.fixture
def till(served: Till) -> Iterator[Till]:
    """The module's sandbox and what is published of it, with no ledger and nothing booked."""
    served.desk.lever("/reset")
    yield served
    for name in ("ledger.sqlite", "ledger.witness", "ledger.pepper"):
        (served.home / name).unlink(missing_ok=True)


def fault(kind: str, argument: Any = None) -> dict[str, Any]:
    told = {"kind": kind, "path": "/documents/", "method": "POST", "times": 1}
    return told if argument is None else told | {"argument": argument}


def test_a_payment_is_booked_once_and_read_back(till: Till) -> None:
    made = till.plan(till.row("bank:1", till.unpaid[0]), till.row("bank:2", till.unpaid[1]))
    assert [row.state for row in made.rows] == [State.PLANNED, State.PLANNED]
    assert made.rows[0].draft.total
    result = till.send()
    assert result.counts == {State.VERIFIED: 2}, result.notices
    wanted = {f"{document[3]}/PAID": 1 for document in till.unpaid[:2]}
    assert till.entries() == wanted
    again = till.plan(till.row("bank:1", till.unpaid[0]), till.row("bank:2", till.unpaid[1]))
    assert {row.state for row in again.rows} == {State.VERIFIED}
    assert till.send().requests == 0
    assert till.entries() == wanted


def test_what_is_paid_already_is_adopted_and_never_sent(till: Till) -> None:
    made = till.plan(till.row("bank:1", till.paid[0]))
    assert "adopted" in made.rows[0].reason
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 0)
    assert result.rows[0].flags == "adopted"
    assert till.entries() == {}


def test_paid_unpaid_and_paid_again_are_rows_of_their_own(till: Till) -> None:
    document = till.unpaid[0]
    till.plan(till.row("bank:1", document))
    till.send()
    till.plan(till.row("undo:1", document, event="UNPAID", paid_on=""))
    till.send()
    second = till.plan(till.row("bank:1", document))
    assert second.rows[0].state == State.VERIFIED
    till.send()
    assert till.entries() == {f"{document[3]}/PAID": 1, f"{document[3]}/UNPAID": 1}
    till.plan(till.row("bank:2", document))
    assert till.send().counts == {State.VERIFIED: 1}
    assert till.entries()[f"{document[3]}/PAID"] == 2


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("lost", None), ("lost", "reset"), ("done_status", 502), ("html", None), ("reset_body", None)],
)
def test_a_lost_answer_is_read_and_adopted(till: Till, kind: str, argument: Any) -> None:
    till.plan(till.row("bank:1", till.unpaid[0]))
    till.desk.lever("/faults", faults=[fault(kind, argument)])
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 1), result.notices
    assert till.entries() == {f"{till.unpaid[0][3]}/PAID": 1}


@pytest.mark.parametrize(
    ("kind", "argument"), [("reset", None), ("close", None), ("status", 504), ("status", 409)]
)
def test_a_lost_call_waits_for_a_person(till: Till, kind: str, argument: Any) -> None:
    till.plan(till.row("bank:1", till.unpaid[0]))
    till.desk.lever("/faults", faults=[fault(kind, argument)])
    result = till.send()
    assert (result.counts, result.requests) == ({State.QUARANTINED: 1}, 1)
    assert not result.complete
    assert till.send().requests == 0
    # Another row about the document would be the same payment: it waits too.
    till.plan(till.row("bank:2", till.unpaid[0]))
    waiting = till.send()
    assert waiting.requests == 0
    assert "bank:1" in " ".join(waiting.notices)
    assert till.entries() == {}


@pytest.mark.parametrize(("kind", "argument"), [("429", 0), ("503", None)])
def test_what_was_not_processed_is_sent_again(till: Till, kind: str, argument: Any) -> None:
    till.plan(till.row("bank:1", till.unpaid[0]))
    till.desk.lever("/faults", faults=[fault(kind, argument)])
    assert till.send().counts == {State.VERIFIED: 1}
    assert till.entries() == {f"{till.unpaid[0][3]}/PAID": 1}


def test_a_late_entry_is_told_and_adopted_by_a_person(till: Till) -> None:
    till.plan(till.row("bank:1", till.unpaid[0]))
    till.desk.lever("/faults", faults=[fault("later", 60)])
    assert till.send().counts == {State.QUARANTINED: 1}
    till.desk.lever("/clock", seconds=61)
    told = till.send()
    assert (told.counts, told.requests) == ({State.QUARANTINED: 1}, 0)
    assert "adopt it" in told.notices[0]
    assert till.resolve("bank:1", "adopt").state is State.VERIFIED
    assert till.entries() == {f"{till.unpaid[0][3]}/PAID": 1}


def test_a_person_releases_only_what_stayed_away_for_a_day(till: Till) -> None:
    till.plan(till.row("bank:1", till.unpaid[0]))
    till.desk.lever("/faults", faults=[fault("reset")])
    till.send()
    with pytest.raises(Exception, match="may still be booked"):
        till.resolve("bank:1", "release")
    till.send()
    tomorrow: dict[str, Any] = {"clock": lambda: utcnow() + timedelta(hours=25)}
    till.send(**tomorrow)
    assert till.resolve("bank:1", "release", **tomorrow).state is State.READY
    assert till.send(**tomorrow).counts == {State.VERIFIED: 1}
    assert till.entries() == {f"{till.unpaid[0][3]}/PAID": 1}


def test_rows_that_may_not_be_booked_say_why(till: Till) -> None:
    document = till.unpaid[0]
    issuer, kind, folio, _ = document
    tomorrow = (today() + timedelta(days=1)).isoformat()
    wanted = {
        "unknown_document": till.row("a", (issuer, kind, "99999999", "")),
        "legal_act": till.row("b", document, event="RCD"),
        "bad_value": till.row("c", (issuer, "61", folio, "")),
        "missing": till.row("d", till.unpaid[1], paid_on=""),
        "out_of_range": till.row("e", till.unpaid[2], paid_on=tomorrow),
        "no_match": till.row("f", ("", "", "", ""), no_match="two invoices of this amount"),
    }
    made = till.plan(*wanted.values())
    assert {row.draft.row_key: row.reason_code for row in made.rows} == {
        row["row_key"]: code for code, row in wanted.items()
    }
    assert "legal act" in made.rows[1].reason
    assert made.rows[5].reason == "two invoices of this amount"
    twice = till.plan(till.row("g", till.unpaid[3]), till.row("h", till.unpaid[3]))
    assert {row.reason_code for row in twice.rows} == {"same_document"}
    assert till.send().requests == 0


def test_a_row_key_is_of_one_kind(till: Till) -> None:
    till.desk.approve(till.home, "sale:1")
    made = till.plan(till.row("sale:1", till.unpaid[0]))
    assert made.rows[0].reason_code == "row_key_taken"
    assert till.states() == {"sale:1": State.READY}


def test_a_payment_of_what_is_not_verified_waits(till: Till) -> None:
    document = till.unpaid[0]
    till.plan(till.row("bank:1", document))
    till.desk.approve(till.home, "invoice:1", issuer=document[0])
    with open_ledger(till.home) as ledger, ledger.transaction():
        issued = rows.newest(ledger)["invoice:1"]
        rows.move(ledger, issued.id, State.ISSUED, actor="test", reason="", document_id=document[3])
        rows.move(ledger, issued.id, State.QUARANTINED, actor="test", reason="differs")
    result = till.send()
    assert result.requests == 0
    assert "invoice:1" in " ".join(result.notices)
    assert till.states()["bank:1"] is State.READY


def test_above_the_caps_a_person_approves(till: Till) -> None:
    made = till.plan(till.row("bank:1", till.unpaid[0]), caps=Caps(documents=0))
    assert made.over_caps
    assert till.send().requests == 0
    with open_ledger(till.home) as ledger:
        approve.approve(ledger, made.plan_hash, "Ana")
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
def test_killed_anywhere_it_is_booked_at_most_once(till: Till, failpoint: str) -> None:
    made = till.plan(till.row("bank:1", till.unpaid[0]))
    with open_ledger(till.home) as ledger:
        approve.approve(ledger, made.plan_hash, "Ana")
    assert till.desk.send(till.home, failpoint) != 0
    till.send()
    booked = till.entries().get(f"{till.unpaid[0][3]}/PAID", 0)
    state = till.states()["bank:1"]
    assert booked <= 1
    assert state is (State.VERIFIED if booked else State.QUARANTINED)
