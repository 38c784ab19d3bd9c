"""Reading what was published: a read-only connection, Arrow batches, pandas at the edge.

Every reader opens ``analytics.duckdb`` and nothing else. A connection sees one consistent
run for as long as it is open; open a new one to see the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from tupana_etl import settings as configuration
from tupana_etl.errors import ConfigError, DataError
from tupana_etl.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 50_000


@contextmanager
def connect(settings: Settings | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to the published database, in Santiago's time zone.

    Closed at the end of the block, on errors too. Raises ConfigError when nothing was
    published yet, DataError when the file cannot be read.
    """
    path = (settings or configuration.load()).analytics
    if not path.exists():
        raise ConfigError(
            f"There is no {path} yet. Run `tupana sync` first, or `tupana demo` to try it out."
        )
    try:
        con = duckdb.connect(str(path), read_only=True)
    except duckdb.IOException as error:
        raise DataError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    try:
        con.execute("SET TimeZone = 'America/Santiago'")
        yield con
    finally:
        con.close()


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
        WHERE table_schema IN ('marts', 'raw', 'history', 'ref') ORDER BY ALL"""
    ).fetchall()
    for candidate in (schema,) if schema else ("marts", "raw"):
        if (candidate, name) in rows:
            return f'"{candidate}"."{name}"'
    there = ", ".join(f"{s}.{n}" for s, n in rows if s in ("marts", "raw"))
    raise ConfigError(f"There is no table {table!r}. There are: {there}.")
