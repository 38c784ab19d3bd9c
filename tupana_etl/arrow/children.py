"""Lists inside the rows of a parent → rows of their own (lines, references, events)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import UNSET, Raw, UnsetType

from tupana_etl.arrow import cells
from tupana_etl.arrow.rows import Reject, Wrong, batch_schema, column_array, null_keys, reject
from tupana_etl.arrow.wire import UNFIT, Opened, Wire, joined
from tupana_etl.streams import Stream

SOME = "~"
"""Behind a child's name in ``_absent``: some came, and some of those could not be taken."""

SLICED = frozenset({"master_entity_id", "document_type", "document_id", "position"})
"""Columns that come from where a row was read, not from the child."""


class ChildDecoder:
    """Decodes the lists inside the rows of a parent into rows of their own."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._columns = [c for c in stream.columns if c.name not in SLICED]
        self._wire = Wire(self._columns)
        self._outer, _, self._inner = stream.source.partition("[].")
        self._decoder: tuple[Any, msgspec.json.Decoder[Any]] | None = None

    def decode(
        self, rows: list[Any], ids: list[str], where: Mapping[str, str], order: range
    ) -> tuple[pa.RecordBatch, dict[int, str], list[Reject]]:
        """The children, the rejects, and between them the parents that do not say theirs.

        Those are given by position, with the mark that goes into ``_absent``: the stream's
        name where they say nothing, with ``SOME`` behind it where some could not be taken.
        """
        raws = [getattr(row, self._outer) for row in rows]
        try:
            lists = self._typed(raws)
        except UNFIT:
            return self._one_by_one(raws, ids, where, order)
        kids = [kid for listed in lists for kid in listed or ()]
        batch, wrong = self._batch(kids, *_places(lists, ids, order), where)
        if wrong:
            return self._one_by_one(raws, ids, where, order)
        return batch, self._unsaid(lists), []

    def _typed(self, raws: list[Any]) -> list[list[Any] | None]:
        """All lists in one go. Raises UNFIT when any child does not fit, or has a new key."""
        row = self._wire.row_type
        if self._decoder is None or self._decoder[0] is not row:
            kids: Any = list[row]  # type: ignore[valid-type]
            if self._inner:
                inner = (self._inner, kids | None | UnsetType, UNSET)
                outer: Any = msgspec.defstruct("Outer", [inner], gc=False)
                kids = list[outer]
            self._decoder = (row, msgspec.json.Decoder(list[kids | None]))
        lists: list[list[Any] | None] = self._decoder[1].decode(joined(raws))
        return [_flat(o, self._inner) for o in lists] if self._inner else lists

    def _one_by_one(
        self, raws: list[Any], ids: list[str], where: Mapping[str, str], order: range
    ) -> tuple[pa.RecordBatch, dict[int, str], list[Reject]]:
        lists, refused = self._lists(raws, ids)
        unsaid = self._unsaid(lists)
        flat = [raw for listed in lists for raw in listed or ()]
        parents, places, orders = _places(lists, ids, order)
        kids, rejects = self._take(flat, parents)
        rejects += refused
        kept = [i for i, kid in enumerate(kids) if kid is not None]
        taken = [kids[i] for i in kept]
        batch, wrong = self._batch(
            taken,
            [parents[i] for i in kept],
            [places[i] for i in kept],
            [orders[i] for i in kept],
            where,
        )
        for position, (column, why) in wrong.items():
            raw = flat[kept[position]]
            rejects.append(reject(self.stream, raw, why, column, parents[kept[position]]))
        if wrong:
            batch = batch.take(cells.int_array([i for i in range(len(taken)) if i not in wrong]))
        lost = {*range(len(flat))} - {kept[i] for i in range(len(taken)) if i not in wrong}
        unsaid |= {order.index(orders[i]): f"{self.stream.name}{SOME}" for i in lost}
        return batch, unsaid, rejects

    def _unsaid(self, lists: Sequence[Any]) -> dict[int, str]:
        return {i: self.stream.name for i, listed in enumerate(lists) if listed is None}

    def _lists(
        self, raws: list[Any], ids: list[str]
    ) -> tuple[list[list[Raw] | None], list[Reject]]:
        """Each parent's list, None where it does not say; what is no list is rejected."""
        try:
            return self._opened(raws), []
        except UNFIT:
            pass  # some parent's list has another shape: find which, below
        lists: list[list[Raw] | None] = []
        rejects: list[Reject] = []
        for raw, parent in zip(raws, ids, strict=True):
            try:
                lists += self._opened([raw])
            except UNFIT as error:
                lists.append(None)
                rejects.append(reject(self.stream, raw, str(error), self._outer, parent))
        return lists, rejects

    def _opened(self, raws: list[Any]) -> list[list[Raw] | None]:
        lists = msgspec.json.decode(joined(raws), type=list[list[Raw] | None])
        if not self._inner:
            return lists
        return [None if raws is None else self._inside(raws) for raws in lists]

    def _inside(self, raws: list[Raw]) -> list[Raw] | None:
        found: list[Raw] | None = None
        for raw in raws:
            inner = msgspec.json.decode(raw, type=dict[str, Raw]).get(self._inner)
            if inner is not None and bytes(inner) != b"null":
                found = (found or []) + msgspec.json.decode(inner, type=list[Raw])
        return found if raws else []

    def _take(self, flat: list[Raw], ids: list[str]) -> tuple[list[Any], list[Reject]]:
        body = joined(flat)
        for _ in range(2):
            try:
                return self._wire.rows(body), []
            except UNFIT:
                self._wire.learn(body)
        kids: list[Any] = []
        rejects: list[Reject] = []
        for raw, parent in zip(flat, ids, strict=True):
            try:
                kids.append(self._wire.row_of(raw))
            except UNFIT as error:
                kids.append(None)
                rejects.append(reject(self.stream, raw, str(error), "", parent))
        return kids, rejects

    def _batch(
        self,
        kids: list[Any],
        parents: list[str],
        places: list[int],
        order: list[int],
        where: Mapping[str, str],
    ) -> tuple[pa.RecordBatch, Wrong]:
        bad: Wrong = {}
        arrays = []
        opened: Opened = {}
        for column in self.stream.columns:
            if column.name == "document_id":
                arrays.append(cells.text_array(parents))
            elif column.name == "position":
                arrays.append(cells.int_array(places))
            elif column.name in SLICED:
                arrays.append(cells.constant(where.get(column.name), len(kids)))
            else:
                built, wrong = column_array(column, self._wire.cells(kids, column, opened))
                if column.name in self.stream.key:
                    bad.update(null_keys(column.name, built))
                bad.update({i: (column.name, why) for i, why in wrong.items()})
                arrays.append(built)
        arrays.append(cells.text_array(self._wire.unknown_values(kids)))
        arrays.append(cells.text_array([""] * len(kids)))
        arrays.append(cells.int_array(order))
        return pa.RecordBatch.from_arrays(arrays, schema=batch_schema(self.stream)), bad


def _flat(outers: list[Any] | None, inner: str) -> list[Any] | None:
    """The children inside each of a parent's objects; None when none of them says any."""
    if not outers:
        return outers
    lists = [kids for o in outers if (kids := getattr(o, inner)) is not None and kids is not UNSET]
    if not lists:
        return None
    return lists[0] if len(lists) == 1 else [kid for kids in lists for kid in kids]


def _places(
    lists: Sequence[Sequence[Any] | None], ids: list[str], order: range
) -> tuple[list[str], list[int], list[int]]:
    """Of each child: its parent's id, its place from 1, its parent's number."""
    parents: list[str] = []
    places: list[int] = []
    orders: list[int] = []
    for listed, parent, number in zip(lists, ids, order, strict=True):
        if listed:
            count = len(listed)
            parents += [parent] * count
            places += range(1, count + 1)
            orders += [number] * count
    return parents, places, orders
