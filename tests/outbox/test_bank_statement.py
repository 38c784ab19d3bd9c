"""The query that maps bank lines to invoices: every line has a document or a reason."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from .desk import REPO

SQL = (REPO / "sql" / "outbox" / "payments" / "bank_statement.sql").read_text(encoding="utf-8")

US, ACME, OTHER = "76086428-5", "96790240-3", "77777777-7"

TABLES = f"""
CREATE SCHEMA ref; CREATE SCHEMA marts; CREATE SCHEMA outbox;
CREATE TABLE ref.bank_statement (line_id VARCHAR, account_rut VARCHAR, booked_on DATE,
    amount DECIMAL(18,0), payer_rut VARCHAR, description VARCHAR);
CREATE TABLE outbox.rows (op VARCHAR, row_key VARCHAR, generation INTEGER, dte_type VARCHAR,
    folio VARCHAR, document_id VARCHAR);
CREATE TABLE marts.documents (issuer_rut VARCHAR, dte_type_code VARCHAR, folio VARCHAR,
    buyer_rut VARCHAR, open_balance_clp BIGINT, our_role VARCHAR, is_paid BOOLEAN);
INSERT INTO marts.documents VALUES
    ('{US}', '33', '101', '{ACME}', 1000, 'seller', false),
    ('{US}', '33', '102', '{ACME}', 2000, 'seller', false),
    ('{US}', '34', '103', '{ACME}', 2000, 'seller', false),
    ('{US}', '33', '104', '{OTHER}', 3000, 'seller', false),
    ('{US}', '33', '105', '{OTHER}', 0, 'seller', true),
    ('{US}', '61', '106', '{OTHER}', 4000, 'seller', false),
    ('{ACME}', '33', '107', '{US}', 5000, 'buyer', false);
"""


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute(TABLES)
        yield opened


def test_every_line_has_a_document_or_a_reason(con: duckdb.DuckDBPyConnection) -> None:
    lines = {
        "one": (1000, ACME, "ABONO"),
        "named": (2000, ACME, "PAGO FACTURA 0103"),
        "several": (2000, ACME, "PAGO 1030"),
        "unnamed payer": (3000, None, "DEPOSITO"),
        "wrong amount": (3001, OTHER, "PAGO 104"),
        "nothing owed": (10, US, ""),
        "nobody": (10, None, None),
        "credit note": (4000, OTHER, ""),
        "out": (-1000, ACME, "GIRO"),
    }
    con.executemany(
        "INSERT INTO ref.bank_statement VALUES (?, ?, DATE '2026-11-20', ?, ?, ?)",
        [[key, US, amount, payer, text] for key, (amount, payer, text) in lines.items()],
    )
    found = {row[0]: row for row in con.execute(SQL).fetchall()}
    assert set(found) == {f"bank:{key}" for key in lines if key != "out"}
    matched = {key: row[2:4] for key, row in found.items() if row[7] is None}
    assert matched == {
        "bank:one": ("33", "101"),
        "bank:named": ("34", "103"),
        "bank:unnamed payer": ("33", "104"),
    }
    reasons = {key: row[7] for key, row in found.items() if row[7]}
    assert "33 102, 34 103" in reasons["bank:several"]
    assert f"{OTHER} is of 3001 pesos; it owes 3000 in 1" in reasons["bank:wrong amount"]
    assert reasons["bank:nothing owed"] == f"Nothing is open of {US}."
    assert "names no payer" in reasons["bank:nobody"]
    assert all(row[2] is None for row in found.values() if row[7])


def test_a_line_that_was_matched_keeps_its_document(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        "INSERT INTO ref.bank_statement VALUES "
        f"('one', '{US}', DATE '2026-11-20', 1000, '{ACME}', '')"
    )
    before = con.execute(SQL).fetchall()
    con.execute("INSERT INTO outbox.rows VALUES ('payment', 'bank:one', 1, '33', '101', '7')")
    con.execute("UPDATE marts.documents SET open_balance_clp = 0, is_paid = true")
    assert con.execute(SQL).fetchall() == before
