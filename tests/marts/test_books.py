"""Our documents against SII's books, IVA by month; with books (2026-08) and without (2026-04)."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

from .world import ACME, BETA, SUPPLIER, World

MARTS = ("marts.book_differences", "marts.vat_monthly")
MAY, JUNE = date(2026, 5, 28), date(2026, 6, 3)


def book(period: str | None, side: str = "compra") -> str:
    return json.dumps({f"in_sii_{side}_book": period is not None, f"{side}_loading_period": period})


def amounts(net: int) -> dict[str, Any]:
    return {"amount_without_iva": net, "amount_iva": net * 19 // 100}


def world(*, with_books: bool) -> World:
    w = World()

    def buy(kind: str, folio: str, net: int, period: str | None, day: date, **more: Any) -> None:
        extra = {"book_metadata": book(period)} if with_books else {}
        w.document(kind, folio, net * 119 // 100, side="received", other=SUPPLIER,
                   date_issued=day, **amounts(net), **extra, **more)  # fmt: skip

    w.document("33", "1", 119000, **amounts(100000))
    w.document("33", "2", 238000, **amounts(200000), other=BETA)
    w.document("61", "3", 11900, **amounts(10000), refs=[("33", "1", "3")])
    w.document("34", "4", 5000, amount_exempt=5000)
    w.document("39", "5", 1190, **amounts(1000))
    w.document("110", "6", 100, currency="USD", exchange_rate=900, other="55555555-5")
    w.document("110", "7", 100, currency="USD", other="55555555-5")
    w.document("52", "8", 119000)
    w.document("33", "9", 119, **amounts(100), state="draft")
    w.document("46", "10", 50000, vat_withheld=True, date_issued=JUNE, **amounts(50000),
               **({"book_metadata": book("202606")} if with_books else {}))  # fmt: skip
    w.document("61", "11", 10000, vat_withheld=True, refs=[("46", "10", "3")], **amounts(10000))
    buy("33", "20", 300000, "202606", MAY)  # acknowledged in June
    buy("33", "21", 10000, "202606", JUNE)
    buy("61", "22", 1000, "202606", JUNE)
    buy("33", "23", 70000, None, JUNE, has_claims=True)  # claimed: in no register
    w.document("80", "24", 1000, side="received", other=SUPPLIER)
    if with_books:
        for period, operation, kind, docs, total in (
            ("202606", "VENTA", "33", 2, 357000),
            ("202606", "VENTA", "61", 2, 21900),
            ("202606", "VENTA", "34", 1, 5000),
            ("202606", "VENTA", "39", 1, 1190),
            ("202606", "VENTA", "110", 2, 180000),
            ("202606", "COMPRA", "33", 3, 369019),  # SII has one more, of 119
            ("202606", "COMPRA", "46", 1, 50000),
            ("202606", "COMPRA", "56", 1, 77),  # and one type we have none of
        ):
            w.add("book_summaries", master_entity_id="1", period=period, operation=operation,
                  dte_type_code=kind, total_docs=docs, total_amount=total)  # fmt: skip
    return w


def test_against_the_books() -> None:
    con = world(with_books=True).run(only=MARTS)
    got = con.execute(
        """SELECT operation, dte_type_code, docs_ours, docs_sii, total_ours, total_sii, status
        FROM marts.book_reconciliation
        WHERE company_rut = ? AND period = '202606' ORDER BY ALL""",
        [ACME],
    ).fetchall()
    assert got == [
        ("COMPRA", "33", 2, 3, 368_900, 369_019, "differs"),
        ("COMPRA", "46", 1, 1, 50_000, 50_000, "equal"),
        ("COMPRA", "56", 0, 1, 0, 77, "differs"),
        ("COMPRA", "61", 1, 0, 1_190, 0, "differs"),
        ("VENTA", "110", 2, 2, 90_000, 180_000, "differs"),
        ("VENTA", "33", 2, 2, 357_000, 357_000, "equal"),
        ("VENTA", "34", 1, 1, 5_000, 5_000, "equal"),
        ("VENTA", "39", 1, 1, 1_190, 1_190, "equal"),
        ("VENTA", "61", 2, 2, 21_900, 21_900, "equal"),
    ]
    leads = con.execute(
        """SELECT dte_type_code, folio, reason, counted_in, total_clp, explains_alone
        FROM marts.book_differences ORDER BY ALL"""
    ).fetchall()
    assert leads == [
        ("110", "7", "no_pesos", "202606", None, False),
        ("33", "20", "other_month", "202606", 357_000, False),
        ("33", "23", "not_in_register", None, 83_300, False),
    ]


def test_a_lead_that_explains_alone() -> None:
    w = World()
    w.document("33", "1", 1000)
    w.document("33", "2", 500, state="draft")
    w.add("book_summaries", master_entity_id="1", period="202606", operation="VENTA",
          dte_type_code="33", total_docs=2, total_amount=1500)  # fmt: skip
    con = w.run(only=MARTS)
    assert con.execute(
        """SELECT folio, reason, explains_alone, docs_difference, total_difference
        FROM marts.book_differences"""
    ).fetchall() == [("2", "excluded_draft", True, -1, -500)]


def test_a_lead_stands_in_every_month_in_which_sii_may_hold_it() -> None:
    w = World()
    # issued in April, received in May, in the register of June, and gone from Tu Pana since
    w.document("33", "1", 500, side="received", other=SUPPLIER, date_issued=date(2026, 4, 30),
               date_reception=datetime(2026, 5, 2, 12, tzinfo=UTC), book_metadata=book("202606"),
               _deleted_at=datetime(2026, 6, 20, tzinfo=UTC))  # fmt: skip
    for period in ("202604", "202605", "202606", "202607"):
        w.add("book_summaries", master_entity_id="1", period=period, operation="COMPRA",
              dte_type_code="33", total_docs=1, total_amount=500)  # fmt: skip
    con = w.run(only=MARTS)
    assert con.execute(
        "SELECT period, reason, explains_alone FROM marts.book_differences ORDER BY period"
    ).fetchall() == [(month, "excluded_deleted", True) for month in ("202604", "202605", "202606")]


def test_without_books_nothing_is_compared_and_no_credit_is_guessed() -> None:
    con = world(with_books=False).run(only=MARTS)
    assert con.execute(
        "SELECT DISTINCT docs_sii, total_sii, status FROM marts.book_reconciliation"
    ).fetchall() == [(None, None, "no_book")]
    assert con.execute("FROM marts.book_differences").fetchall() == []
    vat = con.execute(
        """SELECT period, iva_debit_clp, iva_credit_clp, iva_balance_clp, purchases_without_month
        FROM marts.vat_monthly WHERE company_rut = ? ORDER BY period""",
        [ACME],
    ).fetchall()
    # June may hold the purchase of May and all of June's
    # less the one that was claimed
    assert vat == [("202605", 0, None, None, 1), ("202606", 55_290, None, None, 4)]


def test_iva_by_month_of_acknowledgment() -> None:
    con = world(with_books=True).run(only=MARTS)
    got = con.execute(
        """SELECT period, sales_documents, sales_net_clp, sales_exempt_clp, iva_debit_clp,
            purchase_documents, purchases_net_clp, iva_credit_clp, iva_withheld_clp,
            iva_balance_clp, purchases_without_month, documents_without_clp
        FROM marts.vat_monthly WHERE company_rut = ? ORDER BY period""",
        [ACME],
    ).fetchall()
    # sales: 100,000 + 200,000 − 10,000 + 1,000; exempt: 5,000 + USD 100 at 900
    # purchases: 300,000 + 10,000 − 1,000 + the 46 of 50,000 − its note of 10,000
    assert got == [("202606", 7, 291_000, 95_000, 55_290, 5, 349_000, 66_310, 7_600, -3_420, 0, 1)]


def test_iva_of_a_purchase_invoice_is_its_sellers_only_where_the_buyer_kept_none() -> None:
    w = World()
    got_one = {"side": "received", "other": SUPPLIER}
    w.document("46", "1", 100000, vat_withheld=True, **amounts(100000), **got_one)
    w.document("61", "2", 20000, refs=[("46", "1", "3")], **amounts(20000), **got_one)
    w.document("46", "3", 119000, vat_withheld=False, **amounts(100000), **got_one)
    w.document("61", "4", 11900, refs=[("46", "3", "3")], **amounts(10000), **got_one)
    # between own companies: the seller's debit, the buyer's credit
    w.document("46", "5", 59500, **amounts(50000), company=BETA, other=ACME,
               book_metadata=book("202606"))  # fmt: skip
    con = w.run(only=MARTS)
    got = con.execute(
        """SELECT company_rut, sales_documents, sales_net_clp, iva_debit_clp, purchases_net_clp,
            iva_credit_clp, iva_withheld_clp, iva_balance_clp, purchases_without_month
        FROM marts.vat_monthly ORDER BY company_rut""",
    ).fetchall()
    # ACME: 19,000 − 1,900 + 9,500; the notes it received are in SII's register of purchases
    assert got == [
        (ACME, 3, 140_000, 26_600, 0, 0, 0, 26_600, 0),
        (BETA, 0, 0, 0, 50_000, 9_500, 0, -9_500, 0),
    ]
    registered = con.execute(
        """SELECT operation, dte_type_code, docs_ours FROM marts.book_reconciliation
        WHERE company_rut = ?""",
        [ACME],
    ).fetchall()
    assert registered == [("COMPRA", "61", 2)]


def test_a_note_on_an_exempt_invoice_is_exempt() -> None:
    w = World()
    w.document("33", "1", 1190, **amounts(1000))
    w.document("34", "2", 5000, amount_without_iva=5000)
    w.document("61", "3", 1000, amount_without_iva=1000, amount_iva=0, refs=[("34", "2", "3")])
    w.document("61", "4", 119, **amounts(100), refs=[("33", "1", "3")])
    con = w.run(only=MARTS)
    got = "SELECT sales_net_clp, sales_exempt_clp, iva_debit_clp FROM marts.vat_monthly"
    assert con.execute(got).fetchall() == [(900, 4_000, 171)]


def test_purchase_months_without_a_book_are_those_of_the_receipt() -> None:
    """SII's register: the month of the receipt, said or presumed after eight days."""
    w = World()

    def buy(folio: str, day: int, total: int, kind: str = "33", **more: Any) -> str:
        seen = datetime(2026, 5, day, 12, tzinfo=UTC)
        given: dict[str, Any] = {
            "side": "received",
            "other": SUPPLIER,
            "date_issued": seen.date(),
            "date_reception": seen,
        }
        return w.document(kind, folio, total, **given | more)

    buy("1", 20, 1)  # the 28th
    buy("2", 25, 10)  # the 2nd of June
    w.event(buy("3", 25, 100), "ERM", datetime(2026, 5, 26, 12, tzinfo=UTC), "received")
    # accepting the content is no receipt of the goods
    w.event(buy("4", 25, 1_000), "ACD", datetime(2026, 5, 26, 12, tzinfo=UTC), "received")
    late = datetime(2026, 6, 1, 2, tzinfo=UTC)  # still 31 May in Santiago
    buy("5", 1, 10_000, payment_method="1", date_reception=late)
    buy("6", 1, 100_000, kind="61", refs=[("33", "99", "3")], date_reception=late)
    buy("7", 20, 1_000_000, has_claims=True)  # in no month, nor its note
    buy("8", 20, 10_000_000, kind="61", refs=[("33", "7", "1")])
    # its issue is all that is known
    buy("9", 1, 100_000_000, date_reception=None, date_issued=JUNE)
    con = w.run(only=MARTS)
    got = con.execute(
        """SELECT period, dte_type_code, total_ours, docs_estimated, docs_ours
        FROM marts.book_reconciliation ORDER BY ALL"""
    )
    assert got.fetchall() == [
        ("202605", "33", 10_101, 3, 3),
        ("202605", "61", 100_000, 1, 1),
        ("202606", "33", 100_001_010, 3, 3),
    ]
    # of those that are claimed nobody asks in which month their credit is
    months = "SELECT period, purchases_without_month, iva_credit_clp FROM marts.vat_monthly"
    assert con.execute(months + " ORDER BY period").fetchall() == [
        ("202605", 6, None),
        ("202606", 7, None),
    ]
