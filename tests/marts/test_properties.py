"""Whatever the documents and the order they come in."""

from __future__ import annotations

from typing import Any

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .world import AS_OF, CLIENT, SUPPLIER, World

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
        "other": st.sampled_from((CLIENT, SUPPLIER)),
        "is_paid": st.booleans(),
        "pending_amount": st.sampled_from((None, None, None, 100)),
        "payment_method": st.sampled_from((None, "1", "2")),
    }
)


MARTS = (
    *("marts.documents", "marts.receivables_aging", "marts.payables_aging", "marts.cash_forecast"),
    *("marts.book_reconciliation", "marts.customer_exposure", "marts.factoring_candidates"),
    *("marts.vat_monthly", "marts.dso_monthly"),
)


def figures(con: duckdb.DuckDBPyConnection, mart: str = "marts.documents") -> list[Any]:
    return con.execute(f"SELECT * FROM {mart} ORDER BY ALL").fetchall()


def total(con: duckdb.DuckDBPyConnection, expression: str, source: str) -> Any:
    row = con.execute(f"SELECT coalesce({expression}, 0) FROM {source}").fetchone()
    return row[0] if row else None


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(documents, max_size=9), st.randoms(use_true_random=False))
def test_balances_hold(rows: list[dict[str, Any]], rng: Any) -> None:
    w = World()
    for row in rows:
        w.document(**row)
    shuffled = list(range(len(w.rows)))
    rng.shuffle(shuffled)
    con, other = w.run(only=MARTS), w.run(shuffled, only=MARTS)
    for mart in MARTS:
        assert figures(con, mart) == figures(other, mart), mart

    negative = """SELECT count(*) FROM marts.documents
        WHERE open_balance < 0 OR unapplied_credit < 0 OR total_clp < 0 OR paid_amount < 0"""
    assert con.execute(negative).fetchone() == (0,)
    twice = "SELECT doc_key FROM marts.documents GROUP BY ALL HAVING count(*) > 1"
    assert con.execute(twice).fetchall() == []
    for side in ("receivables", "payables"):
        balance = total(con, "sum(open_balance_clp)", f"marts.{side}")
        assert balance == total(con, "sum(open_balance_clp)", f"marts.{side}_aging")
        today = f"marts.{side}_as_of('{AS_OF}')"
        assert balance == total(con, "sum(open_balance_clp)", today)
        own = "AR" if side == "receivables" else "AP"
        assert balance == total(
            con, "sum(open_balance_clp)", f"marts.documents WHERE ar_ap = '{own}'"
        )
    receivable = total(con, "sum(open_balance_clp)", "marts.receivables WHERE currency = 'CLP'")
    assert receivable == total(con, "sum(expected_clp)", "marts.cash_forecast")
    assert receivable == total(con, "sum(open_balance_clp)", "marts.customer_exposure")
    assert total(con, "sum(docs_ours)", "marts.book_reconciliation") == total(
        con, "count(*)",
        """marts.documents WHERE dte_type_code IN ('33', '34', '56', '61')
        OR (document_type = 'issued' AND dte_type_code IN ('39', '46'))""",
    )  # fmt: skip
    assert total(con, "count(*)", "marts.factoring_candidates") == total(
        con, "count(*)", "marts.receivables"
    )
    # money moves along references and is neither made nor lost
    lost = """SELECT note_key FROM staging.note_flows AS f
        JOIN staging.amounts AS a ON f.note_key = a.doc_key
        GROUP BY note_key HAVING sum(f.amount) NOT IN (0, any_value(a.collectible))"""
    assert con.execute(lost).fetchall() == []
    conserved = """SELECT sum(book_sign * collectible_amount) FILTER (
            book_sign <> 0 AND (NOT coalesce(has_target IS NOT NULL, false)))
            + sum(coalesce(debit_amount - credit_amount, 0))
            - sum(open_balance + paid_amount + ceded_amount - unapplied_credit)
        FROM marts.documents WHERE book_sign <> 0"""
    assert (con.execute(conserved).fetchone() or (0,))[0] in (0, None)
