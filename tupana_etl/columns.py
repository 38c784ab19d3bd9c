"""What a value may be: its kind on the wire, in Arrow and in DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import pyarrow as pa


class Kind(Enum):
    """How a value travels: JSON → Arrow type → DuckDB type."""

    TEXT = "text"
    ID = "id"
    """A number or a string on the wire, text here."""
    RUT = "rut"
    """``digits-DV`` without dots; text that has not that shape is kept as it came."""
    MONEY = "money"
    """A number or a decimal string; more than 4 decimals is a reject, never a rounding."""
    QUANTITY = "quantity"
    """Quantity, unit price, rate: 6 decimals by SII's schema, rounded half up to that."""
    INT = "int"
    BOOL = "bool"
    DATE = "date"
    TIME = "time"
    """ISO 8601; without a zone it is America/Santiago."""
    JSON = "json"
    """Kept as it came."""

    @property
    def arrow(self) -> pa.DataType:
        return _ARROW[self]

    @property
    def duckdb(self) -> str:
        return _DUCKDB[self]


_ARROW = {
    Kind.TEXT: pa.string(),
    Kind.ID: pa.string(),
    Kind.RUT: pa.string(),
    Kind.MONEY: pa.decimal128(18, 4),
    Kind.QUANTITY: pa.decimal128(18, 6),
    Kind.INT: pa.int64(),
    Kind.BOOL: pa.bool_(),
    Kind.DATE: pa.date32(),
    Kind.TIME: pa.timestamp("us", "UTC"),
    Kind.JSON: pa.string(),
}

_DUCKDB = {
    Kind.TEXT: "VARCHAR",
    Kind.ID: "VARCHAR",
    Kind.RUT: "VARCHAR",
    Kind.MONEY: "DECIMAL(18,4)",
    Kind.QUANTITY: "DECIMAL(18,6)",
    Kind.INT: "BIGINT",
    Kind.BOOL: "BOOLEAN",
    Kind.DATE: "DATE",
    Kind.TIME: "TIMESTAMPTZ",
    Kind.JSON: "JSON",
}


@dataclass(frozen=True)
class Column:
    """One value of a row, under its one canonical name."""

    name: str
    kind: Kind
    doc: str
    sources: tuple[str, ...] = ()
    """Other places it may stand, best first; ``a.b`` is key b of object a, ``a.0.b`` of
    the first object of list a. The name itself always comes first."""
    volatile: bool = False
    """Kept, but a change of it alone is no new version."""
    volatile_keys: tuple[str, ...] = ()
    """Keys inside a JSON value that are volatile (the calendar or a job changes them)."""
    null_as: str | None = None
    """What stands in a key column for a null."""
    needed: bool = False
    """Marts need it: where list rows lack it, the detail is read."""
    absent_as: str = ""
    """Its name among the keys that a row did not speak of, where that of a child is the same."""

    @property
    def mark(self) -> str:
        """What ``_absent`` calls it."""
        return self.absent_as or self.name
