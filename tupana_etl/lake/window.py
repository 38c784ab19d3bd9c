"""Writes what one window brought: a segment per table, all or none."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tupana_etl.arrow import cells
from tupana_etl.arrow.decode import Decoded
from tupana_etl.arrow.rows import Reject, batch_schema
from tupana_etl.columns import Kind
from tupana_etl.lake.segments import SegmentWriter
from tupana_etl.streams import Stream, children

REJECTS = pa.schema(
    [(name, pa.string()) for name in ("stream", "id", "column", "reason", "raw", "call")]
)

_STAMPS = [
    pa.field("_call", pa.string()),
    pa.field("_fetched_at", Kind.TIME.arrow),
    pa.field("_detail_at", Kind.TIME.arrow),
]


def segment_schema(stream: Stream) -> pa.Schema:
    """Columns of a segment: the stream's, what the decoder adds, and where it came from."""
    return pa.schema([*batch_schema(stream), *_STAMPS])


class WindowWriter:
    """Holds the rows of a window and its children, and writes those that are released."""

    def __init__(self, lake: Path, run_id: str, number: int, stream: Stream) -> None:
        def writer(table: str, schema: pa.Schema) -> SegmentWriter:
            return SegmentWriter(lake, f"{table}/{run_id}/{number:05d}.parquet", schema)

        self._tables = {
            s.name: writer(s.name, segment_schema(s)) for s in (stream, *children(stream.name))
        }
        self._held: dict[str, list[pa.RecordBatch]] = {name: [] for name in self._tables}
        self._stream = stream
        self._rejects = writer("rejects", REJECTS)
        # A cancelled `to_thread` leaves its thread writing: abandoning must wait for it, or
        # two threads use one ParquetWriter and the process dies of it.
        self._busy = threading.Lock()

    def hold(
        self,
        decoded: Decoded,
        call: str | Mapping[str, str],
        fetched_at: datetime,
        *,
        is_detail: bool = False,
    ) -> None:
        """Adds decoded rows, stamped with the call they came from (by id, for details)."""
        batches = {self._stream.name: decoded.batch, **decoded.children}
        for name, batch in batches.items():
            self._held[name].append(_stamped(batch, call, fetched_at, is_detail))
        self.reject(decoded.rejects, call)

    def hold_pages(self, decoded: Decoded, pages: Sequence[tuple[str, datetime, int]]) -> None:
        """Adds the rows of several pages: of each its call, when it came, and its rows."""
        page = cells.int_array([i for i, (_, _, rows) in enumerate(pages) for _ in range(rows)])
        calls = cells.text_array([call for call, _, _ in pages])
        moments = pa.concat_arrays([cells.moments(moment, 1) for _, moment, _ in pages])
        first = decoded.batch.column("_row")[0]
        for name, batch in {self._stream.name: decoded.batch, **decoded.children}.items():
            mine = page.take(pc.subtract(batch.column("_row"), first))
            stamps = [calls.take(mine), moments.take(mine), pa.nulls(len(mine), Kind.TIME.arrow)]
            self._held[name].append(_with_stamps(batch, stamps))

    @property
    def holding(self) -> int:
        """Rows of the stream held, its children not counted."""
        return sum(batch.num_rows for batch in self._held[self._stream.name])

    def held(self) -> dict[str, pa.Table]:
        """What is held, by table."""
        return {
            name: pa.Table.from_batches(batches, self._tables[name].schema)
            for name, batches in self._held.items()
        }

    def release(self, rows: pa.Array) -> None:
        """Writes the held rows with these ``_row`` numbers and their children; forgets all."""
        with self._busy:
            for name, table in self.held().items():
                chosen = table.filter(pc.is_in(table.column("_row"), rows))
                for batch in chosen.to_batches():
                    self._tables[name].write(batch)
            self._held = {name: [] for name in self._tables}

    def reject(self, rejects: list[Reject], call: str | Mapping[str, str]) -> None:
        """Adds rows that could not be taken."""
        names = REJECTS.names[:-1]
        arrays = [cells.text_array([getattr(r, name) for r in rejects]) for name in names]
        arrays.append(_calls(call, [r.id for r in rejects]))
        self._rejects.write(pa.RecordBatch.from_arrays(arrays, schema=REJECTS))

    def close(self) -> dict[str, dict[str, Any]]:
        """Makes every segment durable; what the manifest must say of each."""
        writers = {**self._tables, "rejects": self._rejects}
        with self._busy:
            finished = {name: writer.close() for name, writer in writers.items()}
        return {name: vars(segment) for name, segment in finished.items() if segment}

    def abandon(self) -> None:
        """Removes what was written."""
        with self._busy:
            for writer in (*self._tables.values(), self._rejects):
                writer.abandon()


def _calls(call: str | Mapping[str, str], ids: list[str | None]) -> pa.Array:
    if isinstance(call, str):
        return cells.constant(call, len(ids))
    return cells.text_array([call.get(id_ or "") for id_ in ids])


def _stamped(
    batch: pa.RecordBatch, call: str | Mapping[str, str], fetched_at: datetime, is_detail: bool
) -> pa.RecordBatch:
    rows = batch.num_rows
    moment = cells.moments(fetched_at, rows)
    detail = moment if is_detail else pa.nulls(rows, Kind.TIME.arrow)
    if isinstance(call, str):
        calls = cells.constant(call, rows)
    else:
        names = batch.schema.names
        owner = batch.column("id" if "id" in names else "document_id").to_pylist()
        calls = _calls(call, owner)
    return _with_stamps(batch, [calls, moment, detail])


def _with_stamps(batch: pa.RecordBatch, stamps: list[pa.Array]) -> pa.RecordBatch:
    columns = [*batch.columns, *stamps]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema([*batch.schema, *_STAMPS]))
