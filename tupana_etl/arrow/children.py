"""Lists inside the rows of a parent → rows of their own (lines, references, events)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw, UnsetType

from tupana_etl.arrow import cells
from tupana_etl.arrow.rows import Reject, Wrong, batch_schema, build, reject
from tupana_etl.arrow.wire import UNFIT, Cells, Wire, joined
from tupana_etl.streams import Stream

SOME = "~"
"""Behind a child's name in ``_absent``: some came, and some of those could not be taken."""

SLICED = frozenset({"master_entity_id", "document_type", "document_id", "position"})
"""Columns that come from where a row was read, not from the child."""


class ChildDecoder:
    """Decodes the lists inside the rows of a parent into rows of their own."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self._schema = batch_schema(stream)
        self._columns = [c for c in stream.columns if c.name not in SLICED]
        self._wire = Wire(self._columns)
        self._outer, _, self._inner = stream.source.partition("[].")
        self._decoder: tuple[Any, msgspec.json.Decoder[Any]] | None = None

    def decode(
        self, table: Mapping[str, Cells], ids: pa.Array, where: Mapping[str, str], order: range
    ) -> tuple[pa.RecordBatch, dict[int, str], list[Reject]]:
        """The children, the rejects, and between them the parents that do not say theirs.

        Those are given by position, with the mark that goes into ``_absent``: the stream's
        name where they say nothing, with ``SOME`` behind it where some could not be taken.
        """
        raws = table.get(self._outer, (UNSET,) * len(order))
        lists = self._fitting(raws)
        if lists is not None:
            kids = [*chain.from_iterable(listed or () for listed in lists)]
            batch, wrong = self._batch(kids, _places(lists), ids, where, order)
            if not wrong:
                return batch, self._unsaid(lists), []
        return self._one_by_one(raws, ids, where, order)

    def _fitting(self, raws: Cells) -> list[list[Any] | None] | None:
        """All lists in one go, None when some child does not fit; learns the keys they bring."""
        try:
            return self._typed(raws)
        except UNFIT:
            lists, _ = self._lists(raws, [""] * len(raws))
            is_new = self._wire.learn(joined(kids) for kids in lists if kids)
        return self._fitting(raws) if is_new else None

    def _typed(self, raws: Cells) -> list[list[Any] | None]:
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
        self, raws: Cells, ids: pa.Array, where: Mapping[str, str], order: range
    ) -> tuple[pa.RecordBatch, dict[int, str], list[Reject]]:
        names = ids.to_pylist()
        lists, refused = self._lists(raws, names)
        places = _places(lists)
        owners = places.column("owner").to_pylist()
        flat = [raw for listed in lists for raw in listed or ()]
        kids: list[Any] = []
        taken: list[int] = []
        rejects: list[Reject] = []
        for i, raw in enumerate(flat):
            try:
                kids.append(self._wire.row_of(raw))
                taken.append(i)
            except UNFIT as error:
                rejects.append(reject(self.stream, raw, str(error), "", names[owners[i]]))
        rejects += refused
        places = places.take(cells.int_array(taken))
        batch, wrong = self._batch(kids, places, ids, where, order)
        for position, (column, why) in wrong.items():
            i = taken[position]
            rejects.append(reject(self.stream, flat[i], why, column, names[owners[i]]))
        if wrong:
            kept = [i for i in range(len(taken)) if i not in wrong]
            batch, taken = batch.take(cells.int_array(kept)), [taken[i] for i in kept]
        lost = {*range(len(flat))} - {*taken}
        unsaid = self._unsaid(lists)
        unsaid |= {owners[i]: f"{self.stream.name}{SOME}" for i in lost}
        return batch, unsaid, rejects

    def _unsaid(self, lists: Sequence[Any]) -> dict[int, str]:
        return {i: self.stream.name for i, listed in enumerate(lists) if listed is None}

    def _lists(self, raws: Cells, ids: list[str]) -> tuple[list[list[Raw] | None], list[Reject]]:
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

    def _opened(self, raws: Cells) -> list[list[Raw] | None]:
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

    def _batch(
        self,
        kids: list[Any],
        places: pa.RecordBatch,
        ids: pa.Array,
        where: Mapping[str, str],
        order: range,
    ) -> tuple[pa.RecordBatch, Wrong]:
        """The children, of parents that have these ids, in the parents' order."""
        built = build(self._wire, kids, self._columns, self.stream.key)
        owner = places.column("owner")
        own = {"document_id": ids.take(owner), "position": places.column("place")}
        own |= {
            name: cells.constant(where.get(name), len(kids)) for name in SLICED if name not in own
        }
        arrays = [own.get(c.name, built.arrays.get(c.name)) for c in self.stream.columns]
        arrays += [self._wire.unknown_values(kids), cells.constant("", len(kids))]
        arrays.append(pc.add(owner, cells.int_array([order.start])[0]))
        return pa.RecordBatch.from_arrays(arrays, schema=self._schema), built.bad


def _flat(outers: list[Any] | None, inner: str) -> list[Any] | None:
    """The children inside each of a parent's objects; None when none of them says any."""
    if not outers:
        return outers
    lists = [kids for o in outers if (kids := getattr(o, inner)) is not None and kids is not UNSET]
    if not lists:
        return None
    return lists[0] if len(lists) == 1 else [kid for kids in lists for kid in kids]


def _places(lists: Sequence[Sequence[Any] | None]) -> pa.RecordBatch:
    """Of each child: ``owner``, the position of its parent, and its own ``place``, from 1."""
    counts = [len(listed) if listed else 0 for listed in lists]
    starts = cells.int_array([*accumulate(counts, initial=0)])
    total = sum(counts)
    nested = pa.ListArray.from_arrays(starts.cast(pa.int32()), pa.nulls(total))
    owner = pc.list_parent_indices(nested)
    place = pc.subtract(cells.int_array(range(1, total + 1)), starts.take(owner))
    return pa.RecordBatch.from_arrays([owner, place], names=["owner", "place"])
