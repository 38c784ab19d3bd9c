"""Whatever the documents and the order they come in."""

from __future__ import annotations

from typing import Any

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .world import CLIENT, SUPPLIER, World

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


def figures(con: duckdb.DuckDBPyConnection) -> list[Any]:
    return con.execute("SELECT * FROM marts.documents ORDER BY ALL").fetchall()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(documents, max_size=9), st.randoms(use_true_random=False))
def test_balances_hold(rows: list[dict[str, Any]], rng: Any) -> None:
    w = World()
    for row in rows:
        w.document(**row)
    shuffled = list(range(len(w.rows)))
    rng.shuffle(shuffled)
    con, other = w.run(), w.run(shuffled)
    assert figures(con) == figures(other)

    negative = """SELECT count(*) FROM marts.documents
        WHERE open_balance < 0 OR unapplied_credit < 0 OR total_clp < 0 OR paid_amount < 0"""
    assert con.execute(negative).fetchone() == (0,)
    twice = "SELECT doc_key FROM marts.documents GROUP BY ALL HAVING count(*) > 1"
    assert con.execute(twice).fetchall() == []
    open_, aged = (
        con.execute(f"SELECT coalesce(sum(open_balance_clp), 0) FROM marts.{t}").fetchone()
        for t in ("receivables", "receivables_aging")
    )
    assert open_ == aged
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
