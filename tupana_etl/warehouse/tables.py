"""Creates the tables of the warehouse from the stream declarations.

``history.<stream>`` keeps every version of every row (``valid_from``, ``valid_to``);
``raw.<stream>`` shows the current ones. ``raw.rejects|syncs|windows|lineage`` are the
bookkeeping that answers "what was asked, what came, is it complete". ``ref.*`` are facts
of law for the models. ``meta.applied`` says how far the lake has been applied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import duckdb

from tupana_etl.columns import Column, Kind
from tupana_etl.domain import DTE_TYPES, HONORARIOS_RETENTION
from tupana_etl.streams import STREAMS, Stream
from tupana_etl.warehouse import progress
from tupana_etl.warehouse.bookkeeping import BOOKKEEPING

SERVICE_COLUMNS = (
    Column("_synced_at", Kind.TIME, "When this version was first seen."),
    Column("_detail_at", Kind.TIME, "When the detail this version rests on was read."),
    Column("_deleted_at", Kind.TIME, "When the row was found to be gone; NULL while it is there."),
    Column("_extra", Kind.JSON, "Fields the API sent that this package does not know."),
)
"""What every raw table has beside the stream's own columns."""

HISTORY_COLUMNS = (
    Column("valid_from", Kind.TIME, "From when this version held, as far as we saw."),
    Column("valid_to", Kind.TIME, "Until when; NULL for the current version."),
    Column("_row_hash", Kind.TEXT, "Hash of the business fields: tells versions apart."),
    Column("_call", Kind.TEXT, "The API call the version came from: raw.lineage.call."),
)


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Creates whatever is missing and adds columns that newer declarations brought.

    Idempotent; never drops or rewrites data. Does nothing when the declarations are those
    of the last time: hundreds of comments cost a second.
    """
    con.execute("CREATE SCHEMA IF NOT EXISTS meta")
    con.execute("CREATE TABLE IF NOT EXISTS meta.declared (fingerprint VARCHAR)")
    fingerprint = _fingerprint()
    if con.execute("SELECT 1 FROM meta.declared WHERE fingerprint = ?", [fingerprint]).fetchone():
        return
    con.begin()
    for schema in ("history", "raw", "ref"):
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    for stream in STREAMS.values():
        _create_stream(con, stream)
    for name, book in BOOKKEEPING.items():
        _create(con, name, book.columns)
        _comment(con, "TABLE", name, book.doc, book.columns)
    con.execute(
        "CREATE TABLE IF NOT EXISTS meta.applied (seq BIGINT PRIMARY KEY, applied_at TIMESTAMPTZ)"
    )
    con.execute(progress.TABLES)
    _fill_reference(con)
    con.execute("DELETE FROM meta.declared")
    con.execute("INSERT INTO meta.declared VALUES (?)", [fingerprint])
    con.commit()


def _fingerprint() -> str:
    declared = (STREAMS, SERVICE_COLUMNS, HISTORY_COLUMNS, BOOKKEEPING, DTE_TYPES, progress.TABLES)
    return hashlib.sha256(repr((declared, HONORARIOS_RETENTION)).encode()).hexdigest()


def history_columns(stream: Stream) -> list[Column]:
    """Columns of ``history.<stream>``, in order."""
    service = [c for c in SERVICE_COLUMNS if c.name != "_synced_at"]
    return [*stream.columns, *service, *HISTORY_COLUMNS]


def _create_stream(con: duckdb.DuckDBPyConnection, stream: Stream) -> None:
    columns = history_columns(stream)
    _create(con, f"history.{stream.name}", columns)
    shown = ", ".join(f'"{c.name}"' for c in stream.columns)
    con.execute(
        f"""CREATE OR REPLACE VIEW raw.{stream.name} AS
        SELECT {shown}, valid_from AS _synced_at, _detail_at, _deleted_at, _extra
        FROM history.{stream.name} WHERE valid_to IS NULL"""
    )
    _comment(con, "VIEW", f"raw.{stream.name}", stream.doc, [*stream.columns, *SERVICE_COLUMNS])
    _comment(con, "TABLE", f"history.{stream.name}", f"All versions. {stream.doc}", columns)


def _create(con: duckdb.DuckDBPyConnection, name: str, columns: Sequence[Column]) -> None:
    body = ", ".join(f'"{c.name}" {c.kind.duckdb}' for c in columns)
    con.execute(f"CREATE TABLE IF NOT EXISTS {name} ({body})")
    there = {row[0] for row in con.execute(f"DESCRIBE {name}").fetchall()}
    for c in columns:
        if c.name not in there:
            con.execute(f'ALTER TABLE {name} ADD COLUMN "{c.name}" {c.kind.duckdb}')


def _comment(
    con: duckdb.DuckDBPyConnection, what: str, name: str, doc: str, columns: Sequence[Column]
) -> None:
    told = [f"COMMENT ON {what} {name} IS {quoted(doc)}"]
    told += (f'COMMENT ON COLUMN {name}."{c.name}" IS {quoted(c.doc)}' for c in columns)
    con.execute("; ".join(told))  # one call: half the time of a call each


def _fill_reference(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(
        """CREATE OR REPLACE TABLE ref.dte_types (code VARCHAR, name VARCHAR,
        book_sign INTEGER, issuer_is_seller BOOLEAN, is_note BOOLEAN, claimable BOOLEAN,
        cedible BOOLEAN, has_iva BOOLEAN, is_export BOOLEAN, is_receipt BOOLEAN,
        is_honorarios BOOLEAN)"""
    )
    con.executemany(
        "INSERT INTO ref.dte_types VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [list(vars(t).values()) for t in DTE_TYPES.values()],
    )
    con.execute(
        "CREATE OR REPLACE TABLE ref.honorarios_retention (valid_from DATE, rate DECIMAL(6,4))"
    )
    con.executemany(
        "INSERT INTO ref.honorarios_retention VALUES (make_date(?, 1, 1), ?)",
        [[year, rate] for year, rate in HONORARIOS_RETENTION.items()],
    )


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
