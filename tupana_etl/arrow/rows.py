"""What every decoder shares: columns to arrays, rejects, the schema of batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw

from tupana_etl.arrow import cells
from tupana_etl.arrow.wire import UNFIT, Cells, Opened, Wire, as_text
from tupana_etl.columns import Column
from tupana_etl.streams import DROPPED, Stream, is_secret

Wrong = dict[int, tuple[str, str]]
"""Position of each row that cannot be taken, with the column and the reason."""


@dataclass(frozen=True)
class Reject:
    """A row (or one child of it) that could not be taken."""

    stream: str
    id: str | None
    column: str
    reason: str
    raw: str


def batch_schema(stream: Stream) -> pa.Schema:
    """Schema of the batches of a stream, as the lake stores them."""
    fields = [pa.field(c.name, c.kind.arrow) for c in stream.columns]
    service = [("_extra", pa.string()), ("_absent", pa.string()), ("_row", pa.int64())]
    return pa.schema(fields + [pa.field(name, kind) for name, kind in service])


@dataclass(frozen=True)
class Built:
    """Columns of some rows: what they hold, which rows say nothing of them, what does not fit."""

    table: Mapping[str, Cells]
    arrays: dict[str, pa.Array] = field(default_factory=dict)
    nowhere: list[str] = field(default_factory=list)
    """Columns that no row speaks of."""
    unsaid: dict[int, list[str]] = field(default_factory=dict)
    """Columns that only the row at this position does not speak of."""
    bad: Wrong = field(default_factory=dict)

    def absent(self, rows: int) -> pa.Array:
        """The column ``_absent``."""
        if not self.unsaid:
            return cells.constant(_marks(self.nowhere), rows)
        names = [self.nowhere + self.unsaid.get(i, []) for i in range(rows)]
        return cells.text_array([*map(_marks, names)])


def _marks(names: list[str]) -> str:
    return f",{','.join(names)}," if names else ""


def build(wire: Wire, rows: list[Any], columns: Iterable[Column], key: Sequence[str]) -> Built:
    """The columns of rows that ``wire`` decoded."""
    built, opened = Built(wire.table(rows)), Opened()
    for column in columns:
        name = column.name
        values, wrong = wire.fitting_cells(rows, built.table, column, opened)
        array, others = column_array(column, values, len(rows))
        built.arrays[name] = array
        built.bad.update({i: (name, why) for i, why in (wrong | others).items()})
        if name in key:
            built.bad.update(null_keys(name, array))
        if values is None:
            built.nowhere.append(column.mark)
        elif (array.null_count or column.null_as is not None) and UNSET in values:
            for position in (i for i, value in enumerate(values) if value is UNSET):
                built.unsaid.setdefault(position, []).append(column.mark)
    return built


def column_array(
    column: Column, values: Cells | None, rows: int
) -> tuple[pa.Array, dict[int, str]]:
    """The column, with null and a reason where a value does not fit; null where no row of
    ``rows`` has a value."""
    try:
        texts = pa.nulls(rows, pa.string()) if values is None else as_text(values, column.kind)
    except UNFIT:
        return _column_of_odd_bytes(column, values or ())
    if column.null_as is not None:
        texts = pc.fill_null(texts, cells.text_array([column.null_as])[0])
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), column.kind.arrow), {}
    return cells.build(column.kind, texts)


def _column_of_odd_bytes(column: Column, values: Cells) -> tuple[pa.Array, dict[int, str]]:
    bad: dict[int, str] = {}
    for position, value in enumerate(values):
        try:
            as_text([value], column.kind)
        except UNFIT as error:
            bad[position] = str(error)
    kept = [UNSET if i in bad else v for i, v in enumerate(values)]
    array, others = column_array(column, kept, len(kept))
    return array, bad | others


def null_keys(name: str, array: pa.Array) -> Wrong:
    if not array.null_count:
        return {}
    nulls = array.is_null().to_pylist()
    return {i: (name, "a key may not be null") for i, null in enumerate(nulls) if null}


def reject(
    stream: Stream, raw: Raw, reason: str, column: str = "", parent: str | None = None
) -> Reject:
    return Reject(stream.name, parent or _id_of(raw), column, reason, _without_secrets(raw))


def _without_secrets(raw: Raw) -> str:
    """The JSON as it came, but for what must never be stored."""
    text = bytes(raw).decode(errors="replace")
    try:
        keys = msgspec.json.decode(raw, type=dict[str, Raw])
    except UNFIT:
        return text
    secret = [key for key in keys if key in DROPPED or is_secret(key)]
    if not secret:
        return text
    redacted = Raw(b'"[redacted]"')
    return msgspec.json.encode(keys | dict.fromkeys(secret, redacted)).decode(errors="replace")


def _id_of(raw: Raw) -> str | None:
    try:
        found = msgspec.json.decode(raw, type=dict[str, Raw]).get("id")
    except UNFIT:
        return None
    if found is None or bytes(found) == b"null":
        return None
    return bytes(found).decode(errors="replace").strip('"')
