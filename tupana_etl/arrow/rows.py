"""What every decoder shares: columns to arrays, rejects, the schema of batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from tupana_etl.arrow import cells
from tupana_etl.arrow.wire import UNFIT, as_text
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


def column_array(column: Column, values: list[Any]) -> tuple[pa.Array, dict[int, str]]:
    """The column, with null and a reason where a value does not fit."""
    try:
        texts = as_text(values, column.kind)
    except UnicodeError:
        return _column_of_odd_bytes(column, values)
    if column.null_as is not None:
        texts = pc.fill_null(texts, cells.text_array([column.null_as])[0])
    if texts.null_count == len(texts):
        return pa.nulls(len(texts), column.kind.arrow), {}
    return cells.build(column.kind, texts)


def _column_of_odd_bytes(column: Column, values: list[Any]) -> tuple[pa.Array, dict[int, str]]:
    bad: dict[int, str] = {}
    for position, value in enumerate(values):
        try:
            as_text([value], column.kind)
        except UnicodeError as error:
            bad[position] = str(error)
    array, others = column_array(column, [None if i in bad else v for i, v in enumerate(values)])
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
