"""Opens the writer's database, and nothing else opens it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from tupana_etl.errors import DataError
from tupana_etl.warehouse.tables import create_tables, quoted

Connection = duckdb.DuckDBPyConnection
"""What rooms above call the open warehouse, so that they need not import DuckDB."""

WAREHOUSE = "warehouse"
"""Name of the attached database."""

STORAGE_VERSION = "v1.5.0"
"""Format of the files we write: DuckDB 1.5 and its clients read it, and so does 2.x."""


@contextmanager
def writer(path: Path, memory_limit: str = "4GB") -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse, open for writing, with its tables in place.

    The caller holds the home's lock. Raises DataError with the way out when the file
    cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    con = duckdb.connect(":memory:")
    try:
        con.execute(f"SET memory_limit = '{memory_limit}'")
        con.execute(f"SET temp_directory = {quoted(str(path.parent / '.duckdb_tmp'))}")
        con.execute("SET checkpoint_threshold = '1GB'")
        con.execute("SET preserve_insertion_order = false")
        _attach(con, path)
        con.execute("SET TimeZone = 'America/Santiago'")
        create_tables(con)
        yield con
        con.execute(f"CHECKPOINT {WAREHOUSE}")
    finally:
        con.close()


@contextmanager
def within(con: duckdb.DuckDBPyConnection, memory_limit: str, threads: int) -> Iterator[None]:
    """Holds DuckDB to less while the block runs; what does not fit goes to its disk.

    What was committed and is not in the file yet cannot leave memory, so it goes there early.
    """
    settings = ("memory_limit", "threads", "checkpoint_threshold")
    asked = ", ".join(f"current_setting('{name}')" for name in settings)
    before = con.execute(f"SELECT {asked}").fetchall()[0]
    con.execute(f"CHECKPOINT {WAREHOUSE}")
    try:
        for name, value in zip(settings, (memory_limit, threads, "64MB"), strict=True):
            con.execute(f"SET {name} = '{value}'")
        yield
    finally:
        for name, value in zip(settings, before, strict=True):
            con.execute(f"SET {name} = '{value}'")


def discard(path: Path) -> Path:
    """Removes a database and its log. Returns the path, free again."""
    for name in (path.name, f"{path.name}.wal"):
        path.with_name(name).unlink(missing_ok=True)
    return path


def _attach(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    try:
        con.execute(
            f"ATTACH {quoted(str(path))} AS {WAREHOUSE} (STORAGE_VERSION '{STORAGE_VERSION}')"
        )
    except duckdb.IOException as error:
        raise DataError(
            f"{path} cannot be opened: {str(error).splitlines()[0]} Nothing was changed. "
            "If another program has it open, close that (people read analytics.duckdb, not "
            "this file); if the file is damaged, move it away and run `tupana marts "
            "--rebuild`: the lake has everything."
        ) from None
    path.chmod(0o600)
    con.execute(f"USE {WAREHOUSE}")
