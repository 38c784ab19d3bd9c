"""Rows that a query on what was published, or a Parquet file, gives: for what is issued.

The connection reads only, and neither a query nor a file reaches anything else on the disk
or the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from tupana_etl.errors import ConfigError, DataError
from tupana_etl.warehouse.tables import quoted

Rows = tuple[list[str], list[tuple[Any, ...]]]
"""Column names and rows."""


def of_query(analytics: Path, sql: str, *, what: str = "The query") -> Rows:
    """What one SELECT gives, with every value in its own type.

    ``what`` names it in an error. Raises ConfigError with DuckDB's own words, or when
    nothing was published yet; DataError when the file cannot be read.
    """
    if not analytics.exists():
        raise ConfigError(
            f"There is no {analytics} yet to ask. Run `tupana sync` first, or give a file: "
            "`tupana outbox plan --from FILE.csv`."
        )
    try:
        con = duckdb.connect(str(analytics), read_only=True)
    except duckdb.IOException as error:
        raise DataError(f"{analytics} cannot be read: {str(error).splitlines()[0]}") from None
    with _closing(con, what):
        con.execute("SET TimeZone = 'America/Santiago'")
        con.execute("SET enable_external_access = false")
        return _fetched(con, sql)


def of_parquet(path: Path) -> Rows:
    """The rows of a Parquet file. Raises ConfigError when it is none."""
    with duckdb.connect() as con, _closing(con, str(path)):
        con.execute("SET autoinstall_known_extensions = false")
        return _fetched(con, f"SELECT * FROM read_parquet({quoted(str(path))})")


def _fetched(con: duckdb.DuckDBPyConnection, sql: str) -> Rows:
    con.execute(sql)
    columns = [str(column[0]) for column in con.description or []]
    return columns, con.fetchall()


@contextmanager
def _closing(con: duckdb.DuckDBPyConnection, what: str) -> Iterator[None]:
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.Error as error:
        raise ConfigError(f"{what} cannot be read. {' '.join(str(error).split())}") from None
    finally:
        con.close()
