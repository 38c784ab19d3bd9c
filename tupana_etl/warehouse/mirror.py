"""Schema ``outbox`` of the warehouse: what the ledger said when this was published.

A copy for reading, replaced whole. Nothing is ever decided from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from tupana_etl.warehouse.tables import quoted

Columns = Mapping[str, tuple[str, str]]
"""Name → DuckDB type and description; values come as text and are cast."""


def replace_table(
    con: duckdb.DuckDBPyConnection,
    name: str,
    doc: str,
    columns: Columns,
    rows: Sequence[Sequence[Any]],
) -> None:
    """Makes ``outbox.<name>`` anew, with its comments. Inside the caller's transaction."""
    texts = [
        pa.array([None if row[at] is None else str(row[at]) for row in rows], pa.string())
        for at in range(len(columns))
    ]
    copied = pa.table(dict(zip(columns, texts, strict=True)))
    cast = ", ".join(f'"{column}"::{kind} AS "{column}"' for column, (kind, _) in columns.items())
    con.register("mirrored", copied)
    try:
        con.execute("CREATE SCHEMA IF NOT EXISTS outbox")
        con.execute(f"CREATE OR REPLACE TABLE outbox.{name} AS SELECT {cast} FROM mirrored")
    finally:
        con.unregister("mirrored")
    con.execute(f"COMMENT ON TABLE outbox.{name} IS {quoted(doc)}")
    for column, (_, told) in columns.items():
        con.execute(f'COMMENT ON COLUMN outbox.{name}."{column}" IS {quoted(told)}')
