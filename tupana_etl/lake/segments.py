"""Writes immutable Parquet segments so that a crash leaves either a whole file or none.

A segment is written under a temporary name, fsynced, renamed, and its folder fsynced:
after :func:`close` returns, a power cut cannot lose it. Nobody edits it afterwards.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tupana_etl.errors import LakeCorrupt

ROW_GROUP = 2_000
"""Rows that wait in memory for their row group; smaller when a window is smaller."""


@dataclass(frozen=True)
class Segment:
    """A finished file: path below the lake, rows, bytes and SHA-256."""

    path: str
    rows: int
    bytes: int
    sha256: str


class SegmentWriter:
    """Collects batches of one schema into one file. Creates nothing until the first row."""

    def __init__(self, lake: Path, path: str, schema: pa.Schema) -> None:
        self._final = lake / path
        self._lake = lake
        self._temporary = self._final.with_name(f".{self._final.name}.tmp")
        self.schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._rows_waiting = 0
        self._writer: pq.ParquetWriter | None = None
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        self._rows_waiting += batch.num_rows
        self.rows += batch.num_rows
        if self._rows_waiting >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            make_private(self._final.parent, self._lake)
            # In a row group this small zstd finds what repeats: dictionaries made the files
            # larger, took a third more of the processor and were read no faster.
            self._writer = pq.ParquetWriter(
                self._temporary, self.schema, compression="zstd", use_dictionary=False
            )
        table = pa.Table.from_batches(self._waiting, self.schema).combine_chunks()
        self._writer.write_table(table)
        self._waiting, self._rows_waiting = [], 0

    def close(self) -> Segment | None:
        """Finishes the file durably; None when there was no row."""
        if self._waiting:
            self._flush()
        if self._writer is None:
            return None
        self._writer.close()
        if self._final.exists():
            raise LakeCorrupt(f"{self._final} exists already; it was not overwritten.")
        self._temporary.chmod(0o600)
        size, digest = _sync(self._temporary)
        self._temporary.replace(self._final)
        sync_folder(self._final.parent)
        return Segment(str(self._final.relative_to(self._lake)), self.rows, size, digest)

    def abandon(self) -> None:
        """Removes what was written: the window will be read again."""
        if self._writer is not None:
            self._writer.close()
            self._temporary.unlink(missing_ok=True)


def _sync(path: Path) -> tuple[int, str]:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_size, sha256(path)


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Committed:
    """Committed segments of a lake, each checked once.

    Every byte is read for that: what rotted must not be taken for the truth.
    """

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        self._sound: set[tuple[str, str]] = set()

    def file(self, segment: Mapping[str, Any]) -> str:
        """Path of a segment; LakeCorrupt if it is not what was committed."""
        name = segment["path"], segment["sha256"]
        path = self._lake / name[0]
        if name not in self._sound and (not path.exists() or sha256(path) != name[1]):
            raise LakeCorrupt(
                f"Segment {name[0]} of the lake is missing or was altered; nothing was "
                "applied from it. Restore it from a copy of the home, then run again. Without a "
                "copy, move the home away and sync anew: only versions of the past are lost."
            )
        self._sound.add(name)
        return str(path)


def sync_folder(folder: Path) -> None:
    """Makes a rename or a new file in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_private(folder: Path, top: Path) -> None:
    """Creates ``folder`` (below ``top``) for this user alone, durably."""
    missing = [f for f in (folder, *folder.parents) if f.is_relative_to(top) and not f.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        sync_folder(path.parent)
