"""Publishes ``analytics.duckdb``: a copy of the warehouse, swapped in by rename.

People always open one consistent run; an open reader keeps the file it has and never
blocks the next publication.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import duckdb

from tupana_etl.errors import DataError
from tupana_etl.lake.segments import sync_folder
from tupana_etl.streams import STREAMS, Stream


def check_publishable(con: duckdb.DuckDBPyConnection) -> None:
    """Raises DataError when a key stands twice: wrong data is not published."""
    for stream in STREAMS.values():
        doubled = doubled_key(con, stream)
        if doubled:
            raise DataError(
                f"raw.{stream.name} holds the key {doubled} twice, so nothing was published; "
                "analytics.duckdb is still the last good one. Run `tupana marts --rebuild`."
            )


def doubled_key(con: duckdb.DuckDBPyConnection, stream: Stream) -> tuple[Any, ...] | None:
    """A key that stands in more than one current row of the stream, or None."""
    key = ", ".join(f'"{name}"' for name in stream.key)
    found: tuple[Any, ...] | None = con.execute(
        f"SELECT {key} FROM raw.{stream.name} GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    return found


def publish(warehouse: Path, target: Path) -> Path:
    """Copies the closed, checkpointed warehouse to ``target`` and swaps it in.

    Raises DataError when a write-ahead log shows that the warehouse was not closed.
    """
    if warehouse.with_name(warehouse.name + ".wal").exists():
        raise DataError(f"{warehouse} was not closed cleanly; run the command again.")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        shutil.copyfile(warehouse, temporary)
        temporary.chmod(0o600)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)
    return target
