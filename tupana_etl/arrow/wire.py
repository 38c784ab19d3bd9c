"""How rows look on the wire: msgspec structs made from the stream declarations.

The struct is strict about types and about unknown keys. A key nobody declared makes the
decoder fail once; it is then learned (:meth:`Wire.learn`), so that one new field at the
vendor costs one retry, not the fast path.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import UNSET, Raw, UnsetType

from tupana_etl.arrow.cells import bool_array, raw_array, text_array
from tupana_etl.columns import Column, Kind
from tupana_etl.streams import DROPPED, is_secret

_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str | None | UnsetType,
    Kind.ID: str | int | None | UnsetType,
    Kind.RUT: str | None | UnsetType,
    Kind.BOOL: bool | None | UnsetType,
    Kind.DATE: str | None | UnsetType,
    Kind.TIME: str | None | UnsetType,
    # Digits as they came: a float in between would not be exact.
    Kind.MONEY: Raw | UnsetType,
    Kind.QUANTITY: Raw | UnsetType,
    Kind.INT: Raw | UnsetType,
    Kind.JSON: Raw | UnsetType,
}

UNFIT = (msgspec.DecodeError, UnicodeDecodeError)
"""What decoding raises for a value that does not fit, or is no UTF-8."""

_UNNAMEABLE = re.compile(r'[\\"\x00-\x1f]')
"""Characters that msgspec does not allow in a key: a row with such a key is rejected."""

Cell = Any
"""A wire value: str, int, bool, Raw, None (explicit null) or UNSET (the key is absent)."""

Opened = dict[str, list[Any]]
"""Objects inside rows that were decoded already, by the name they stand under."""

_NULL = Raw(b"null")


class Wire:
    """The wire form of a set of columns, and what it has learned about unknown keys."""

    def __init__(self, columns: Sequence[Column], lists: Iterable[str] = ()) -> None:
        self.unknown: tuple[str, ...] = ()
        self._learning = threading.Lock()
        self._fields: dict[str, Any] = {}
        self._inner: dict[str, dict[str, Kind]] = {}
        self._is_list: dict[str, bool] = {}
        for column in columns:
            self._fields.setdefault(column.name, _TYPES[column.kind])
            for source in column.sources:
                self._add_source(source, column.kind)
        for name in lists:
            self._fields[name.split("[]")[0]] = Raw | UnsetType
        for name in (*DROPPED, *self._inner):
            self._fields[name] = Raw | UnsetType
        self._containers = {
            name: msgspec.json.Decoder(self._container(name, kinds))
            for name, kinds in self._inner.items()
        }
        self._compile()

    def _add_source(self, source: str, kind: Kind) -> None:
        head, *rest = source.split(".")
        if not rest:
            self._fields.setdefault(head, _TYPES[kind])
            return
        self._is_list[head] = rest[0] == "0"
        self._inner.setdefault(head, {})[rest[-1]] = kind

    def _container(self, name: str, kinds: dict[str, Kind]) -> Any:
        fields = [(key, _TYPES[kind], UNSET) for key, kind in kinds.items()]
        struct = msgspec.defstruct(f"In_{name}", fields, gc=False)
        return list[list[struct] | None] if self._is_list[name] else list[struct | None]  # type: ignore[valid-type]

    def _compile(self) -> None:
        # A learned key may be any text: the attribute gets a name of ours.
        learned = {f"unknown_{n}": key for n, key in enumerate(self.unknown)}
        fields = [(name, kind, UNSET) for name, kind in self._fields.items()]
        fields += [(name, Raw | UnsetType, UNSET) for name in learned]
        self._row = msgspec.defstruct(
            "Row", fields, rename=learned, forbid_unknown_fields=True, gc=False
        )
        self._rows = msgspec.json.Decoder(list[self._row])  # type: ignore[name-defined]
        self._one = msgspec.json.Decoder(self._row)

    @property
    def row_type(self) -> Any:
        """The struct of a row; another one once a key was learned."""
        return self._row

    def rows(self, body: bytes) -> list[Any]:
        """Rows of a JSON array. Raises msgspec.ValidationError if any does not fit."""
        rows: list[Any] = self._rows.decode(body)
        return rows

    def row_of(self, body: Raw | bytes) -> Any:
        """One row. Raises msgspec.ValidationError."""
        row: Any = self._one.decode(body)
        return row

    def learn(self, body: bytes) -> bool:
        """Adds the keys of these rows that nobody declared; True if there were any."""
        keys: set[str] = set()
        for raw in msgspec.json.decode(body, type=list[Raw]):
            try:
                keys.update(msgspec.json.decode(raw, type=dict[str, Raw]))
            except UNFIT:
                continue  # no object: rejected when rows are taken one by one
        with self._learning:
            known = {*self._fields, *self.unknown}
            new = sorted(key for key in keys - known if not _UNNAMEABLE.search(key))
            if new:
                self.unknown = (*self.unknown, *new)
                self._compile()
        return bool(new)

    def unknown_values(self, rows: list[Any]) -> list[str | None]:
        """What each row holds under unknown keys, as one JSON object, or None."""
        if not self.unknown:
            return [None] * len(rows)
        return [self._extra_of(row) for row in rows]

    def _extra_of(self, row: Any) -> str | None:
        # A row decoded before a key was learned, in another thread, has no place for it.
        values = ((key, getattr(row, f"unknown_{n}", UNSET)) for n, key in enumerate(self.unknown))
        found = {
            key: Raw(b'"[redacted]"') if is_secret(key) else value
            for key, value in values
            if value is not UNSET
        }
        return msgspec.json.encode(found).decode() if found else None

    def cells(self, rows: list[Any], column: Column, opened: Opened) -> list[Cell]:
        """The column's value in each row: the first place that has one, else null, else UNSET.

        ``opened`` is an empty dict that the calls for the same rows share.
        """
        best = [*map(attrgetter(column.name), rows)]
        for source in column.sources:
            if not has_gaps(best):
                break
            other = self._at(rows, source, opened)
            if best.count(UNSET) == len(best):
                best = other
                continue
            if other.count(UNSET) == len(other):
                continue
            best = [
                b if not _missing(b) or o is UNSET else o for b, o in zip(best, other, strict=True)
            ]
        return best

    def _at(self, rows: list[Any], source: str, opened: Opened) -> list[Cell]:
        head, *rest = source.split(".")
        if not rest:
            return [*map(attrgetter(head), rows)]
        if head not in opened:
            opened[head] = self._opened(rows, head)
        take = attrgetter(rest[-1])
        return [UNSET if i is None else take(i) for i in opened[head]]

    def _opened(self, rows: list[Any], name: str) -> list[Any]:
        inner = self._containers[name].decode(joined([*map(attrgetter(name), rows)]))
        return [i[0] if i else None for i in inner] if self._is_list[name] else inner


def joined(raws: Sequence[Raw | UnsetType | None]) -> bytes:
    """A JSON array of raw values, null where there is none: decoded in one call."""
    return b"[" + b",".join([r if r.__class__ is Raw else b"null" for r in raws]) + b"]"


def _missing(value: Cell) -> bool:
    return value is UNSET or value is None or (value.__class__ is Raw and bytes(value) == b"null")


def has_gaps(values: list[Cell]) -> bool:
    """Whether some value is null or absent."""
    kinds = set(map(type, values))
    if UnsetType in kinds or None.__class__ in kinds:
        return True
    return Raw in kinds and _NULL in values


def as_text(cells: list[Cell], kind: Kind) -> pa.Array:
    """Wire values as Arrow strings (booleans as such): numbers by their own digits, strings
    unquoted, null where there is none. Raises UnicodeError for what is no UTF-8."""
    kinds = set(map(type, cells))
    if _TYPES[kind] == _TYPES[Kind.JSON]:
        raws = cells if kinds == {Raw} else [c if c.__class__ is Raw else _NULL for c in cells]
        if kind is Kind.JSON or b'"' not in b"".join(raws):
            return raw_array(raws)
        return text_array([_unquoted(r) for r in raws])
    if UnsetType in kinds:
        cells = [None if c is UNSET else c for c in cells]
    if kind is Kind.BOOL:
        return bool_array(cells)
    if int in kinds:
        cells = [None if c is None else str(c) for c in cells]
    return text_array(cells)


def _unquoted(cell: Raw) -> str | None:
    raw = bytes(cell)
    if raw == b"null":
        return None
    return str(msgspec.json.decode(raw)) if raw[:1] == b'"' else raw.decode()
