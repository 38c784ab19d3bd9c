"""Reading what was published: a read-only connection, Arrow batches, pandas at the edge.

Every reader opens ``analytics.duckdb`` and nothing else. A connection sees one consistent
run for as long as it is open; open a new one to see the next.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from tupana_etl import settings as configuration
from tupana_etl.errors import ConfigError, DataError
from tupana_etl.settings import Settings

if TYPE_CHECKING:  # each costs a command of half a second as much again
    import pandas as pd
    import pyarrow as pa

BATCH_ROWS = 50_000

FETCHED_AT_ONCE = 1_000
"""Rows turned into Python objects at once."""


OURS = """SELECT 1 FROM information_schema.tables
WHERE table_schema = 'raw' AND table_name = 'syncs'"""

ANEW = (
    "Move it away and run `tupana marts`: it publishes again what was already read, "
    "without asking the API."
)


@contextmanager
def connect(settings: Settings | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to the published database, in Santiago's time zone.

    Closed at the end of the block, on errors too. Raises ConfigError when nothing was
    published yet, DataError when the file cannot be read or is not one of ours.
    """
    path = (settings or configuration.load()).analytics
    if not path.exists():
        raise ConfigError(
            f"There is no {path} yet. Run `tupana sync` first, or `tupana demo` to try it out."
        )
    try:
        con = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise DataError(_unreadable(path, error)) from None
    try:
        if not con.execute(OURS).fetchall():
            raise DataError(f"{path} was not published by Tupana ETL. {ANEW}")
        con.execute("SET TimeZone = 'America/Santiago'")
        yield con
    finally:
        con.close()


def _unreadable(path: Path, error: duckdb.Error) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    if "not a valid DuckDB database" in text:
        return f"{path} is damaged, or is not a DuckDB database. {ANEW}"
    if "version number" in text:
        return f"{path} was written by a newer DuckDB than {duckdb.__version__}. {ANEW}"
    return f"{path} cannot be read: {text}. {ANEW}"


def batches(
    table: str, settings: Settings | None = None, *, columns: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """A published table (``raw.documents``, ``marts.receivables`` …) as Arrow batches.

    Memory stays flat whatever the table's size. A name without schema is a stream's.
    Raises ConfigError for a table that does not exist.
    """
    with connect(settings) as con:
        name = qualified(con, table)
        wanted = ", ".join(f'"{c}"' for c in columns) or "*"
        reader = con.sql(f"SELECT {wanted} FROM {name}").to_arrow_reader(BATCH_ROWS)
        yield from reader


@dataclass(frozen=True)
class Answer:
    """What a query gives: its columns, their DuckDB types, and its rows one by one."""

    columns: list[str]
    types: list[str]
    rows: Iterator[tuple[Any, ...]]


@contextmanager
def answer(
    query: str, settings: Settings | None = None, *, params: Sequence[Any] | dict[str, Any] = ()
) -> Iterator[Answer]:
    """The answer of one SQL text, readable while the block is open.

    Raises ConfigError with DuckDB's own words when the SQL is wrong, also while rows are
    fetched; a full disk stays an OSError, and Ctrl-C stays Ctrl-C.
    """
    with connect(settings) as con, plain_errors(con):
        con.execute(query, params or None)
        described = con.description or []
        yield Answer(
            [str(column[0]) for column in described],
            [str(column[1]) for column in described],
            _rows(con) if described else iter(()),
        )


@contextmanager
def plain_errors(
    con: duckdb.DuckDBPyConnection | None = None, *, own: bool = False
) -> Iterator[None]:
    """Turns what DuckDB raises inside the block into the errors people may see.

    A name that is not in ``con``, the published file, may be one that only this version's
    marts have, and then that is said too. ``own`` SQL names nothing else: there DuckDB's
    own words are left out.
    """
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.FatalException) as error:
        text = " ".join(str(error).split())
        if "no space left" in text.lower():
            raise OSError(errno.ENOSPC, "No space left on device") from None
        raise DataError(f"DuckDB could not finish: {text}") from None
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        text, older = str(error).strip(), _older(con) if con else ""
        if older and own:
            raise ConfigError(older) from None
        first = text.splitlines()[0]  # the rest would say where the query is wrong
        raise ConfigError(f"{first} {older}" if older else text) from None
    except duckdb.Error as error:
        raise ConfigError(str(error).strip()) from None


def _older(con: duckdb.DuckDBPyConnection) -> str:
    """A sentence when the file lacks what this version's marts have, else empty."""
    from tupana_etl.warehouse.model_files import find_files  # noqa: PLC0415 - only after errors

    there = {
        name
        for (name,) in con.execute(
            """SELECT schema_name || '.' || table_name || '.' || column_name FROM duckdb_columns()
            UNION ALL SELECT schema_name || '.' || table_name FROM duckdb_tables()
            UNION ALL SELECT schema_name || '.' || function_name FROM duckdb_functions()"""
        ).fetchall()
    }
    models = [m for m in find_files() if m.schema == "marts"]
    wanted = (
        name
        for m in models
        for name in (m.name, *([] if m.is_macro else [f"{m.name}.{c}" for c in m.columns]))
    )
    missing = next((name for name in wanted if name not in there), None)
    if missing is None:
        return ""
    return (
        f"What is published was made by another version of Tupana ETL: it has no {missing}. "
        "Run `tupana marts`: it publishes again what was already read, without asking the API."
    )


def _rows(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while some := con.fetchmany(FETCHED_AT_ONCE):
        yield from some


def frame(
    query: str, settings: Settings | None = None, *, params: Sequence[Any] | None = None
) -> pd.DataFrame:
    """Result of a query as a pandas DataFrame; amounts stay exact (Decimal objects).

    ``params`` fill the query's ``?``.
    """
    with connect(settings) as con:
        table = con.sql(query, params=list(params) if params else None).to_arrow_table()
    result: pd.DataFrame = table.to_pandas(date_as_object=False)
    return result


def qualified(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """The table's quoted name; ConfigError that lists what there is."""
    schema, _, name = table.rpartition(".")
    rows = con.execute(
        """SELECT table_schema, table_name FROM information_schema.tables
        WHERE table_schema IN ('marts', 'raw', 'history', 'ref', 'outbox') ORDER BY ALL"""
    ).fetchall()
    for candidate in (schema,) if schema else ("marts", "raw"):
        if (candidate, name) in rows:
            return f'"{candidate}"."{name}"'
    there = ", ".join(f"{s}.{n}" for s, n in rows if s in ("marts", "raw"))
    raise ConfigError(f"There is no table {table!r}. There are: {there}. {_older(con)}".strip())
