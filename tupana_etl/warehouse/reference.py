"""Tables of ``ref`` that the user fills: what no API says and no law fixes.

They are shipped empty and never overwritten. Each takes ``reference/<table>.csv`` beside the
warehouse (header = column names, ISO dates, point as decimal mark) in full on every run, so
that a rebuilt warehouse has it again; without the file, rows inserted by hand stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from tupana_etl.errors import ModelError
from tupana_etl.warehouse.tables import quoted


@dataclass(frozen=True)
class UserTable:
    """A table of ``ref`` that the user fills."""

    doc: str
    columns: dict[str, tuple[str, str]]
    """Name → DuckDB type and description."""


USER_TABLES = {
    "interest_rates": UserTable(
        "Current interest (interés corriente) by date, for marts.late_interest. CMF publishes "
        "it monthly; none is shipped.",
        {
            "valid_from": ("DATE", "First day of the rate; it holds until the next row."),
            "annual_percent": ("DECIMAL(9,4)", "Percent a year."),
            "days_in_year": ("INTEGER", "360 or 365: how the rate becomes a day's."),
            "source": ("VARCHAR", "Where it was read."),
        },
    ),
    "collection_overrides": UserTable(
        "Documents that somebody is collecting, and when they are expected to be paid.",
        {
            "issuer_rut": ("VARCHAR", "RUT of the issuer, as in marts.receivables."),
            "dte_type_code": ("VARCHAR", "SII document type."),
            "folio": ("VARCHAR", "Folio."),
            "expected_on": ("DATE", "Promised or expected day; empty: nobody knows."),
            "note": ("VARCHAR", "Whose promise, which lawyer."),
        },
    ),
    "factoring_terms": UserTable(
        "Limits for marts.factoring_candidates; an empty cell keeps the default.",
        {
            "company_rut": ("VARCHAR", "Company they are for; empty: every other company."),
            "minimum_clp": ("BIGINT", "Smallest balance that is bought (default 1)."),
            "maximum_days_overdue": ("INTEGER", "Days past due still bought (default 0)."),
            "maximum_share_percent": (
                "DECIMAL(5,2)",
                "Most that one debtor may be of the company's open receivables (default no limit).",
            ),
        },
    ),
    "billing_contracts": UserTable(
        "What is billed every month, for sql/outbox/monthly_billing.sql.",
        {
            "contract_id": ("VARCHAR", "Your name for it; part of the row key, never reused."),
            "issuer_rut": ("VARCHAR", "The company that bills."),
            "receiver_rut": ("VARCHAR", "The customer."),
            "receiver_name": ("VARCHAR", "Its name; empty: the API fills it."),
            "dte_type_code": ("VARCHAR", "33 (the default) or 34."),
            "item_name": ("VARCHAR", "What is billed."),
            "quantity": ("DECIMAL(18,6)", "How many (default 1)."),
            "unit_price": ("DECIMAL(18,6)", "Price of one, without IVA, pesos."),
            "discount_percent": ("DECIMAL(5,2)", "Discount; empty for none."),
            "billing_day": ("INTEGER", "Day of the month it is dated (default 1)."),
            "payment_days": ("INTEGER", "Days until it is due (default 30)."),
            "valid_from": ("DATE", "First billing day it may have; empty: any."),
            "valid_to": ("DATE", "Last billing day it may have; empty: any."),
        },
    ),
    "bank_statement": UserTable(
        "Lines of your bank accounts, for sql/outbox/payments/bank_statement.sql.",
        {
            "line_id": ("VARCHAR", "The bank's number of the line; part of the row key."),
            "account_rut": ("VARCHAR", "The company whose account it is."),
            "booked_on": ("DATE", "When the money came."),
            "amount": ("DECIMAL(18,0)", "Pesos; negative when money went out."),
            "payer_rut": ("VARCHAR", "Who paid; empty when the bank does not say."),
            "description": ("VARCHAR", "The bank's text; a folio in it decides between several."),
        },
    ),
    "approved_cessions": UserTable(
        "Invoices you agreed to cede, for sql/outbox/cessions/approved_cessions.sql.",
        {
            "operation_id": ("VARCHAR", "The factoring company's number of the operation."),
            "issuer_rut": ("VARCHAR", "The company that cedes."),
            "dte_type_code": ("VARCHAR", "SII document type: 33 or 34."),
            "folio": ("VARCHAR", "Folio."),
            "amount": ("DECIMAL(18,0)", "Pesos: the invoice's total."),
            "assignee_rut": ("VARCHAR", "Who buys the credit."),
            "assignee_name": ("VARCHAR", "Its name."),
            "assignee_address": ("VARCHAR", "Its address."),
            "assignee_email": ("VARCHAR", "Its e-mail address."),
        },
    ),
    "related_ruts": UserTable(
        "Debtors related to a company, beside the user's own companies.",
        {
            "company_rut": ("VARCHAR", "The company."),
            "related_rut": ("VARCHAR", "Its relation."),
        },
    ),
}


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Creates what is missing and loads the files that are there.

    Raises ModelError naming a file that cannot be read.
    """
    con.execute("CREATE SCHEMA IF NOT EXISTS ref")
    folder = _folder(con)
    known = {
        name
        for (name,) in con.execute(
            "SELECT table_name FROM duckdb_tables() "
            "WHERE schema_name = 'ref' AND database_name = current_database()"
        ).fetchall()
    }
    for name, table in USER_TABLES.items():
        if name not in known:
            _create(con, name, table)
        file = folder / f"{name}.csv" if folder else None
        if file and file.exists():
            _load(con, name, table, file)
        _canonical(con, name, table)


def _folder(con: duckdb.DuckDBPyConnection) -> Path | None:
    row = con.execute(
        "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
    ).fetchone()
    return Path(row[0]).parent / "reference" if row and row[0] else None


def _create(con: duckdb.DuckDBPyConnection, name: str, table: UserTable) -> None:
    body = ", ".join(f"{column} {kind}" for column, (kind, _) in table.columns.items())
    con.execute(f"CREATE TABLE ref.{name} ({body})")
    con.execute(f"COMMENT ON TABLE ref.{name} IS {quoted(table.doc)}")
    for column, (_, doc) in table.columns.items():
        con.execute(f"COMMENT ON COLUMN ref.{name}.{column} IS {quoted(doc)}")


def _canonical(con: duckdb.DuckDBPyConnection, name: str, table: UserTable) -> None:
    """People write RUTs with dots and blanks around cells; the models join on neither. Names,
    texts and addresses stay as they were written."""
    for column, (kind, _) in table.columns.items():
        if kind == "VARCHAR":
            is_key = column.endswith(("_rut", "_code")) or column == "folio"
            clean = f"trim({column})"
            clean = f"upper(replace({clean}, '.', ''))" if is_key else clean
            con.execute(f"UPDATE ref.{name} SET {column} = {clean} WHERE {column} <> {clean}")


def _load(con: duckdb.DuckDBPyConnection, name: str, table: UserTable, file: Path) -> None:
    types = ", ".join(f"{column}: {quoted(kind)}" for column, (kind, _) in table.columns.items())
    con.execute(f"DELETE FROM ref.{name}")
    try:
        con.execute(
            f"INSERT INTO ref.{name} BY NAME FROM read_csv({quoted(str(file))}, "
            f"header = true, all_varchar = false, types = {{{types}}})"
        )
    except duckdb.Error as error:
        raise ModelError(f"{file}:1:1: {' '.join(str(error).split())[:300]}") from error
