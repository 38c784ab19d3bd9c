"""Turns the values of one column into one Arrow array, exactly or not at all.

Values come as text (JSON's own digits for numbers), are laid out as Arrow strings and
cast in C++: no Python object per amount, no binary float on the way. The arrays are
built from buffers because ``pyarrow.array`` imports pandas on its first call, which
costs a second of every start-up.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc

from tupana_etl.columns import Kind
from tupana_etl.domain import SANTIAGO, canonical_rut

Bad = dict[int, str]
"""Position of each value that does not fit, with the reason."""

_WIDE = pa.decimal128(38, 18)


def text_array(values: Sequence[str | None]) -> pa.Array:
    """Arrow strings, without passing through ``pyarrow.array``."""
    encoded = [b"" if v is None else v.encode() for v in values]
    offsets = array("i", accumulate(map(len, encoded), initial=0))
    nulls = _bitmap(bytes(v is not None for v in values)) if None in values else None
    buffers = [nulls, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def int_array(values: Sequence[int]) -> pa.Array:
    """Arrow int64 of values that are never null."""
    return pa.Array.from_buffers(
        pa.int64(), len(values), [None, pa.py_buffer(array("q", values).tobytes())]
    )


def constant(value: str | None, rows: int) -> pa.Array:
    return text_array([value] * rows)


def moments(moment: datetime, rows: int) -> pa.Array:
    """The same UTC instant in every row."""
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return int_array([micros] * rows).view(Kind.TIME.arrow)


def build(kind: Kind, values: list[str | None]) -> tuple[pa.Array, Bad]:
    """The column of a kind. What does not fit is null there and named in ``Bad``."""
    convert = _CONVERT[kind]
    try:
        return convert(values), {}
    except (pa.ArrowInvalid, ValueError, OverflowError):
        pass  # at least one value does not fit: find which, below
    kept: list[str | None] = []
    bad: Bad = {}
    for position, value in enumerate(values):
        try:
            convert([value])
            kept.append(value)
        except (pa.ArrowInvalid, ValueError, OverflowError) as error:
            bad[position] = f"{value!r} is no {kind.value}: {str(error).splitlines()[0]}"
            kept.append(None)
    return convert(kept), bad


def _bitmap(flags: bytes) -> pa.Buffer:
    ones = pa.Array.from_buffers(pa.uint8(), len(flags), [None, pa.py_buffer(flags)])
    return ones.cast(pa.bool_()).buffers()[1]


@lru_cache(maxsize=65_536)
def _rut(text: str) -> str:
    return canonical_rut(text) or text.strip()


def _ruts(values: list[str | None]) -> pa.Array:
    return text_array([None if v is None else _rut(v) for v in values])


def _quantities(values: list[str | None]) -> pa.Array:
    wide = pc.cast(text_array(values), _WIDE)
    rounded = pc.round(wide, ndigits=6, round_mode="half_towards_infinity")
    return pc.cast(rounded, Kind.QUANTITY.arrow)


def _integers(values: list[str | None]) -> pa.Array:
    texts = text_array(values)
    try:
        return pc.cast(texts, pa.int64())
    except pa.ArrowInvalid:
        # 3.0 is a whole number; 3.5 is not, and the cast says so.
        return pc.cast(pc.cast(texts, _WIDE), pa.int64())


def _dates(values: list[str | None]) -> pa.Array:
    # An older example of the vendor shows a full timestamp where a date is due.
    return pc.cast(text_array([None if v is None else _day(v) for v in values]), pa.date32())


def _day(text: str) -> str:
    return text[:10] if len(text) > 10 and text[10] in "T " else text


def _times(values: list[str | None]) -> pa.Array:
    try:
        return pc.cast(text_array(values), Kind.TIME.arrow)
    except pa.ArrowInvalid:
        return pc.cast(
            text_array([None if v is None else _utc(v) for v in values]), Kind.TIME.arrow
        )


def _utc(text: str) -> str:
    """ISO text in UTC; what has no zone is Santiago's wall clock (SII's own)."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=SANTIAGO)
    return moment.astimezone(UTC).isoformat()


def _cast(to: pa.DataType) -> Callable[[list[str | None]], pa.Array]:
    return lambda values: pc.cast(text_array(values), to)


_CONVERT: dict[Kind, Callable[[list[str | None]], pa.Array]] = {
    Kind.TEXT: text_array,
    Kind.ID: text_array,
    Kind.JSON: text_array,
    Kind.RUT: _ruts,
    Kind.MONEY: _cast(Kind.MONEY.arrow),
    Kind.QUANTITY: _quantities,
    Kind.INT: _integers,
    Kind.BOOL: _cast(Kind.BOOL.arrow),
    Kind.DATE: _dates,
    Kind.TIME: _times,
}
