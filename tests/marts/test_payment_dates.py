"""When a document was paid: who is believed first, and what a reversal undoes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import product
from typing import Any

import duckdb
import pytest

from .world import World, column

SEEN, ANNOUNCED = datetime(2026, 6, 20, 15, tzinfo=UTC), datetime(2026, 6, 19, 15, tzinfo=UTC)
PAID_ON, EVENT = date(2026, 6, 10), datetime(2026, 6, 5, 15, tzinfo=UTC)
MIDNIGHT = datetime(2026, 6, 10, 4, tzinfo=UTC)
"""Of PAID_ON, in Santiago."""


def watched(w: World, folio: str, *, since: datetime | None = None) -> str:
    """An invoice that was seen unpaid (from ``since`` on), then paid."""
    key = str(900 + int(folio))
    before = {"valid_from": since} if since else {}
    w.document("33", folio, 100, id=key, is_paid=False, valid_to=SEEN, **before)
    w.document("33", folio, 100, id=key, is_paid=True, valid_from=SEEN)
    return key


def sources(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[Any, Any]]:
    at, source = column(con, "paid_at"), column(con, "paid_at_source")
    return {key.partition("-")[2]: (source[key], at[key]) for key in source}


def test_the_first_who_knows_is_believed_whoever_else_speaks() -> None:
    w = World()
    order = {
        "event": EVENT, "outbox": MIDNIGHT, "webhook": ANNOUNCED, "observed": SEEN, "unknown": None,
    }  # fmt: skip
    expected = {}
    for number, told in enumerate(product((True, False), repeat=4), 1):
        speaks = dict(zip(order, (*told, True), strict=True))
        folio, key = str(number), str(900 + number)
        if speaks["observed"]:
            watched(w, folio)
        else:
            w.document("33", folio, 100, id=key, is_paid=True, valid_from=SEEN)
        if speaks["event"]:
            w.event(key, "PAID", EVENT)
        if speaks["outbox"]:
            w.booked(key, PAID_ON, ANNOUNCED)
        if speaks["webhook"]:
            w.announced(key, ANNOUNCED)
        first = next(source for source in order if speaks[source])
        expected[folio] = (first, order[first])
    assert sources(w.run()) == expected


def test_the_event_that_our_own_booking_made_is_no_better_day() -> None:
    w = World()
    booked = datetime(2026, 6, 18, 12, tzinfo=UTC)
    own, other, adopted = (watched(w, folio) for folio in ("1", "2", "3"))
    for key in (own, other, adopted):
        w.booked(key, PAID_ON, booked, **({"sent_at": None} if key == adopted else {}))
    w.event(own, "PAID", booked)
    w.event(other, "PAID", EVENT)
    w.event(adopted, "PAID", booked)
    assert sources(w.run()) == {
        "1": ("outbox", MIDNIGHT), "2": ("event", EVENT), "3": ("event", booked),
    }  # fmt: skip


@pytest.mark.parametrize("undone_by", ["outbox", "webhook", "event", "sight"])
def test_what_was_said_before_it_was_unpaid_is_taken_back(undone_by: str) -> None:
    """Paid, unpaid, and paid once more, which nobody but a sync saw."""
    undone = datetime(2026, 6, 19, 20, tzinfo=UTC)
    w = World()
    for folio in ("1", "2"):
        key = watched(w, folio, since=undone if undone_by == "sight" else None)
        w.booked(key, PAID_ON, ANNOUNCED) if folio == "1" else w.announced(key, ANNOUNCED)
        if undone_by == "outbox":
            w.booked(key, None, undone)
        elif undone_by == "webhook":
            w.announced(key, undone, "document.unpaid")
        elif undone_by == "event":
            w.event(key, "UNPAID", undone)
    assert sources(w.run()) == {"1": ("observed", SEEN), "2": ("observed", SEEN)}


def test_a_payment_after_a_reversal_counts_and_an_unpaid_document_has_no_day() -> None:
    w = World()
    again, open_ = watched(w, "1"), w.document("33", "2", 100, is_paid=False)
    for key in (again, open_):
        w.booked(key, date(2026, 6, 3), EVENT)
        w.booked(key, None, datetime(2026, 6, 8, tzinfo=UTC))
    w.booked(again, PAID_ON, ANNOUNCED)
    assert sources(w.run()) == {"1": ("outbox", MIDNIGHT), "2": (None, None)}


def test_a_webhook_that_came_after_it_was_seen_paid_dates_nothing() -> None:
    w = World()
    late = datetime(2026, 6, 21, tzinfo=UTC)
    w.announced(watched(w, "1"), late)
    w.announced(w.document("33", "2", 100, is_paid=True), late)
    assert sources(w.run()) == {"1": ("observed", SEEN), "2": ("unknown", None)}


def test_averages_and_past_balances_follow_the_day_of_the_payment() -> None:
    """Issued on the 1st, paid on the 10th, booked on the 19th, seen on the 20th."""
    w = World()
    due = date(2026, 6, 5)
    w.document("33", "1", 1000, id="901", is_paid=False, valid_to=SEEN, due_date=due)
    w.document("33", "1", 1000, id="901", is_paid=True, valid_from=SEEN, due_date=due)
    w.booked("901", PAID_ON, ANNOUNCED)
    con = w.run(only=("marts.payment_habits", "marts.receivables", "marts.receivables_as_of"))
    habits = "SELECT median_days_late, average_days_to_pay FROM marts.payment_habits"
    assert [tuple(map(int, row)) for row in con.execute(habits).fetchall()] == [
        (5, 9)
    ] * 2  # of the customer, and of all

    def owed(day: str) -> Any:
        sql = f"SELECT sum(open_balance_clp) FROM marts.receivables_as_of(DATE '{day}')"
        return con.execute(sql).fetchone()

    assert (owed("2026-06-09"), owed("2026-06-10"), owed("2026-06-19")) == ((1000,), (0,), (0,))
