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


def publish(warehouse: Path, target: Path, group: str = "") -> Path:
    """Copies the closed, checkpointed warehouse to ``target`` and swaps it in.

    Members of ``group`` (of this machine) may read it; without one only this user may.
    Raises DataError when a write-ahead log shows that the warehouse was not closed, or when
    the file may not be given to the group.
    """
    if warehouse.with_name(warehouse.name + ".wal").exists():
        raise DataError(f"{warehouse} was not closed cleanly; run the command again.")
    if not target.parent.exists():
        target.parent.mkdir(parents=True, mode=0o700)
        _give(target.parent, group, 0o750)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        shutil.copyfile(warehouse, temporary)
        temporary.chmod(0o600)
        _give(temporary, group, 0o640)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)
    return target


def _give(path: Path, group: str, mode: int) -> None:
    """Lets a group in, if there is one to let in."""
    if not group:
        return
    try:
        shutil.chown(path, group=group)
    except (OSError, LookupError) as error:
        raise DataError(
            f"TUPANA_PUBLISH_GROUP is {group!r}: nothing could be given to it ({error}). It must "
            "be a group of this machine that you belong to. What was read is safe in the "
            "warehouse; mend the setting and run `tupana marts`."
        ) from None
    path.chmod(mode)
