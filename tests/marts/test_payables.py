"""What we owe, written by hand: every type on the buying side, to whom, and how late."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb

from .world import ACME, BETA, CLIENT, FACTOR, SUPPLIER, World

PAYABLES = ("marts.payables_aging", "marts.payables_to_assignees", "marts.honorarios_retention")


def rows(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return con.execute(query).fetchall()


def owed(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Type and folio → who is owed, balance, retention due, to the assignee, credit, status."""
    found = rows(
        con,
        """SELECT dte_type_code || '-' || folio, counterparty_rut, open_balance_clp,
            retention_due_clp, balance_to_assignee_clp, unapplied_credit_clp, status
        FROM marts.payables""",
    )
    assert len(found) == len({r[0] for r in found})
    return {r[0]: r[1:] for r in found}


def test_each_type_that_we_owe() -> None:
    w = World()
    received = {"side": "received", "other": SUPPLIER}
    w.document("33", "1", 119000, **received)
    w.document("33", "2", 119000, payment_method="1", **received)
    w.document("33", "3", 119000, is_paid=True, **received)
    w.document("33", "4", 119000, pending_amount=20000, **received)
    w.document("61", "5", 19000, refs=[("33", "1", "3")], **received)
    w.document("56", "6", 1000, refs=[("33", "1", "3")], **received)
    w.document("61", "7", 5000, refs=[("33", "99", "3")], **received)
    w.document("33", "8", 119000, has_claims=True, **received)
    w.document("33", "9", 119000, due_date=date(2026, 5, 1), **received)
    w.document("52", "10", 119000, **received)
    # issued by us, and ours to pay
    w.document("46", "11", 100000, vat_withheld=True, amount_without_iva=100000, amount_iva=19000)
    w.document("61", "12", 40000, refs=[("46", "11", "3")])
    w.document("90", "13", 500000)
    # fee receipts: net to the provider, retention to SII
    w.document("80", "14", 500000, retention_type="RETRECEPTOR", **received)
    w.document("80", "15", 300000, retention_type="RETCONTRIBUYENTE", **received)
    w.document("80", "16", 1000, retention_type="RETRECEPTOR", state="anulada", **received)
    w.document("80", "17", 200000, retention_type="RETRECEPTOR", is_paid=True,
               date_issued=date(2026, 5, 4), **received)  # fmt: skip
    w.document("80", "19", 100000, retention_type="RETRECEPTOR", payment_method="1", **received)
    w.document("33", "18", 7000)  # a receivable
    con = w.run(only=PAYABLES)
    s = SUPPLIER
    assert owed(con) == {
        "33-1": (s, 101_000, 0, 0, 0, "open"),
        "33-2": (s, 0, 0, 0, 0, "closed_at_issue"),
        "33-3": (s, 0, 0, 0, 0, "paid"),
        "33-4": (s, 20_000, 0, 0, 0, "partially_paid"),
        "61-5": (s, 0, 0, 0, 0, "applied"),
        "56-6": (s, 0, 0, 0, 0, "applied"),
        "61-7": (s, 0, 0, 0, 5_000, "credited"),
        "33-8": (s, 119_000, 0, 0, 0, "open"),
        "33-9": (s, 119_000, 0, 0, 0, "open"),
        "46-11": (CLIENT, 60_000, 0, 0, 0, "open"),
        "61-12": (CLIENT, 0, 0, 0, 0, "applied"),
        "90-13": (CLIENT, 423_750, 76_250, 0, 0, "open"),
        "80-14": (s, 423_750, 76_250, 0, 0, "open"),
        "80-15": (s, 300_000, 0, 0, 0, "open"),
        "80-16": (s, 0, 0, 0, 0, "closed_at_issue"),
        "80-19": (s, 0, 15_250, 0, 0, "closed_at_issue"),
        "80-17": (s, 0, 30_500, 0, 0, "paid"),
    }
    # paid or not, in cash or not, the retention is due; the annulled one's and the provider's own
    # are not
    assert rows(
        con,
        """SELECT period, documents, gross_clp, retention_clp, net_clp
        FROM marts.honorarios_retention ORDER BY period""",
    ) == [("202605", 1, 200_000, 30_500, 169_500), ("202606", 3, 1_100_000, 167_750, 932_250)]
    assert rows(
        con,
        """SELECT counterparty_rut, bucket, documents, open_balance_clp, claimed_balance_clp
        FROM marts.payables_aging ORDER BY ALL""",
    ) == [
        (s, "31-60", 1, 119_000, 0),
        (s, "not_due", 5, 963_750, 119_000),
        (CLIENT, "not_due", 2, 483_750, 0),
    ]


def test_a_ceded_debt_is_owed_to_the_assignee() -> None:
    w = World()
    for n, amount in ((1, 119000), (2, 100000), (3, 119000)):
        key = w.document("33", str(n), 119000, side="received", other=SUPPLIER)
        w.cession(key, str(n), "success" if n < 3 else "processing", supplier_rut=SUPPLIER,
                  document_type="received", assignment_amount=amount)  # fmt: skip
    con = w.run(only=PAYABLES)
    assert {k: v[1:4] for k, v in owed(con).items()} == {
        "33-1": (119_000, 0, 119_000),
        "33-2": (119_000, 0, 100_000),
        "33-3": (119_000, 0, 0),
    }
    assert rows(
        con,
        """SELECT folio, company_rut, assignee_rut, seller_rut, balance_to_assignee_clp,
            balance_to_seller_clp, cessions FROM marts.payables_to_assignees ORDER BY folio""",
    ) == [
        ("1", ACME, FACTOR, SUPPLIER, 119_000, 0, 1),
        ("2", ACME, FACTOR, SUPPLIER, 100_000, 19_000, 1),
    ]


def test_between_own_companies_each_side_has_its_own_mark() -> None:
    w = World()
    w.document("33", "1", 119000, company=ACME, other=BETA, is_paid=False)
    w.document("33", "1", 119000, company=BETA, other=ACME, side="received", is_paid=True)
    w.document("33", "2", 1000, company=ACME, other=BETA)
    con = w.run(only=(*PAYABLES, "marts.receivables_aging"))
    query = "SELECT folio, company_rut, open_balance_clp, document_id FROM marts.{} ORDER BY folio"
    assert rows(con, query.format("receivables")) == [
        ("1", ACME, 119_000, "1"),
        ("2", ACME, 1_000, "3"),
    ]
    assert rows(con, query.format("payables")) == [("1", BETA, 0, "2"), ("2", BETA, 1_000, "3")]
