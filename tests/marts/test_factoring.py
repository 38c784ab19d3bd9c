"""Cessions, what is ceded, what may be, and what an offer costs."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pytest

from .world import ACME, AS_OF, BETA, CLIENT, FACTOR, World

MARTS = ("marts.factoring_portfolio", "marts.factoring_candidates")
SECOND = "10000013-K"
DUE = date(2026, 8, 1)
RECEIVED = datetime(2026, 6, 2, 12, tzinfo=UTC)
GOOD = {"due_date": DUE, "date_reception": RECEIVED, "payment_method": "2"}


def reasons(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    found = con.execute(
        """SELECT dte_type_code || '-' || folio, reasons, eligible
        FROM marts.factoring_candidates"""
    ).fetchall()
    assert len(found) == len({r[0] for r in found})
    assert all(eligible == (codes == []) for _, codes, eligible in found)
    return {name: codes for name, codes, _ in found}


def test_every_reason() -> None:
    w = World()
    good: dict[str, Any] = dict(GOOD)
    w.document("33", "1", 119000, **good)
    w.document("34", "2", 50000, **good | {"payment_method": None})  # nothing said is credit
    w.document("33", "3", 100, **good, has_acknowledgments=True)
    w.document("33", "4", 119000, **good | {"payment_method": "1"})
    w.document("33", "5", 119000, **good | {"date_reception": datetime(2026, 6, 25, tzinfo=UTC)})
    w.document("33", "6", 119000, **good, has_claims=True)
    w.event(w.document("33", "7", 119000, **good), "NCA", RECEIVED)
    w.document("33", "8", 119000, **good, is_paid=True)
    w.document("33", "9", 119000, **good)
    w.document("61", "10", 119000, refs=[("33", "9", "1")])
    w.cession(w.document("33", "11", 119000, **good), "1", "success", assignment_amount=119000)
    w.cession(w.document("33", "12", 119000, **good), "2", "processing")
    w.document("33", "13", 119000, **good | {"due_date": date(2026, 6, 29)})
    w.document("33", "14", 119000, payment_method="2")  # neither due date nor reception
    w.document("33", "15", 119000, **good, other="76111111-1")
    w.document("33", "16", 119000, **good, other=BETA)
    w.document("46", "17", 100000, **good, side="received")
    w.document("110", "18", 1000, **good, other="55555555-5", currency="USD", exchange_rate=900)
    w.document("39", "19", 1000, other="66666666-6")
    # a credit note for a part only lowers what is ceded
    w.document("33", "20", 119000, **good)
    w.document("61", "21", 19000, refs=[("33", "20", "3")])
    con = w.run(only=MARTS)
    assert reasons(con) == {
        "33-1": [],
        "34-2": [],
        "33-3": [],
        "33-4": ["cash_or_free"],
        "33-5": ["acceptance_pending"],
        "33-6": ["claimed"],
        "33-7": ["annulled", "credit_note_unseen"],
        "33-8": ["paid"],
        "33-9": ["no_balance"],
        "61-10": ["type_not_cedible", "no_balance", "due_date_unknown"],
        "33-11": ["already_ceded"],
        "33-12": ["cession_processing"],
        "33-13": ["past_due"],
        "33-14": ["acceptance_pending", "due_date_unknown", "reception_unknown"],
        "33-15": ["invalid_rut"],
        "33-16": ["related_debtor"],
        "46-17": ["type_needs_review"],
        "110-18": ["type_not_cedible", "unidentified_debtor", "not_in_pesos"],
        "39-19": ["type_not_cedible", "cash_or_free", "due_date_unknown", "unidentified_debtor"],
        "33-20": [],
        "61-21": ["type_not_cedible", "no_balance", "due_date_unknown"],
    }
    part = "SELECT open_balance_clp, days_to_due FROM marts.factoring_candidates WHERE folio = '20'"
    assert con.execute(part).fetchone() == (100_000, (DUE - AS_OF).days)


def test_the_users_limits_and_relations() -> None:
    w = World()
    w.document("33", "1", 9000, **GOOD)
    w.document("33", "2", 1000, **GOOD, other=SECOND)
    w.document("33", "3", 500, **GOOD | {"due_date": date(2026, 6, 25)}, other=SECOND)
    con = w.run(only=MARTS)
    assert reasons(con) == {"33-1": [], "33-2": [], "33-3": ["past_due"]}
    con.execute(
        "INSERT INTO ref.factoring_terms VALUES (NULL, 1000, 10, 80), (?, NULL, 4, NULL)", [ACME]
    )
    con.execute("INSERT INTO ref.related_ruts VALUES (?, ?)", [ACME, SECOND])
    con = w.rerun(con, only=MARTS)
    assert reasons(con) == {
        "33-1": ["over_concentration"],
        "33-2": ["related_debtor"],
        "33-3": ["past_due", "below_minimum", "related_debtor"],
    }


def test_2026_04_has_no_reception_so_nothing_is_eligible() -> None:
    w = World()
    w.document("33", "1", 119000, due_date=DUE)
    assert reasons(w.run(only=MARTS)) == {"33-1": ["acceptance_pending", "reception_unknown"]}


def test_sequence_cedente_and_portfolio() -> None:
    w = World()
    key = w.document("33", "1", 119000, **GOOD)
    w.cession(key, "1", "success", assignment_amount=119000)
    w.cession(key, "2", "rejected", assignment_amount=119000, assignee_rut=SECOND)
    w.cession(key, "3", "success", assignment_amount=100000, assignee_rut=SECOND)
    back = w.document("33", "2", 5000, **GOOD)
    w.cession(back, "4", "success", assignment_amount=5000)
    w.cession(back, "5", "success", assignment_amount=5000, assignee_rut=ACME.split("-")[0])
    paid = w.document("33", "3", 7000, **GOOD, is_paid=True)
    w.cession(paid, "6", "success", assignment_amount=7000)
    w.cession(None, "7", "success", document_folio="404", receiver_rut=CLIENT)
    con = w.run(only=MARTS)
    got = con.execute(
        """SELECT cession_id, folio, sequence, cedente_rut, assignee_rut, is_current, is_back
        FROM marts.cessions ORDER BY cession_id"""
    ).fetchall()
    assert got == [
        ("1", "1", 1, ACME, FACTOR, False, False),
        ("2", "1", None, None, SECOND, False, False),
        ("3", "1", 2, FACTOR, SECOND, True, False),
        ("4", "2", 1, ACME, FACTOR, False, False),
        ("5", "2", 2, FACTOR, "76086428", False, True),
        ("6", "3", 1, ACME, FACTOR, True, False),
        ("7", "404", None, ACME, FACTOR, False, False),
    ]
    assert con.execute(
        """SELECT folio, assignee_rut, sequence, ceded_clp, outstanding_clp, open_balance_clp,
            status, has_recourse FROM marts.factoring_portfolio ORDER BY folio"""
    ).fetchall() == [
        ("1", SECOND, 2, 100_000, 100_000, 19_000, "outstanding", None),
        ("3", FACTOR, 1, 7_000, 0, 0, "settled", None),
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        # chile_dte §5: F 1,190,000, a .95, r 1.5 %, d 45, C 20,000
        ("1190000, 45, 0.015, advance_rate := 0.95, commission := 20000",
         (1_130_500, 25_436, 20_000, 3_800, 1_081_264, 59_500, 59_500, "2.90")),
        # ten days late: 1,130,500 × .015 × 10 / 30 = 5,652.5, half up
        ("1190000, 45, 0.015, advance_rate := 0.95, commission := 20000, days_late := 10",
         (1_130_500, 25_436, 20_000, 3_800, 1_081_264, 59_500, 53_847, "2.65")),
        # a commission of 1 % and the discount on F: 100,000 × .02 × 15 / 30
        ("100000, 15, 0.02, advance_rate := 0.9, commission_rate := 0.01, discount_on_face := true",
         (90_000, 1_000, 1_000, 190, 87_810, 10_000, 10_000, "4.87")),
        # a hundred thousand million pesos: no product overflows
        ("100000000000, 90, 0.03, days_late := 30",
         (100_000_000_000, 9_000_000_000, 0, 0, 91_000_000_000, 0, -3_000_000_000, "3.00")),
        ("1000, 0, 0.02", (1_000, 0, 0, 0, 1_000, 0, 0, None)),
    ],
)  # fmt: skip
def test_offer(arguments: str, expected: tuple[Any, ...]) -> None:
    con = World().run(only=("marts.factoring_offer",))
    got = con.execute(
        f"""SELECT advance_clp, discount_clp, commission_clp, commission_iva_clp, payout_clp,
            holdback_clp, returned_clp, monthly_cost_percent::VARCHAR
        FROM marts.factoring_offer({arguments})"""
    ).fetchone()
    assert got == expected
