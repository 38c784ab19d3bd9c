"""Merges the small segments of sealed runs into one file a table, and compresses their lines.

A home that is synced every hour would have tens of thousands of files after a year. When a
part of the manifest is sealed, its runs are over: their small segments are copied into one,
whose rows say of which entry they are (``_seq``), and the part's lines are written anew with
the place of their rows. Numbers and everything else of an entry stay.

The compressed part is the commit: once it stands there it is what is read. Before that the
copies are files that nobody names; after it the old segments and the plain part are. A crash
anywhere leaves one or the other, and the next run goes on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tupana_etl.arrow import cells
from tupana_etl.errors import LakeCorrupt
from tupana_etl.lake.manifest import Entry, Manifest, Sealed
from tupana_etl.lake.segments import Committed, Segment, SegmentWriter

SMALL_BYTES = 4_000_000
"""A segment of this size is worth its file."""

FEW = 50
"""Small segments that a part may have: fewer are not worth the copying."""

COPY_ROWS = 2_000
"""Rows in memory at once."""

Moved = Mapping[str, str]
"""Old path of a segment → path of the file that holds its rows."""

_log = logging.getLogger("tupana_etl.lake")


def compact(manifest: Manifest, tell: Callable[[Moved], None]) -> int:
    """Compacts what was sealed since the last time. Returns how many segments are gone.

    The caller holds the home's lock. ``tell`` is told where rows are now, before the old
    files go; it is told again if a crash came between. A part with a segment that is not
    what was committed is left as it is, for `tupana doctor` to name.
    """
    gone = 0
    for part in manifest.uncompacted():
        if not part.packed.exists():
            try:
                _commit(manifest, part)
            except LakeCorrupt as error:
                _log.warning("not compacted: %s", error)
                continue
        moved = _moved(manifest, part)
        tell(moved)
        for path in moved:
            _remove(manifest.lake / path)
        part.path.unlink()
        gone += len(moved)
    return gone


def _commit(manifest: Manifest, part: Sealed) -> None:
    """Writes the copies, then the lines that name them."""
    small: dict[str, list[tuple[int, dict[str, Any]]]] = {}
    for entry in manifest.lines_of(part):
        for table, segment in entry.body.get("segments", {}).items():
            if segment["bytes"] < SMALL_BYTES:
                small.setdefault(table, []).append((entry.seq, segment))
    copies: dict[str, Segment] = {}
    if sum(len(found) for found in small.values()) > FEW:
        for table, found in small.items():
            copies[table] = _copy(manifest.lake, _place(table, part), found)
    manifest.pack(part, (_renamed(entry, copies) for entry in manifest.lines_of(part)))


def _place(table: str, part: Sealed) -> str:
    return f"{table}/compacted/{part.first:09d}-{part.last:09d}.parquet"


def _copy(lake: Path, path: str, found: list[tuple[int, dict[str, Any]]]) -> Segment:
    """One file with the rows of many, in order, each with its entry's number."""
    committed = Committed(lake)
    files = [(seq, committed.file(segment)) for seq, segment in found]
    schemas = [pq.read_schema(file).remove_metadata() for _, file in files]
    schema = pa.unify_schemas(schemas).append(pa.field("_seq", pa.int64()))
    (lake / path).unlink(missing_ok=True)  # of an attempt that did not come to an end
    writer = SegmentWriter(lake, path, schema)
    try:
        for seq, file in files:
            with pq.ParquetFile(file) as source:
                for batch in source.iter_batches(COPY_ROWS):
                    writer.write(_with_seq(batch, schema, seq))
        segment = writer.close()
    finally:
        writer.abandon()
    rows = sum(segment["rows"] for _, segment in found)
    if segment is None or segment.rows != rows:
        raise LakeCorrupt(f"The segments of {path} do not hold the {rows} rows they promise.")
    return segment


def _with_seq(batch: pa.RecordBatch, schema: pa.Schema, seq: int) -> pa.RecordBatch:
    rows = batch.num_rows
    present = set(batch.schema.names)
    arrays = [
        batch.column(field.name) if field.name in present else pa.nulls(rows, field.type)
        for field in schema
        if field.name != "_seq"
    ]
    return pa.RecordBatch.from_arrays([*arrays, cells.int_array([seq] * rows)], schema=schema)


def _renamed(entry: Entry, copies: Mapping[str, Segment]) -> Entry:
    segments = entry.body.get("segments")
    if not segments:
        return entry
    now = {
        table: {**vars(copies[table]), "rows": segment["rows"], "of": entry.seq}
        if table in copies and segment["bytes"] < SMALL_BYTES
        else segment
        for table, segment in segments.items()
    }
    return Entry(entry.seq, entry.kind, {**entry.body, "segments": now})


def _moved(manifest: Manifest, part: Sealed) -> Moved:
    """What the plain part names and the compressed one does not any more."""
    pairs = zip(manifest.lines_of(part), manifest.lines_of(part, packed=True), strict=True)
    moved: dict[str, str] = {}
    for before, now in pairs:
        for table, segment in before.body.get("segments", {}).items():
            if now.body["segments"][table]["path"] != segment["path"]:
                moved[segment["path"]] = now.body["segments"][table]["path"]
    return moved


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):  # the run has other segments, or it went before
        path.parent.rmdir()
