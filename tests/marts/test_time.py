"""What the calendar decides: acceptance, due dates, age. Santiago's, DST included."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tupana_etl.domain import SANTIAGO

from .world import AS_OF, CLIENT, World, column

DOCUMENTS = ("marts.documents",)
JUNE_1 = datetime(2026, 6, 1, 12, 0, tzinfo=SANTIAGO)


def acceptance(now: datetime, **values: Any) -> Any:
    w = World()
    w.document(values.pop("dte_type", "33"), "1", 1000, **values)
    return next(iter(column(w.run(now=now, as_of=None, only=DOCUMENTS), "acceptance").values()))


@pytest.mark.parametrize(
    ("received", "deadline_utc"),
    [
        # 8 × 24 h when no clock moves
        (JUNE_1, datetime(2026, 6, 9, 16, 0, tzinfo=UTC)),
        # summer time begins on 2026-09-06 at 00:00: a day of 23 hours
        (datetime(2026, 9, 1, 12, 0, tzinfo=SANTIAGO), datetime(2026, 9, 9, 15, 0, tzinfo=UTC)),
        # it ends on 2026-04-05 at 00:00, back to 23:00: a day of 25 hours
        (datetime(2026, 4, 1, 12, 0, tzinfo=SANTIAGO), datetime(2026, 4, 9, 16, 0, tzinfo=UTC)),
        # the deadline's hour does not exist (00:30 on 6 September) and moves forward
        (datetime(2026, 8, 29, 0, 30, tzinfo=SANTIAGO), datetime(2026, 9, 6, 4, 30, tzinfo=UTC)),
        # it exists twice (23:30 on 4 April): the later one, nobody loses time to claim
        (datetime(2026, 3, 27, 23, 30, tzinfo=SANTIAGO), datetime(2026, 4, 5, 3, 30, tzinfo=UTC)),
    ],
)
def test_tacit_acceptance_to_the_second(received: datetime, deadline_utc: datetime) -> None:
    before = deadline_utc - timedelta(seconds=1)
    assert acceptance(before, date_reception=received) == "pending"
    assert acceptance(deadline_utc, date_reception=received) == "accepted_tacit"


def test_acceptance_by_word_and_by_type() -> None:
    w = World()
    seen = {"date_reception": JUNE_1}
    w.document("33", "1", 1000, has_claims=True, **seen)
    w.document("33", "2", 1000, is_rejected=True, has_acknowledgments=True, **seen)
    w.document("33", "3", 1000, has_acknowledgments=True, **seen)
    w.document("33", "4", 1000)  # reception unknown: silence cannot be counted
    w.document("34", "5", 1000, **seen)
    w.document("43", "6", 1000, **seen)
    others = ("39", "46", "52", "56", "61", "80", "90", "110")
    for kind in others:
        w.document(kind, "7", 1000, **seen)
    con = w.run(now=datetime(2026, 6, 30, tzinfo=UTC), as_of=None, only=DOCUMENTS)
    assert column(con, "acceptance") == {
        "33-1": "claimed",
        "33-2": "claimed",
        "33-3": "accepted_express",
        "33-4": "pending",
        "34-5": "accepted_tacit",
        "43-6": "accepted_tacit",
    } | {f"{kind}-7": None for kind in others}


def test_acceptance_from_events_alone() -> None:
    w = World()
    for folio, code in (("1", "RFT"), ("2", "ACD"), ("3", "NCA")):
        w.event(w.document("33", folio, 10), code, JUNE_1)
    assert column(w.run(), "acceptance") == {
        "33-1": "claimed",
        "33-2": "accepted_express",
        "33-3": "pending",
    }


def test_due_date_and_its_source() -> None:
    w = World()
    w.document("33", "1", 10, due_date=date(2026, 7, 15), date_reception=JUNE_1)
    # 23:30 in Santiago is the next day in UTC
    late = datetime(2026, 6, 2, 23, 30, tzinfo=SANTIAGO)
    w.document("33", "2", 10, date_reception=late)
    w.document("33", "3", 10)
    w.document("61", "4", 10)
    con = w.run()
    assert column(con, "due_date") == {
        "33-1": date(2026, 7, 15), "33-2": date(2026, 7, 2), "33-3": date(2026, 7, 1),
        "61-4": None,
    }  # fmt: skip
    assert column(con, "due_date_source") == {
        "33-1": "document", "33-2": "reception+30", "33-3": "issue+30", "61-4": None,
    }  # fmt: skip


def test_buckets_at_every_edge() -> None:
    w = World()
    days = {-5: "not_due", 0: "not_due", 1: "1-30", 30: "1-30", 31: "31-60", 60: "31-60",
            61: "61-90", 90: "61-90", 91: "90+", 400: "90+"}  # fmt: skip
    for n, age in enumerate(days):
        w.document("33", str(n), 2**n, due_date=AS_OF - timedelta(days=age))
    w.document("33", "99", 5000, due_date=AS_OF, is_paid=True)
    con = w.run()
    got = con.execute("SELECT folio::INT, bucket FROM marts.receivables WHERE folio <> '99'")
    assert dict(got.fetchall()) == dict(enumerate(days.values()))
    aging = con.execute(
        """SELECT counterparty_rut, counterparty_name, bucket, documents, open_balance_clp
        FROM marts.receivables_aging ORDER BY open_balance_clp"""
    ).fetchall()
    name = f"Name {CLIENT}"
    assert aging == [
        (CLIENT, name, "not_due", 2, 3),
        (CLIENT, name, "1-30", 2, 12),
        (CLIENT, name, "31-60", 2, 48),
        (CLIENT, name, "61-90", 2, 192),
        (CLIENT, name, "90+", 2, 768),
    ]


def test_shared_ruts_are_not_one_customer() -> None:
    w = World()
    for folio, name in (("1", "Acme Inc"), ("2", "Beta LLC"), ("3", "Beta LLC")):
        w.document("33", folio, 100, other="55555555-5", receiver_name=name)
    w.document("33", "4", 100, receiver_name="Old name", date_issued=date(2026, 5, 31))
    w.document("33", "5", 100, receiver_name="New name")
    got = w.run().execute(
        "SELECT counterparty_name, documents FROM marts.receivables_aging ORDER BY ALL"
    )
    assert got.fetchall() == [("Acme Inc", 1), ("Beta LLC", 2), ("New name", 2)]
