"""Page bytes → typed record batches, without a Python dict per row.

Strict typed first. When a page does not fit, its unknown keys are learned and it is
tried again; what still does not fit is taken row by row, and rows that cannot be taken
go to rejects with their JSON as it came. Nothing is dropped without a trace.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import UNSET, Raw

from tupana_etl.arrow import cells
from tupana_etl.arrow.children import ChildDecoder
from tupana_etl.arrow.rows import (
    Reject,
    Wrong,
    batch_schema,
    column_array,
    null_keys,
    reject,
)
from tupana_etl.arrow.wire import UNFIT, Opened, Wire
from tupana_etl.columns import Column
from tupana_etl.streams import Stream, children


@dataclass(frozen=True)
class Decoded:
    """What one page became. ``batch`` has the stream's columns, then ``_extra``,
    ``_absent`` (names of columns the row did not speak of, as ``,a,b,``) and ``_row``
    (order within the caller's count); children carry their parent's ``_row``."""

    batch: pa.RecordBatch
    children: dict[str, pa.RecordBatch]
    rejects: list[Reject] = field(default_factory=list)


class Decoder:
    """Decodes the pages of one stream; remembers unknown keys between pages."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._children = [(child, ChildDecoder(child)) for child in children(stream.name)]
        self._own = sliced(stream)
        wire = [c for c in stream.columns if c.name not in self._own]
        self._columns = wire
        self._wire = Wire(wire, [child.source for child, _ in self._children])
        # Two threads that decode share one interpreter: they only keep a third, the one
        # that reads the network, waiting for it.
        self._decoding = threading.Lock()

    @property
    def unknown(self) -> tuple[str, ...]:
        """Keys met so far that no declaration names."""
        return self._wire.unknown

    def decode(self, body: bytes, where: Mapping[str, str], first_row: int = 0) -> Decoded:
        """Rows of a JSON array read at ``where`` (master_entity_id, document_type …).

        Raises msgspec.DecodeError when the body is no JSON array.
        """
        with self._decoding:
            return self._decode(body, where, first_row)

    def decode_together(
        self, bodies: Sequence[bytes], where: Mapping[str, str], first_row: int = 0
    ) -> Decoded | None:
        """The rows of several pages as one batch, in order: half the cost of one by one.

        None when any row did not fit: only :meth:`decode` can say which page it was on.
        """
        inside = [body.strip()[1:-1].strip() for body in bodies]
        decoded = self.decode(b"[" + b",".join([i for i in inside if i]) + b"]", where, first_row)
        return None if decoded.rejects else decoded

    def _decode(self, body: bytes, where: Mapping[str, str], first_row: int) -> Decoded:
        rows, raws, rejects = self._rows(body)
        built, absent, bad = self._build(rows)
        if bad:
            rejects += self._rejected(rows, raws, body, bad)
            keep = [i for i in range(len(rows)) if i not in bad]
            rows = [rows[i] for i in keep]
            built, absent, _ = self._build(rows)
        order = range(first_row, first_row + len(rows))
        ids = _ids(built.get("id"), len(rows))
        kids: dict[str, pa.RecordBatch] = {}
        for child, decoder in self._children:
            batch, unsaid, refused = decoder.decode(rows, ids, where, order)
            kids[child.name] = batch
            rejects += refused
            for position, mark in unsaid.items():
                absent[position].append(mark)
        return Decoded(self._batch(rows, built, absent, where, order), kids, rejects)

    def _rows(self, body: bytes) -> tuple[list[Any], list[Raw] | None, list[Reject]]:
        try:
            return self._wire.rows(body), None, []
        except UNFIT:
            self._wire.learn(body)
        try:
            return self._wire.rows(body), None, []
        except UNFIT:
            return self._row_by_row(body)

    def _row_by_row(self, body: bytes) -> tuple[list[Any], list[Raw], list[Reject]]:
        rows, raws, rejects = [], [], []
        for raw in msgspec.json.decode(body, type=list[Raw]):
            try:
                rows.append(self._wire.row_of(raw))
                raws.append(raw)
            except UNFIT as error:
                rejects.append(reject(self.stream, raw, str(error)))
        return rows, raws, rejects

    def _build(self, rows: list[Any]) -> tuple[dict[str, pa.Array], list[list[str]], Wrong]:
        built: dict[str, pa.Array] = {}
        nowhere: list[str] = []
        absent: list[list[str]] = [[] for _ in rows]
        bad: Wrong = {}
        opened: Opened = {}
        for column in self._columns:
            values, wrong = self._cells(rows, column, opened)
            bad.update({i: (column.name, why) for i, why in wrong.items()})
            unsaid = values.count(UNSET)
            if unsaid == len(values):
                nowhere.append(column.name)
            elif unsaid:
                for position, value in enumerate(values):
                    if value is UNSET:
                        absent[position].append(column.name)
            built[column.name], wrong = column_array(column, values)
            bad.update({i: (column.name, why) for i, why in wrong.items()})
            if column.name in self.stream.key:
                bad.update(null_keys(column.name, built[column.name]))
        return built, [nowhere + mine for mine in absent] if nowhere else absent, bad

    def _cells(
        self, rows: list[Any], column: Column, opened: Opened
    ) -> tuple[list[Any], dict[int, str]]:
        try:
            return self._wire.cells(rows, column, opened), {}
        except UNFIT:
            pass  # an object inside some row has another shape: find which, below
        values: list[Any] = []
        wrong: dict[int, str] = {}
        for position, row in enumerate(rows):
            try:
                values += self._wire.cells([row], column, {})
            except UNFIT as error:
                values.append(None)
                wrong[position] = str(error)
        return values, wrong

    def _rejected(
        self,
        rows: list[Any],
        raws: list[Raw] | None,
        body: bytes,
        bad: Wrong,
    ) -> list[Reject]:
        raws = raws if raws is not None else msgspec.json.decode(body, type=list[Raw])
        return [
            reject(self.stream, raws[i], why, column) for i, (column, why) in sorted(bad.items())
        ]

    def _batch(
        self,
        rows: list[Any],
        built: dict[str, pa.Array],
        absent: list[list[str]],
        where: Mapping[str, str],
        order: range,
    ) -> pa.RecordBatch:
        n = len(rows)
        arrays = [
            cells.constant(where.get(c.name), n) if c.name in self._own else built[c.name]
            for c in self.stream.columns
        ]
        arrays.append(cells.text_array(self._wire.unknown_values(rows)))
        arrays.append(cells.text_array([f",{','.join(a)}," if a else "" for a in absent]))
        arrays.append(cells.int_array(order))
        return pa.RecordBatch.from_arrays(arrays, schema=batch_schema(self.stream))


def _ids(array: pa.Array | None, rows: int) -> list[str]:
    ids: list[str] = [""] * rows if array is None else array.to_pylist()
    return ids


def sliced(stream: Stream) -> frozenset[str]:
    """Columns of a stream that its rows do not carry."""
    by_slice = {"company": "master_entity_id", "direction": "document_type", "period": "period"}
    own = {by_slice[s] for s in stream.slices if s in by_slice} - {"period"}
    return frozenset(own | ({"master_entity_id"} if "company" not in stream.slices else set()))
