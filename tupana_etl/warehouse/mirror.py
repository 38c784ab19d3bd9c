"""Schemas ``outbox`` and ``inbox`` of the warehouse: what the ledger and the inbox said when
this was published.

Copies for reading, replaced whole from the files they are of. Whether something is sent or
read is never decided from them; a model may date a payment by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from tupana_etl.arrow.cells import text_array
from tupana_etl.warehouse.tables import quoted

Columns = Mapping[str, tuple[str, str]]
"""Name → DuckDB type and description; values come as text and are cast."""


@dataclass(frozen=True)
class Mirrored:
    """A table that is a copy."""

    name: str
    """With its schema."""
    doc: str
    columns: Columns


PAYMENTS = Mirrored(
    "outbox.payments",
    "Payments that were booked from here and read back, one row each. Facts of ledger.sqlite.",
    {
        "row_key": ("VARCHAR", "Identity of the row in your business."),
        "document_id": ("VARCHAR", "The API's id of the document, on the issuer's side."),
        "event": ("VARCHAR", "PAID or UNPAID."),
        "paid_on": ("DATE", "Day of the payment, as the row says; NULL for UNPAID."),
        "source": ("VARCHAR", "Where the payment is known from, as the row says."),
        "sent_at": ("TIMESTAMPTZ", "First attempt; NULL when it read so already (adopted)."),
        "verified_at": ("TIMESTAMPTZ", "When the document was read back as asked."),
    },
)
EVENTS = Mirrored(
    "inbox.events",
    "Webhook events that were received, each once. Facts of inbox.sqlite; what an event is "
    "about was read from the API.",
    {
        "event_type": ("VARCHAR", "As the body says; empty when it could not be read."),
        "document_id": ("VARCHAR", "The API's id of the document; empty when it names none."),
        "batch_id": ("VARCHAR", "The API's batch; empty when it names none."),
        "announced_at": (
            "TIMESTAMPTZ",
            "When Tu Pana says it happened; when it came, if the body does not say or says later.",
        ),
        "received_at": ("TIMESTAMPTZ", "When it came."),
        "copies": ("INTEGER", "How often it came again."),
        "state": ("VARCHAR", "pending, handled or ignored."),
        "reason": ("VARCHAR", "Why it was ignored, or tried in vain so far."),
        "settled_at": ("TIMESTAMPTZ", "When what it is about was read; NULL while pending."),
    },
)
READ_BY_MODELS = (PAYMENTS, EVENTS)


def replace_table(
    con: duckdb.DuckDBPyConnection, table: Mirrored, rows: Sequence[Sequence[Any]]
) -> None:
    """Makes a table anew, with its comments. Inside the caller's transaction."""
    texts = [
        text_array([None if row[at] is None else str(row[at]) for row in rows])
        for at in range(len(table.columns))
    ]
    con.register("mirrored", pa.table(dict(zip(table.columns, texts, strict=True))))
    try:
        _make(con, table, "FROM mirrored")
    finally:
        con.unregister("mirrored")


def create_missing(con: duckdb.DuckDBPyConnection) -> None:
    """Tables that models read, empty where nothing was mirrored yet."""
    there = {
        name
        for (name,) in con.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            "WHERE schema_name IN ('outbox', 'inbox') AND database_name = current_database()"
        ).fetchall()
    }
    for table in READ_BY_MODELS:
        if table.name not in there:
            nothing = ", ".join(f'NULL::VARCHAR AS "{column}"' for column in table.columns)
            _make(con, table, f"FROM (SELECT {nothing}) WHERE false")


def _make(con: duckdb.DuckDBPyConnection, table: Mirrored, source: str) -> None:
    cast = ", ".join(f'"{c}"::{kind} AS "{c}"' for c, (kind, _) in table.columns.items())
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {table.name.partition('.')[0]}")
    con.execute(f"CREATE OR REPLACE TABLE {table.name} AS SELECT {cast} {source}")
    con.execute(f"COMMENT ON TABLE {table.name} IS {quoted(table.doc)}")
    for column, (_, told) in table.columns.items():
        con.execute(f'COMMENT ON COLUMN {table.name}."{column}" IS {quoted(told)}')
