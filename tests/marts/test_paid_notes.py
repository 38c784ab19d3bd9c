"""Notes and payments in either order: what was paid, what is due again, whose credit is left."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import duckdb

from .world import World, findings

ONLY = ("marts.receivables", "marts.data_quality")
BEFORE, AFTER = date(2026, 6, 5), date(2026, 6, 20)


def at(day: int) -> datetime:
    return datetime(2026, 6, day, 15, tzinfo=UTC)


def paid(w: World, folio: str, day: int = 12, **values: Any) -> None:
    """An invoice of 119,000 whose payment has a date."""
    w.event(w.document("33", folio, 119000, is_paid=True, **values), "PAID", at(day))


def state(con: duckdb.DuckDBPyConnection, day: str | None = None) -> dict[str, Any]:
    """Type and folio → balance, paid, credit left, status."""
    source = f"marts.receivables_as_of('{day}')" if day else "marts.receivables"
    found = con.execute(
        f"""SELECT dte_type_code || '-' || folio, open_balance_clp, paid_amount::INT,
            unapplied_credit_clp, status
        FROM {source} WHERE dte_type_code = '33'"""
    ).fetchall()
    return {r[0]: r[1:] for r in found}


def test_a_note_after_the_payment_does_not_change_what_was_paid() -> None:
    w = World()
    paid(w, "1")
    w.document("61", "1", 19000, refs=[("33", "1", None)], date_issued=BEFORE)
    paid(w, "2")
    w.document("61", "2", 19000, refs=[("33", "2", None)], date_issued=AFTER)
    paid(w, "3")
    w.document("56", "3", 10000, refs=[("33", "3", None)], date_issued=AFTER)
    paid(w, "4")
    w.document("61", "4", 19000, refs=[("33", "4", None)], date_issued=AFTER)
    w.document("56", "4", 19000, refs=[("61", "4", None)], date_issued=AFTER)
    # nobody knows when it was paid: less the note, and said so
    w.document("33", "5", 119000, is_paid=True)
    w.document("61", "5", 19000, refs=[("33", "5", None)], date_issued=AFTER)
    con = w.run(only=ONLY)
    assert state(con) == {
        "33-1": (0, 100_000, 0, "paid"),
        "33-2": (0, 119_000, 19_000, "paid"),
        "33-3": (10_000, 119_000, 0, "partially_paid"),
        "33-4": (0, 119_000, 0, "paid"),
        "33-5": (0, 100_000, 0, "paid"),
    }
    assert state(con, "2026-06-15")["33-2"] == (0, 119_000, 0, "paid")
    assert state(con, "2026-06-10")["33-1"] == (100_000, 0, 0, "open")
    uncertain = {f for f in findings(con) if f[0] == "paid_before_or_after_note"}
    assert uncertain == {("paid_before_or_after_note", "33", "5")}


def test_a_debit_note_may_be_paid_by_itself() -> None:
    w = World()
    for folio in "1234":
        w.document("33", folio, 119000)
    w.document("56", "1", 10000, refs=[("33", "1", None)], is_paid=True)
    w.document("56", "2", 10000, refs=[("33", "2", None)], payment_method="1")
    key = w.document("56", "3", 10000, refs=[("33", "3", None)], is_paid=True, date_issued=BEFORE)
    w.event(key, "PAID", at(20))
    # what takes a credit note back is no debt that somebody pays
    w.document("61", "4", 119000, refs=[("33", "4", None)])
    w.document("56", "4", 119000, refs=[("61", "4", None)], is_paid=True)
    # cash, with a debit note on credit and one in cash
    w.document("33", "5", 119000, payment_method="1")
    w.document("56", "5", 10000, refs=[("33", "5", None)])
    w.document("56", "6", 7000, refs=[("33", "5", None)], payment_method="1")
    # both paid: nothing twice
    paid(w, "7")
    w.document("56", "7", 10000, refs=[("33", "7", None)], is_paid=True, date_issued=BEFORE)
    con = w.run(only=ONLY)
    assert state(con) == {
        "33-1": (119_000, 10_000, 0, "open"),
        "33-2": (119_000, 10_000, 0, "open"),
        "33-3": (119_000, 10_000, 0, "open"),
        "33-4": (119_000, 0, 0, "open"),
        "33-5": (10_000, 126_000, 0, "partially_paid"),
        "33-7": (0, 129_000, 0, "paid"),
    }
    assert state(con, "2026-06-15")["33-3"] == (129_000, 0, 0, "open")


def test_a_partial_payment_stays_what_it_was() -> None:
    w = World()
    base = {"date_issued": date(2026, 6, 1), "id": "900"}
    w.document("33", "1", 100, is_paid=False, valid_from=at(2), valid_to=at(10), **base)
    w.document("33", "1", 100, pending_amount=40, valid_from=at(10), valid_to=at(25), **base)
    # another version, the same mark
    w.document("33", "1", 100, pending_amount=40, valid_from=at(25), has_credit_note=True, **base)
    w.document("61", "1", 10, refs=[("33", "1", None)], date_issued=AFTER)
    con = w.run(only=ONLY)
    assert state(con, "2026-06-12")["33-1"] == (40, 60, 0, "partially_paid")
    assert state(con) == {"33-1": (30, 60, 0, "partially_paid")}
