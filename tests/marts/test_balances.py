"""Balances written by hand: every type, every way to owe nothing, every chain of notes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

from .world import ACME, BETA, CLIENT, SUPPLIER, World, balances, column, findings

OPEN_119 = (119_000, 0)


def test_each_type_that_we_issue() -> None:
    w = World()
    w.document("33", "1", 119000, amount_without_iva=100000, amount_iva=19000)
    w.document("34", "1", 50000, amount_exempt=50000)
    w.document("39", "1", 680)
    w.document("41", "1", 700)
    w.document("46", "1", 100000, vat_withheld=True, amount_without_iva=100000, amount_iva=19000)
    w.document("52", "1", 119000)
    w.document("90", "1", 500000)
    con = w.run()
    assert balances(con) == {"33-1": OPEN_119, "34-1": (50_000, 0), "39-1": (0, 0), "41-1": (0, 0)}
    assert column(con, "ar_ap") == {
        **dict.fromkeys(("33-1", "34-1", "39-1", "41-1"), "AR"),
        **dict.fromkeys(("46-1", "90-1"), "AP"),
        "52-1": None,
    }
    assert column(con, "seller_rut")["46-1"] == CLIENT
    assert column(con, "open_balance_clp") | {"33-1": 0, "34-1": 0} == {
        "33-1": 0, "34-1": 0, "39-1": 0, "41-1": 0, "46-1": 100_000, "52-1": 0,
        "90-1": 423_750,
    }  # fmt: skip


def test_each_type_that_we_receive() -> None:
    w = World()
    w.document("33", "1", 119000, side="received", other=SUPPLIER)
    w.document("46", "1", 100000, side="received", vat_withheld=True)
    w.document("46", "2", 119000, side="received", vat_withheld=False)
    # the total still holds the IVA that the buyer keeps: it is taken out once
    w.document("46", "3", 119000, side="received", vat_withheld=True,
               amount_without_iva=100000, amount_iva=19000)  # fmt: skip
    w.document("90", "1", 500000, side="received")
    w.document("80", "1", 500000, side="received", retention_type="RETRECEPTOR", other=SUPPLIER)
    con = w.run()
    assert balances(con) == {
        "46-1": (100_000, 0),
        "46-2": OPEN_119,
        "46-3": (100_000, 0),
        "90-1": (423_750, 0),
    }
    assert column(con, "open_balance_clp")["80-1"] == 423_750
    assert column(con, "ar_ap")["33-1"] == "AP"


def test_honorarios_retention_by_year_and_by_who_withholds() -> None:
    w = World()
    for year in (2019, 2022, 2025, 2026, 2027, 2028, 2031):
        w.document(
            "80", str(year), 500000, retention_type="RETRECEPTOR", date_issued=date(year, 12, 31)
        )
    w.document("80", "1", 500000, retention_type="RETCONTRIBUYENTE")
    w.document("80", "2", 500000)
    w.document("80", "3", 200, retention_type="RETRECEPTOR")  # 30.5 → 31, half up
    w.document("80", "4", 500000, retention_type="RETRECEPTOR", date_issued=date(2018, 5, 1))
    con = w.run()
    assert {k: v[0] for k, v in balances(con).items()} == {
        "80-2019": 450_000,
        "80-2022": 438_750,
        "80-2025": 427_500,
        "80-2026": 423_750,
        "80-2027": 420_000,
        "80-2028": 415_000,
        "80-2031": 415_000,
        "80-1": 500_000,
        "80-2": 500_000,
        "80-3": 169,
        "80-4": 500_000,
    }
    assert {f for f in findings(con) if f[0] == "retention_unknown"} == {
        ("retention_unknown", "80", "2"),
        ("retention_unknown", "80", "4"),
    }


def test_ways_to_owe_nothing() -> None:
    w = World()
    w.document("33", "1", 119000, payment_method="1")
    w.document("33", "2", 119000, payment_method="3")
    w.document("33", "3", 119000, payment_method="2")
    w.document("33", "4", 119000, payment_method="Contado")
    w.document("33", "5", 119000, is_paid_cash=True)
    w.document("33", "6", 119000, is_paid=True)
    w.document("33", "7", 119000, payment_status="paid", is_paid=False)
    w.document("33", "8", 119000, payment_status="partially_paid", pending_amount=20000)
    w.document("33", "9", 119000, payment_status="partially_paid")
    w.document("33", "10", 119000, is_rejected=True)
    key = w.document("33", "11", 119000)
    w.event(key, "PAG", datetime(2026, 6, 2, tzinfo=UTC))
    w.document("80", "12", 5000, retention_type="RETCONTRIBUYENTE", state="cancelled")
    con = w.run()
    got = {k: v[0] for k, v in balances(con).items()}
    still = {"33-3": 119_000, "33-8": 20_000, "33-9": 119_000, "33-10": 119_000}
    assert {k: v for k, v in got.items() if v} == still
    assert column(con, "acceptance")["33-10"] == "claimed"
    assert ("partial_payment_without_amount", "33", "9") in findings(con)


def test_when_it_was_paid_is_known_or_null() -> None:
    w = World()
    event, seen = datetime(2026, 6, 3, 15, tzinfo=UTC), datetime(2026, 6, 9, 15, tzinfo=UTC)
    key = w.document("33", "1", 100, is_paid=True)
    w.event(key, "PAID", event)
    w.document("33", "2", 100, id="900", is_paid=False, valid_to=seen)
    w.document("33", "2", 100, id="900", is_paid=True, valid_from=seen)
    w.document("33", "3", 100, is_paid=True)
    w.document("33", "4", 100, is_paid=False)
    con = w.run()
    assert column(con, "paid_at_source") == {
        "33-1": "event", "33-2": "observed", "33-3": "unknown", "33-4": None,
    }  # fmt: skip
    assert column(con, "paid_at") == {"33-1": event, "33-2": seen, "33-3": None, "33-4": None}


def test_foreign_currency_is_never_pesos() -> None:
    w = World()
    usd = {"currency": "USD", "other": "55555555-5"}
    w.document("110", "1", Decimal("1000.50"), exchange_rate="950.25", **usd)
    w.document("110", "2", Decimal("1000.50"), **usd)
    w.document("112", "1", Decimal("100.50"), refs=[("110", "2", "3")], **usd)
    w.document("111", "1", Decimal("50.00"), refs=[("110", "2", "3")], **usd)
    w.document("110", "3", 700, other="55555555-5")  # no currency said
    w.document("33", "1", 10, currency="UF")
    # already in pesos: the amount is the foreign amount at the rate
    w.document("33", "2", 380000, currency="UF", exchange_rate="38000", original_amount=10)
    w.document("112", "9", 5, refs=[("110", "1", "3")], other="55555555-5", currency="EUR")
    w.document("110", "4", 900, is_paid=True, **usd)
    con = w.run()
    assert balances(con) == {
        "110-1": (950_725, 0),  # 1000.50 × 950.25 = 950,725.125
        "110-2": (None, 0),
        "112-1": (0, 0),
        "111-1": (0, 0),
        "110-3": (None, 0),
        "33-1": (None, 0),
        "33-2": (380_000, 0),
        "112-9": (0, None),
        "110-4": (0, 0),
    }
    assert column(con, "open_balance")["110-2"] == Decimal("950.0000")
    assert column(con, "total_clp")["33-1"] is None
    flagged = {f[1:] for f in findings(con) if f[0] == "foreign_currency_without_rate"}
    assert {("110", "2"), ("110", "3"), ("33", "1"), ("110", "4")} <= flagged


def test_cessions() -> None:
    w = World()
    keys = {n: w.document("33", str(n), 119000) for n in range(1, 8)}
    w.cession(keys[1], "1", "success", assignment_amount=119000)
    w.cession(keys[2], "2", "processing", assignment_amount=119000)
    w.cession(keys[3], "3", "rejected", assignment_amount=119000)
    w.cession(keys[4], "4", "success", assignment_amount=119000)
    w.cession(keys[4], "5", "success", assignment_amount=119000, assignee_rut=ACME)
    w.cession(keys[5], "6", "success", assignment_amount=100000)
    w.cession(None, "7", "success", document_folio="6")
    w.cession(keys[7], "8", "success", assignee_rut=ACME)
    w.cession(keys[7], "9", "success")
    undated = w.document("33", "8", 119000)
    w.cession(undated, "11", "success", created_at=None)
    # the debtor cannot forget a ceded invoice: it owes the assignee
    paid = w.document("33", "50", 119000, side="received", other=SUPPLIER)
    w.cession(paid, "10", "success", supplier_rut=SUPPLIER, document_type="received")
    con = w.run()
    got = {k: v[0] for k, v in balances(con).items()}
    assert got == {
        "33-1": 0, "33-2": 119_000, "33-3": 119_000, "33-4": 119_000, "33-5": 19_000,
        "33-6": 0, "33-7": 0, "33-8": 0,
    }  # fmt: skip
    ceded = {k for k, v in column(con, "is_ceded").items() if v}
    assert ceded == {"33-1", "33-5", "33-6", "33-7", "33-8", "33-50"}
    assert column(con, "is_cession_processing")["33-2"]
    assert column(con, "open_balance_clp")["33-50"] == 119_000


def test_between_own_companies_once_on_the_sellers_side() -> None:
    w = World()
    w.document("33", "1", 119000, company=ACME, other=BETA, is_paid=False)
    w.document("33", "1", 119000, company=BETA, other=ACME, side="received",
               is_paid=True, has_claims=True)  # fmt: skip
    # only the buyer's row has come so far: the debt is the seller's receivable all the same
    w.document("33", "2", 1000, company=BETA, other=ACME, side="received")
    w.document("46", "3", 2000, company=ACME, other=BETA)
    con = w.run()
    assert balances(con) == {"33-1": OPEN_119, "33-2": (1_000, 0), "46-3": (2_000, 0)}
    assert column(con, "company_rut") == {"33-1": ACME, "33-2": ACME, "46-3": BETA}
    assert column(con, "acceptance")["33-1"] == "claimed"
    assert column(con, "counterparty_is_own")["33-1"]
    ids = con.execute(
        "SELECT issued_document_id, received_document_id FROM marts.documents WHERE folio = '1'"
    ).fetchone()
    assert ids == ("1", "2")
