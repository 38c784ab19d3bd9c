"""The tables that no model makes, and their columns."""

from __future__ import annotations

import duckdb

from tupana_etl.warehouse import mirror, reference, tables


def declared_columns() -> dict[str, list[str]]:
    """Columns of every table that no model makes, by name with schema."""
    with duckdb.connect() as con:
        tables.create_tables(con)
        reference.create(con)
        mirror.create_missing(con)
        rows = con.execute(
            """SELECT schema_name || '.' || table_name, list(column_name ORDER BY column_index)
            FROM duckdb_columns()
            WHERE schema_name IN ('raw', 'history', 'ref', 'outbox', 'inbox') GROUP BY ALL"""
        ).fetchall()
    return dict(rows)
