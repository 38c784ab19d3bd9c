"""Whatever the documents and the order they come in."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .world import ACME, AS_OF, BETA, CLIENT, SUPPLIER, World

FOLIOS = ("1", "2", "3")
TYPES = ("33", "34", "46", "56", "61", "80", "39")

references = st.lists(
    st.tuples(
        st.sampled_from(("33", "34", "46", "56", "61", "801")),
        st.sampled_from(FOLIOS),
        st.sampled_from(("1", "2", "3", None)),
    ),
    max_size=3,
)

documents = st.fixed_dictionaries(
    {
        "dte_type": st.sampled_from(TYPES),
        "folio": st.sampled_from(FOLIOS),
        "total": st.integers(0, 5000),
        "refs": references,
        "side": st.sampled_from(("issued", "received")),
        "other": st.sampled_from((CLIENT, SUPPLIER, BETA)),
        "day": st.integers(1, 29),
        "is_paid": st.booleans(),
        "paid_on": st.sampled_from((None, None, 8, 15, 22)),
        "ceded": st.sampled_from((None, None, None, 0, 300)),
        "pending_amount": st.sampled_from((None, None, None, 100)),
        "payment_method": st.sampled_from((None, "1", "2")),
    }
)


MARTS = (
    *("marts.documents", "marts.receivables_aging", "marts.payables_aging", "marts.cash_forecast"),
    *("marts.book_reconciliation", "marts.customer_exposure", "marts.factoring_candidates"),
    *("marts.vat_monthly", "marts.dso_monthly", "staging.quality_proofs"),
)


def figures(con: duckdb.DuckDBPyConnection, mart: str = "marts.documents") -> list[Any]:
    return con.execute(f"SELECT * FROM {mart} ORDER BY ALL").fetchall()


def total(con: duckdb.DuckDBPyConnection, expression: str, source: str) -> Any:
    row = con.execute(f"SELECT coalesce({expression}, 0) FROM {source}").fetchone()
    return row[0] if row else None


ASYMMETRIC = """SELECT r.doc_key FROM marts.receivables AS r
    JOIN marts.payables AS p ON r.doc_key = p.doc_key
    WHERE r.is_paid = p.is_paid AND r.paid_at IS NOT DISTINCT FROM p.paid_at
        AND NOT r.is_partially_paid AND NOT p.is_partially_paid
        AND r.open_balance + r.ceded_amount <> p.open_balance"""


def unbalanced(source: str, side: str) -> str:
    """Documents whose balance is not total − retention or withheld IVA − credit + debit −
    paid − ceded, with what exceeds it as unapplied credit. A note's own amount is a flow."""
    ceded = "ceded_amount" if side == "receivables" else "0"
    return f"""SELECT doc_key FROM {source}
        WHERE if(has_target IS NULL, amount - retention_amount - withheld_iva_amount, 0)
            - credit_amount + debit_amount - paid_amount - {ceded}
            <> open_balance - unapplied_credit_clp
            OR open_balance < 0 OR unapplied_credit_clp < 0 OR paid_amount < 0"""


def made(rows: list[dict[str, Any]]) -> World:
    """The drawn documents, with their payment event and cession if they have one."""
    w = World()
    for number, drawn in enumerate(rows):
        row = dict(drawn)
        day, paid_on, ceded = row.pop("day"), row.pop("paid_on"), row.pop("ceded")
        # Between own companies each side shows it.
        sides = [row]
        if row["other"] == BETA:
            side = "received" if row["side"] == "issued" else "issued"
            sides.append(row | {"company": BETA, "other": ACME, "side": side})
        for shown in sides:
            key = w.document(**shown, date_issued=date(2026, 6, day))
            if paid_on and row["is_paid"] and shown is row:
                w.event(key, "PAID", datetime(2026, 6, paid_on, 15, tzinfo=UTC), row["side"])
            if ceded is not None and shown is row:
                w.cession(key, str(number + 1), "success", supplier_rut=None,
                          created_at=datetime(2026, 6, 10, number + 1, tzinfo=UTC),
                          assignment_amount=ceded or None)  # fmt: skip
    return w


drawn = given(st.lists(documents, max_size=9), st.randoms(use_true_random=False))
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(unhurried, max_examples=8)
@drawn
def test_balances_hold(rows: list[dict[str, Any]], rng: Any) -> None:
    balances_hold(made(rows), rng)


@pytest.mark.long
@settings(unhurried, max_examples=60)
@drawn
def test_balances_hold_in_many_worlds(rows: list[dict[str, Any]], rng: Any) -> None:
    balances_hold(made(rows), rng)


def balances_hold(w: World, rng: Any) -> None:
    """Whatever the order of loading: per document and in sum, in every mart."""
    shuffled = list(range(len(w.rows)))
    rng.shuffle(shuffled)
    con, other = w.run(only=MARTS), w.run(shuffled, only=MARTS)
    for mart in MARTS:
        assert figures(con, mart) == figures(other, mart), mart

    negative = """SELECT count(*) FROM marts.documents
        WHERE open_balance < 0 OR unapplied_credit < 0 OR total_clp < 0 OR paid_amount < 0
            OR ceded_amount < 0 OR ceded_amount > collectible_amount + debit_amount"""
    assert con.execute(negative).fetchone() == (0,)
    twice = "SELECT doc_key FROM marts.documents GROUP BY ALL HAVING count(*) > 1"
    assert con.execute(twice).fetchall() == []
    for side in ("receivables", "payables"):
        balance = total(con, "sum(open_balance_clp)", f"marts.{side}")
        assert balance == total(con, "sum(open_balance_clp)", f"marts.{side}_aging")
        today = f"marts.{side}_as_of('{AS_OF}')"
        assert balance == total(con, "sum(open_balance_clp)", today)
        own = "AR" if side == "receivables" else "AP"
        assert balance >= total(
            con, "sum(open_balance_clp)", f"marts.documents WHERE ar_ap = '{own}'"
        )
        for source in (f"marts.{side}", f"marts.{side}_as_of(DATE '2026-06-16')"):
            assert con.execute(unbalanced(source, side)).fetchall() == []
    # what one company of ours is owed by the other is what that one owes, if both say so
    assert con.execute(ASYMMETRIC).fetchall() == []
    receivable = total(con, "sum(open_balance_clp)", "marts.receivables WHERE currency = 'CLP'")
    assert receivable == total(con, "sum(expected_clp)", "marts.cash_forecast")
    assert receivable == total(con, "sum(open_balance_clp)", "marts.customer_exposure")
    in_books = """count(*) FILTER (issued_document_id IS NOT NULL AND dte_type_code <> '80')
        + count(*) FILTER (received_document_id IS NOT NULL
            AND dte_type_code IN ('33', '34', '56', '61'))"""
    assert total(con, "sum(docs_ours)", "marts.book_reconciliation") == total(
        con, in_books, "marts.documents"
    )
    assert total(con, "count(*)", "marts.factoring_candidates") == total(
        con, "count(*)", "marts.receivables"
    )
    # money moves along references and is neither made nor lost
    lost = """SELECT note_key FROM staging.note_flows AS f
        JOIN staging.amounts AS a ON f.note_key = a.doc_key
        GROUP BY note_key HAVING sum(f.amount) NOT IN (0, any_value(a.collectible))"""
    assert con.execute(lost).fetchall() == []
