"""Exposure, DSO, timeline, forecast, recurring revenue and the price of delay, by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from .world import ACME, AS_OF, BETA, CLIENT, FACTOR, SUPPLIER, World


def paid_late(w: World, folio: str, days: int, **values: Any) -> None:
    """Due on 1 May, paid so many days later."""
    key = w.document("33", folio, 1000, date_issued=date(2026, 4, 1), due_date=date(2026, 5, 1),
                     is_paid=True, **values)  # fmt: skip
    w.event(key, "PAID", datetime(2026, 5, 1, 16, tzinfo=UTC) + timedelta(days=days))


def test_exposure() -> None:
    w = World()
    w.document("33", "1", 100000, due_date=date(2026, 3, 1), date_issued=date(2026, 2, 1))
    w.document("33", "2", 50000, has_claims=True, due_date=date(2026, 6, 20))
    w.document("33", "3", 30000, due_date=date(2026, 7, 20))
    w.document("61", "4", 5000, refs=[("33", "99", "3")])
    w.cession(w.document("33", "5", 9000), "1", "success", assignment_amount=9000)
    w.document("33", "6", 20000, other=BETA)
    paid_late(w, "7", 10)
    paid_late(w, "8", -2)
    w.document("33", "9", 777, is_paid=True)  # nobody knows when: in no average
    con = w.run(only=("marts.customer_exposure",))
    got = con.execute(
        """SELECT counterparty_rut, open_documents, open_balance_clp, overdue_clp, overdue_90_clp,
            claimed_clp, unapplied_credit_clp, net_exposure_clp, ceded_clp, share_percent,
            maximum_days_overdue, sales_12_months_clp, paid_documents, median_days_late,
            average_days_to_pay
        FROM marts.customer_exposure ORDER BY open_balance_clp DESC"""
    ).fetchall()
    assert got == [
        (CLIENT, 3, 180_000, 150_000, 100_000, 50_000, 5_000, 175_000, 9_000, Decimal("90.00"),
         121, 186_777, 2, -2, Decimal("34.0")),
        (BETA, 1, 20_000, 0, 0, 0, 0, 20_000, 0, Decimal("10.00"), -1, 20_000, 0, None, None),
    ]  # fmt: skip


def test_dso_simple_and_count_back() -> None:
    w = World()
    w.document("33", "1", 100, date_issued=date(2026, 4, 3))
    w.document("61", "2", 30, refs=[("33", "1", "3")])
    w.document("33", "3", 200)
    key = w.document("33", "4", 300, date_issued=date(2026, 5, 3), is_paid=True)
    w.event(key, "PAID", datetime(2026, 6, 10, tzinfo=UTC))
    # neither receipts, cash nor ceded documents
    w.document("39", "5", 5000)
    w.document("33", "6", 5000, payment_method="1")
    w.cession(w.document("33", "7", 5000), "1", "success", assignment_amount=5000)
    con = w.run(only=("marts.dso_monthly",))
    columns = """month, credit_sales_clp, receivables_clp, basis, dso_simple, dso_3_months,
        dso_count_back"""
    assert con.execute(f"SELECT {columns} FROM marts.dso_monthly ORDER BY month").fetchall() == [
        # 100 / 100 × 30
        (date(2026, 4, 1), 100, 100, "observed", Decimal("30.0"), None, Decimal("30.0")),
        # 400 / 300 × 31; all of May and all of April
        (date(2026, 5, 1), 300, 400, "observed", Decimal("41.3"), None, Decimal("61.0")),
        # 270 / 170 × 30; 270 / 570 × 91; June and 100 / 300 of May
        (date(2026, 6, 1), 170, 270, "observed", Decimal("47.6"), Decimal("43.1"), Decimal("40.3")),
    ]
    # paid nobody knows when, and not watched then: its months are unknown, not wrong
    w.document("33", "8", 40, date_issued=date(2026, 4, 4), is_paid=True,
               valid_from=datetime(2026, 6, 5, tzinfo=UTC))  # fmt: skip
    con = w.run(only=("marts.dso_monthly",))
    assert con.execute(
        """SELECT basis, unknown_clp, dso_simple, dso_count_back
        FROM marts.dso_monthly ORDER BY month"""
    ).fetchall() == [
        ("before_first_sync", 40, None, None),
        ("before_first_sync", 40, None, None),
        ("observed", 0, Decimal("47.6"), Decimal("40.3")),
    ]


def test_timeline() -> None:
    w = World()
    day = datetime(2026, 6, 2, 12, tzinfo=UTC)
    key = w.document("33", "1", 119000, date_reception=day, is_paid=True)
    w.event(key, "ERM", day + timedelta(days=1))
    w.event(key, "PAID", day + timedelta(days=20))
    w.cession(key, "1", "success", assignment_amount=119000)
    w.cession(key, "2", "success", assignment_amount=119000, assignee_rut=ACME)
    w.document("61", "2", 19000, refs=[("33", "1", "3")], date_issued=date(2026, 6, 4))
    w.document("33", "3", 10, date_reception=day, is_paid=True, has_claims=True)
    w.document("33", "4", 10, date_reception=day)
    # what SII knows and the data do not hold; what was never owed
    untold = w.document("33", "5", 10)
    for hours, code in ((1, "ENC"), (2, "CED")):
        w.event(untold, code, day + timedelta(hours=hours))
    w.document("33", "6", 10, payment_method="1")
    con = w.run(only=("marts.document_timeline",))

    def timeline(folio: str) -> list[Any]:
        return con.execute(
            """SELECT event, happened_on, source, amount::INT, detail, is_future
            FROM marts.document_timeline WHERE doc_key LIKE '%|33|' || ?
            ORDER BY happened_on NULLS LAST, event""",
            [folio],
        ).fetchall()

    assert timeline("1") == [
        ("issued", date(2026, 6, 1), "document", 119000, None, False),
        ("received_by_sii", date(2026, 6, 2), "sii", None, None, False),
        ("acknowledged", date(2026, 6, 3), "sii", None, "ERM", False),
        ("note", date(2026, 6, 4), "document", 19000, "61 2", False),
        ("ceded", date(2026, 6, 9), "cession", 119000, FACTOR, False),
        ("ceded_back", date(2026, 6, 9), "cession", 119000, ACME, False),
        ("paid", date(2026, 6, 22), "event", None, None, False),
        ("due", date(2026, 7, 2), "reception+30", None, None, True),
    ]
    assert timeline("3") == [
        ("issued", date(2026, 6, 1), "document", 10, None, False),
        ("received_by_sii", date(2026, 6, 2), "sii", None, None, False),
        ("due", date(2026, 7, 2), "reception+30", None, None, True),
        ("claimed", None, "unknown", None, None, False),
        ("paid", None, "unknown", None, None, False),
    ]
    assert timeline("5")[1:3] == [
        ("ceded", date(2026, 6, 2), "sii", None, "CED", False),
        ("note", date(2026, 6, 2), "sii", None, "ENC", False),
    ]
    assert timeline("6")[0] == (
        "closed_at_issue", date(2026, 6, 1), "document", None, None, False
    )  # fmt: skip
    assert ("accepted_tacit", date(2026, 6, 10), "computed", None, None, False) in timeline("4")


def test_forecast_follows_each_debtors_habits() -> None:
    w = World()
    for n, days in enumerate((10, 12, 40)):
        paid_late(w, f"9{n}", days)
    w.document("33", "1", 1000, due_date=date(2026, 7, 1))  # + 12 days: Monday 13 July
    w.document("33", "2", 2000, due_date=date(2026, 5, 1))  # should have come: this week
    w.document("33", "3", 4000, due_date=date(2026, 7, 1), other=SUPPLIER)  # no habits known
    w.document("33", "4", 8000, due_date=date(2026, 7, 1), has_claims=True)
    w.document("33", "5", 16000, due_date=date(2026, 7, 1))
    w.document("33", "6", 32000, due_date=date(2026, 7, 1))
    w.document("110", "7", 5, currency="USD", exchange_rate=900, other="55555555-5")
    only = ("marts.cash_forecast",)
    con = w.run(only=only)
    # a RUT as people write it, and a folio that is nobody's
    for folio, day in (("5", date(2026, 9, 9)), (" 6", None), ("66", None)):
        con.execute(
            "INSERT INTO ref.collection_overrides VALUES ('76.086.428-5', '33', ?, ?, '')",
            [folio, day],
        )
    con = w.rerun(con, only=(*only, "marts.data_quality"))
    stray = "SELECT folio FROM marts.data_quality WHERE check_name = 'override_without_document'"
    assert con.execute(stray).fetchall() == [("66",)]
    got = con.execute(
        """SELECT counterparty_rut, week, basis, documents, expected_clp, overdue_clp
        FROM marts.cash_forecast ORDER BY expected_clp"""
    ).fetchall()
    assert got == [
        (CLIENT, date(2026, 7, 13), "debtor", 1, 1_000, 0),
        (CLIENT, date(2026, 6, 29), "debtor", 1, 2_000, 2_000),
        (SUPPLIER, date(2026, 6, 29), "due_date", 1, 4_000, 0),
        (CLIENT, None, "claimed", 1, 8_000, 0),
        (CLIENT, date(2026, 9, 7), "override", 1, 16_000, 0),
        (CLIENT, None, "in_collection", 1, 32_000, 0),
    ]
    # ten dated payments of anybody make a habit of the company's debtors
    for n in range(7):
        paid_late(w, f"8{n}", 20)
    con = w.run(only=only)
    assert con.execute(
        "SELECT week, basis FROM marts.cash_forecast WHERE counterparty_rut = ?", [SUPPLIER]
    ).fetchall() == [(date(2026, 7, 20), "company")]


def test_recurring_revenue_never_adds_currencies() -> None:
    w = World()

    def schedule(key: str, amount: str, currency: str | None, frequency: str, **more: Any) -> None:
        w.add("scheduled_documents", **{
            "id": key, "master_entity_id": "1", "dte_type_code": "33", "status": "active",
            "receiver_rut": CLIENT, "amount": Decimal(amount), "currency": currency,
            "frequency": frequency, **more})  # fmt: skip

    schedule("1", "100000", "CLP", "monthly")
    schedule("2", "50000", None, "monthly", receiver_rut=SUPPLIER, end_type="on_date",
             end_date=date(2027, 1, 1))  # fmt: skip
    schedule("3", "12.5", "UF", "monthly")
    schedule("4", "100", "USD", "quarterly")
    schedule("5", "1000", "CLP", "yearly")
    schedule("6", "1", "CLP", "hourly")
    others: tuple[dict[str, Any], ...] = (
        {"status": "inactive"},
        {"end_date": AS_OF - timedelta(days=1)},
        {"completed_occurrences": 3, "max_occurrences": 3},
        {"dte_type_code": "61"},
        {"dte_type_code": "46"},
    )
    for n, more in enumerate(others):
        schedule(f"1{n}", "999", "CLP", "monthly", **more)
    con = w.run(only=("marts.recurring_revenue",))
    got = con.execute(
        """SELECT currency, frequency, schedules, customers, amount_per_run, annual_amount,
            monthly_amount, ending_schedules FROM marts.recurring_revenue ORDER BY ALL"""
    ).fetchall()
    d = Decimal
    assert got == [
        ("CLP", "hourly", 1, 1, d(1), None, None, 0),
        ("CLP", "monthly", 2, 2, d(150000), d(1800000), d(150000), 1),
        ("CLP", "yearly", 1, 1, d(1000), d(1000), d("83.3333"), 0),
        ("UF", "monthly", 1, 1, d("12.5"), d(150), d("12.5"), 0),
        ("USD", "quarterly", 1, 1, d(100), d(400), d("33.3333"), 0),
    ]


def test_interest_only_where_rates_are_given() -> None:
    w = World()
    w.document("33", "1", 1_000_050, due_date=date(2026, 5, 31))  # 30 days late
    w.document("33", "2", 1_000_000, due_date=date(2026, 6, 20))
    w.document("33", "3", 1_000_000, due_date=AS_OF)
    w.document("33", "4", 1_000_000, due_date=date(2026, 5, 31), is_paid=True)
    w.document("80", "5", 1_000_000, due_date=date(2026, 5, 31))
    only = ("marts.late_interest",)
    columns = "folio, days_late, fixed_compensation_clp, interest_clp, interest_missing_from"
    query = f"SELECT {columns} FROM marts.late_interest ORDER BY folio"
    con = w.run(only=only)
    assert con.execute(query).fetchall() == [
        ("1", 30, 10_001, None, date(2026, 6, 1)),
        ("2", 10, 10_000, None, date(2026, 6, 21)),
    ]
    con.execute("""INSERT INTO ref.interest_rates VALUES
        ('2026-06-11', 18, 360, 'test'), ('2026-06-26', 36.5, 365, 'test')""")
    con = w.rerun(con, only=only)
    assert con.execute(query).fetchall()[1] == (
        # 5 days at 18 %/360 and 5 at 36.5 %/365: 2,500 + 5,000
        "2", 10, 10_000, 7_500, None,
    )  # fmt: skip
    assert con.execute(query).fetchall()[0][3:] == (None, date(2026, 6, 1))
    con.execute("INSERT INTO ref.interest_rates VALUES ('2026-01-01', 9, 360, 'test')")
    con = w.rerun(con, only=only)
    # 10 days at 9 %, 15 at 18 %, 5 at 36.5 %: .0025 + .0075 + .005 of 1,000,050 = 15,000.75
    assert con.execute(query).fetchall()[0][3:] == (15_001, None)
