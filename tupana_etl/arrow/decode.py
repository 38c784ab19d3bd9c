"""Page bytes → typed record batches, column by column, without a Python dict per row.

Strict typed first. When a page does not fit, the keys it brings are learned and it is
tried again; what still does not fit is taken row by row, and rows that cannot be taken
go to rejects with their JSON as it came. Nothing is dropped without a trace.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import Raw

from tupana_etl.arrow import cells
from tupana_etl.arrow.children import ChildDecoder
from tupana_etl.arrow.rows import Built, Reject, batch_schema, build, reject
from tupana_etl.arrow.wire import UNFIT, Wire
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
        self._schema = batch_schema(stream)
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
            rows, raws, rejects = self._rows(body)
            built = self._build(rows)
            if built.bad:
                raws = raws or msgspec.json.decode(body, type=list[Raw])
                rejects += [
                    reject(self.stream, raws[i], why, column)
                    for i, (column, why) in sorted(built.bad.items())
                ]
                rows = [row for i, row in enumerate(rows) if i not in built.bad]
                built = self._build(rows)
            return self._decoded(rows, built, rejects, where, first_row)

    def decode_together(
        self, bodies: Sequence[bytes], where: Mapping[str, str], first_row: int = 0
    ) -> Decoded | None:
        """The rows of several pages as one batch, in order: a third of the cost of one by one.

        None when any row did not fit: only :meth:`decode` can say which page it was on.
        """
        with self._decoding:
            rows = self._fitting(bodies)
            if rows is None:
                return None
            built = self._build(rows)
            if built.bad:
                return None
            decoded = self._decoded(rows, built, [], where, first_row)
        return None if decoded.rejects else decoded

    def _rows(self, body: bytes) -> tuple[list[Any], list[Raw], list[Reject]]:
        """The rows, their JSON if it had to be looked at, and those that do not fit."""
        found = self._fitting([body])
        if found is not None:
            return found, [], []
        rows, raws, rejects = [], [], []
        for raw in msgspec.json.decode(body, type=list[Raw]):
            try:
                rows.append(self._wire.row_of(raw))
                raws.append(raw)
            except UNFIT as error:
                rejects.append(reject(self.stream, raw, str(error)))
        return rows, raws, rejects

    def _fitting(self, bodies: Sequence[bytes]) -> list[Any] | None:
        """The rows of these pages, None when not all fit; learns the keys they bring."""
        try:
            return [*chain.from_iterable(map(self._wire.rows, bodies))]
        except UNFIT:
            is_new = self._wire.learn(bodies)
        return self._fitting(bodies) if is_new else None

    def _build(self, rows: list[Any]) -> Built:
        return build(self._wire, rows, self._columns, self.stream.key)

    def _decoded(
        self,
        rows: list[Any],
        built: Built,
        rejects: list[Reject],
        where: Mapping[str, str],
        first_row: int,
    ) -> Decoded:
        n = len(rows)
        order = range(first_row, first_row + n)
        ids = built.arrays["id"] if "id" in built.arrays else cells.constant("", n)
        kids: dict[str, pa.RecordBatch] = {}
        for child, decoder in self._children:
            kids[child.name], unsaid, refused = decoder.decode(built.table, ids, where, order)
            rejects += refused
            for position, mark in unsaid.items():
                built.unsaid.setdefault(position, []).append(mark)
        arrays = [
            cells.constant(where.get(c.name), n) if c.name in self._own else built.arrays[c.name]
            for c in self.stream.columns
        ]
        arrays += [self._wire.unknown_values(rows), built.absent(n), cells.int_array(order)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        return Decoded(batch, kids, rejects)


def sliced(stream: Stream) -> frozenset[str]:
    """Columns of a stream that its rows do not carry."""
    by_slice = {"company": "master_entity_id", "direction": "document_type", "period": "period"}
    own = {by_slice[s] for s in stream.slices if s in by_slice} - {"period"}
    return frozenset(own | ({"master_entity_id"} if "company" not in stream.slices else set()))
