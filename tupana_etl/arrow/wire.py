"""How rows look on the wire: msgspec structs of the declared keys that really come.

The struct is strict about types and knows only the keys met so far, declared or not: what
never comes costs nothing. A key that is new makes the decoder fail once; it is then learned
(:meth:`Wire.learn`) and the rows are decoded again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import UNSET, Raw, UnsetType

from tupana_etl.arrow.cells import bool_array, digits_array, int_array, raw_array, text_array
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

UNFIT = (msgspec.DecodeError, UnicodeError)
"""What decoding raises for a value that does not fit, or is no UTF-8."""

_UNNAMEABLE = re.compile(r'[\\"\x00-\x1f]')
"""Characters that msgspec does not allow in a key: a row with such a key is rejected."""

Cell = Any
"""A wire value: str, int, bool, Raw, None (explicit null) or UNSET (the key is absent)."""

Cells = Sequence[Cell]
"""One value of each row."""

Opened = dict[str, list[Any]]
"""Objects inside rows that were decoded already, by the name they stand under."""

_NULL = Raw(b"null")
_RAW = frozenset(kind for kind, wire in _TYPES.items() if wire == _TYPES[Kind.JSON])


class Wire:
    """The wire form of a set of columns, and the keys it has met."""

    def __init__(self, columns: Sequence[Column], lists: Iterable[str] = ()) -> None:
        self.unknown: tuple[str, ...] = ()
        self._met: tuple[str, ...] = ()
        self._declared: dict[str, Any] = {}
        self._inner: dict[str, dict[str, Kind]] = {}
        self._is_list: dict[str, bool] = {}
        for column in columns:
            self._declared.setdefault(column.name, _TYPES[column.kind])
            for source in column.sources:
                self._add_source(source, column.kind)
        for name in lists:
            self._declared[name.split("[]")[0]] = Raw | UnsetType
        for name in (*DROPPED, *self._inner):
            self._declared[name] = Raw | UnsetType
        self._containers = {
            name: msgspec.json.Decoder(self._container(name, kinds))
            for name, kinds in self._inner.items()
        }
        self._compile()

    def _add_source(self, source: str, kind: Kind) -> None:
        head, *rest = source.split(".")
        if not rest:
            self._declared.setdefault(head, _TYPES[kind])
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
        fields = [(name, self._declared[name], UNSET) for name in self._met]
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
        """Rows of a JSON array. Raises UNFIT if any does not fit."""
        rows: list[Any] = self._rows.decode(body)
        return rows

    def row_of(self, body: Raw | bytes) -> Any:
        """One row. Raises UNFIT."""
        row: Any = self._one.decode(body)
        return row

    def learn(self, bodies: Iterable[bytes]) -> bool:
        """Adds the keys of the rows of these arrays that are new; True if there were any."""
        keys: set[str] = set()
        for raw in (r for body in bodies for r in msgspec.json.decode(body, type=list[Raw])):
            try:
                keys.update(msgspec.json.decode(raw, type=dict[str, Raw]))
            except UNFIT:
                continue  # no object: rejected when rows are taken one by one
        keys -= {*self._met, *self.unknown}
        declared = [name for name in self._declared if name in keys]
        new = sorted(k for k in keys - {*declared} if not _UNNAMEABLE.search(k))
        if not declared and not new:
            return False
        self._met = (*self._met, *declared)
        self.unknown = (*self.unknown, *new)
        self._compile()
        return True

    def table(self, rows: list[Any]) -> dict[str, Cells]:
        """The values of the rows by key, for every key met so far."""
        return {name: [*map(attrgetter(name), rows)] for name in self._row.__struct_fields__}

    def unknown_values(self, rows: list[Any]) -> pa.Array:
        """What each row holds under unknown keys, as one JSON object, or null."""
        if not self.unknown:
            return pa.nulls(len(rows), pa.string())
        return text_array([self._extra_of(row) for row in rows])

    def _extra_of(self, row: Any) -> str | None:
        values = ((key, getattr(row, f"unknown_{n}")) for n, key in enumerate(self.unknown))
        found = {
            key: Raw(b'"[redacted]"') if is_secret(key) else value
            for key, value in values
            if value is not UNSET
        }
        return msgspec.json.encode(found).decode() if found else None

    def cells(self, table: Mapping[str, Cells], column: Column, opened: Opened) -> Cells | None:
        """The column's value in each row: the first place that has one, else null, else UNSET;
        None where no row speaks of it. Raises UNFIT for an object of another shape.

        ``opened`` is an empty dict that the calls for the same table share.
        """
        best: Cells | None = None
        for place in (column.name, *column.sources):
            if place.partition(".")[0] not in table:
                continue
            if best is not None and not has_gaps(best):
                break
            other = self._at(table, place, opened)
            if not _unsaid(other):
                best = other if best is None else _filled(best, other)
        return best

    def fitting_cells(
        self, rows: list[Any], table: Mapping[str, Cells], column: Column, opened: Opened
    ) -> tuple[Cells | None, dict[int, str]]:
        """The same, and the reason for each row whose object has another shape."""
        try:
            return self.cells(table, column, opened), {}
        except UNFIT:
            pass  # find which, below
        values: list[Cell] = []
        wrong: dict[int, str] = {}
        for position, row in enumerate(rows):
            try:
                found = self.cells(self.table([row]), column, {})
                values.append(UNSET if found is None else found[0])
            except UNFIT as error:
                values.append(UNSET)
                wrong[position] = str(error)
        return values, wrong

    def _at(self, table: Mapping[str, Cells], place: str, opened: Opened) -> Cells:
        head, *rest = place.split(".")
        if not rest:
            return table[head]
        if head not in opened:
            opened[head] = self._opened(table[head], head)
        take, inner = attrgetter(rest[-1]), opened[head]
        if None not in inner:
            return [*map(take, inner)]
        return [UNSET if i is None else take(i) for i in inner]

    def _opened(self, raws: Cells, name: str) -> list[Any]:
        inner = self._containers[name].decode(joined(raws))
        return [i[0] if i else None for i in inner] if self._is_list[name] else inner


def joined(raws: Cells) -> bytes:
    """A JSON array of raw values, null where there is none: decoded in one call."""
    try:
        return b"[" + b",".join(raws) + b"]"
    except TypeError:
        return b"[" + b",".join([r if r.__class__ is Raw else b"null" for r in raws]) + b"]"


def _unsaid(values: Cells) -> bool:
    return not values or (values[0] is UNSET and values.count(UNSET) == len(values))


def _filled(best: Cells, other: Cells) -> Cells:
    return [b if not _missing(b) or o is UNSET else o for b, o in zip(best, other, strict=True)]


def _missing(value: Cell) -> bool:
    return value is UNSET or value is None or (value.__class__ is Raw and bytes(value) == b"null")


def has_gaps(values: Cells) -> bool:
    """Whether some value is null or absent."""
    kinds = set(map(type, values))
    if UnsetType in kinds or None.__class__ in kinds:
        return True
    return Raw in kinds and _NULL in values


def as_text(values: Cells, kind: Kind) -> pa.Array:
    """Wire values as Arrow strings (booleans as such): numbers by their own digits, strings
    unquoted, null where there is none. Raises UNFIT for what is no text."""
    try:
        return _all_alike(values, kind)
    except (TypeError, OverflowError):
        pass  # some are absent, or of another type than the first
    if kind in _RAW:
        return _all_alike([_NULL if v is UNSET else v for v in values], kind)
    known = [None if v is UNSET else v for v in values]
    if kind is Kind.ID:
        known = [v if v is None else str(v) for v in known]
    return _all_alike(known, kind)


def _all_alike(values: Cells, kind: Kind) -> pa.Array:
    """Raises TypeError when some value is absent or of another type than the first."""
    if kind is Kind.JSON:
        return raw_array(values)
    if kind in _RAW:
        return digits_array(values)
    if kind is Kind.BOOL:
        return bool_array(values)
    if kind is Kind.ID and values and values[0].__class__ is int:
        return int_array(values).cast(pa.string())
    return text_array(values)
