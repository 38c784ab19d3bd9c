"""Balances of any past day, from history; of today, the very same as the tables."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import duckdb

from .world import ACME, AS_OF, BETA, SUPPLIER, World

BOTH = ("marts.receivables", "marts.payables")


def at(day: int, hour: int = 15, month: int = 6) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def story(until: date = date(2026, 12, 31)) -> World:
    """What happened in June 2026, as far as it had happened by the end of a day.

    Every fact in it carries its own date, so a world that ends earlier must give the same
    balances as looking back from a later one.
    """
    w = World()
    end = datetime(until.year, until.month, until.day, 23, 59, tzinfo=UTC)

    def document(day: date, *args: Any, paid: datetime | None = None, **values: Any) -> str:
        if day > until:
            return ""
        is_paid = bool(paid and paid <= end)
        key = w.document(*args, date_issued=day, is_paid=is_paid, **values)
        if paid and is_paid:
            w.event(key, "PAID", paid, values.get("side", "issued"))
        return key

    def cession(key: str, name: str, moment: datetime, **values: Any) -> None:
        if key and moment <= end:
            w.cession(key, name, "success", **{"created_at": moment, **values})

    one = document(date(2026, 6, 1), "33", "1", 119000, date_reception=at(2))
    document(date(2026, 6, 2), "33", "2", 50000, paid=at(12))
    document(date(2026, 6, 5), "61", "3", 19000, refs=[("33", "1", "3")])
    document(date(2026, 6, 9), "56", "4", 19000, refs=[("61", "3", "1")])
    document(date(2026, 6, 11), "61", "5", 60000, refs=[("33", "2", "3")])
    document(date(2026, 6, 3), "34", "6", 7000, payment_method="1")
    six = document(date(2026, 5, 2), "33", "7", 90000, due_date=date(2026, 5, 20))
    cession(six, "1", at(8), assignment_amount=90000)
    cession(six, "2", at(16), assignment_amount=90000, assignee_rut=ACME)
    document(date(2026, 6, 4), "33", "8", 30000, side="received", other=SUPPLIER, paid=at(20))
    nine = document(date(2026, 6, 4), "33", "9", 40000, side="received", other=SUPPLIER)
    cession(nine, "3", at(10), supplier_rut=SUPPLIER, document_type="received",
            assignment_amount=40000)  # fmt: skip
    document(date(2026, 6, 6), "46", "10", 8000)
    document(date(2026, 6, 7), "33", "11", 1000, other=BETA)
    document(date(2026, 6, 7), "33", "11", 1000, company=BETA, other=ACME, side="received")
    if one and at(6) <= end:
        w.event(one, "RCD", at(6))
    return w


def picture(con: duckdb.DuckDBPyConnection, source: str) -> list[Any]:
    return con.execute(
        f"""SELECT dte_type_code, folio, company_rut, open_balance_clp, unapplied_credit_clp,
            status, acceptance, is_ceded, assignee_rut, days_overdue, bucket, paid_at
        FROM {source} ORDER BY ALL"""
    ).fetchall()


def test_looking_back_is_having_looked_then() -> None:
    con = story().run(only=BOTH)
    for day in (2, 5, 8, 9, 11, 13, 16, 20):
        then = date(2026, 6, day)
        old = story(then).run(only=BOTH, as_of=then)
        for mart in BOTH:
            assert picture(con, f"{mart}_as_of('{then}')") == picture(old, mart), (mart, then)


def test_today_is_the_table() -> None:
    con = story().run(only=BOTH)
    for mart in BOTH:
        columns = "SELECT * EXCLUDE (basis)"
        macro = con.execute(f"{columns} FROM {mart}_as_of(DATE '{AS_OF}') ORDER BY ALL").fetchall()
        assert macro == con.execute(f"FROM {mart} ORDER BY ALL").fetchall()
        basis = con.execute(f"SELECT DISTINCT basis FROM {mart}_as_of('{AS_OF}')").fetchall()
        assert basis == [("observed",)]


def test_marks_without_a_date_count_from_the_sync_that_saw_them() -> None:
    w = World()
    first, second, third = at(5), at(10), at(15)
    base = {"date_issued": date(2026, 6, 1), "id": "900"}
    w.document("33", "1", 100, is_paid=False, valid_from=first, valid_to=second, **base)
    w.document("33", "1", 100, pending_amount=40, valid_from=second, valid_to=third, **base)
    w.document("33", "1", 100, is_paid=True, valid_from=third, **base)
    # paid when first seen: nobody knows since when
    w.document("33", "2", 100, is_paid=True, date_issued=date(2026, 6, 1), valid_from=first)
    # paid, and then not
    flip = {"date_issued": date(2026, 6, 1), "id": "901"}
    w.document("33", "3", 100, is_paid=True, valid_from=first, valid_to=second, **flip)
    w.document("33", "3", 100, is_paid=False, valid_from=second, **flip)
    con = w.run(only=BOTH)
    expected = {
        1: [(100, "dated"), (0, "before_first_sync"), (0, "before_first_sync")],
        6: [(100, "observed"), (0, "observed"), (0, "observed")],
        11: [(40, "observed"), (0, "observed"), (100, "observed")],
        30: [(0, "observed"), (0, "observed"), (100, "observed")],
    }
    for day, balances in expected.items():
        got = con.execute(
            f"""SELECT open_balance_clp, basis
            FROM marts.receivables_as_of('2026-06-{day:02}') ORDER BY folio"""
        ).fetchall()
        assert got == balances, day
    # before the first document there is nothing, after today only lateness grows
    assert con.execute("FROM marts.receivables_as_of('2026-05-31')").fetchall() == []
    later = con.execute(
        "SELECT sum(open_balance_clp), max(bucket) FROM marts.receivables_as_of('2026-12-31')"
    ).fetchone()
    assert later == (100, "90+")


def test_the_last_period_is_the_balance() -> None:
    con = story().run(only=BOTH)
    broken = """SELECT doc_key, role FROM staging.balance_periods
        GROUP BY ALL HAVING count(*) FILTER (to_day IS NULL) <> 1
            OR count(*) <> count(DISTINCT from_day) OR bool_or(to_day <= from_day)"""
    assert con.execute(broken).fetchall() == []
