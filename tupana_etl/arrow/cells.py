"""Turns the values of one column into one Arrow array, exactly or not at all.

Values come as text (JSON's own digits for numbers), are laid out as Arrow strings and
cast in C++: no Python object per amount, no binary float on the way. The arrays are
built from buffers because ``pyarrow.array`` imports pandas on its first call, which
costs a second of every start-up.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import cast

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tupana_etl.columns import Kind
from tupana_etl.domain import SANTIAGO, canonical_rut

Bad = dict[int, str]
"""Position of each value that does not fit, with the reason."""

_WIDE = pa.decimal128(38, 18)
_NULL = pa.nulls(1, pa.string())[0]
_SEPARATOR = b"\x00"


def text_array(values: Sequence[str | None]) -> pa.Array:
    """Arrow strings, without passing through ``pyarrow.array``. Raises TypeError for others."""
    try:
        return _texts(cast(Sequence[str], values))
    except TypeError:
        pass  # a null among them: asking for it first costs more than the texts
    if values.count(None) == len(values):
        return pa.nulls(len(values), pa.string())
    texts = _texts(["" if v is None else v for v in values])
    here = _bitmap(bytes([v is not None for v in values]))
    return pa.Array.from_buffers(pa.string(), len(texts), [here, *texts.buffers()[1:]])


def raw_array(values: Sequence[bytes]) -> pa.Array:
    """Arrow strings of JSON values as they came; null where JSON says null.

    Raises UnicodeDecodeError for bytes that are no UTF-8, TypeError for others than bytes.
    """
    data = b"".join(values)
    # Objects are long: their ends are counted, where short texts are searched for them.
    ends = array("i", accumulate(map(len, values), initial=0))
    buffers = [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(data)]
    texts = pa.Array.from_buffers(pa.string(), len(values), buffers)
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        data.decode()  # says what is wrong, and where
        raise
    return _nulls(texts, data)


def digits_array(values: Sequence[bytes]) -> pa.Array:
    """The same for JSON numbers, those that stand in quotes without them.

    Raises UnicodeDecodeError or msgspec.DecodeError for what is no text.
    """
    # JSON text holds no bare control character: the separator is always ours.
    data, rows = _SEPARATOR.join(values), len(values)
    if len(data) == 5 * rows - 1 and data.count(b"null") == rows:
        return pa.nulls(rows, pa.string())
    if b'"' not in data and data.isascii():
        return _nulls(_split(data, rows), data)
    is_quoted = data[:1] == data[-1:] == b'"' and data.count(b'"\0"') == rows - 1
    if is_quoted and b"\\" not in data and data.isascii():
        return _split(data[1:-1], rows, '"\0"')
    return text_array([_unquoted(bytes(value)) for value in values])


def _unquoted(raw: bytes) -> str | None:
    if raw == b"null":
        return None
    return str(msgspec.json.decode(raw)) if raw[:1] == b'"' else raw.decode()


def _nulls(texts: pa.Array, data: bytes) -> pa.Array:
    """JSON's null as null; ``data`` holds all texts."""
    if b"null" not in data:
        return texts
    is_null = pc.equal(texts, text_array(["null"])[0])
    return pc.if_else(is_null, _NULL, texts) if is_null.true_count else texts


def bool_array(values: Sequence[bool | None]) -> pa.Array:
    """Arrow booleans. Raises TypeError for others than True, False and None."""
    try:
        return _bools(cast(Sequence[bool], values), None)
    except TypeError:
        pass  # a null among them
    if values.count(None) == len(values):
        return pa.nulls(len(values), pa.bool_())
    here = _bitmap(bytes([v is not None for v in values]))
    return _bools([False if v is None else v for v in values], here)


def _bools(values: Sequence[bool], here: pa.Buffer | None) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), len(values), [here, _bitmap(bytes(values))])


def _texts(values: Sequence[str]) -> pa.Array:
    data = "\x00".join(values).encode()
    if data.count(_SEPARATOR) == len(values) - 1:
        return _split(data, len(values))
    encoded = [v.encode() for v in values]  # none at all, or a text that holds the separator
    offsets = array("i", accumulate(map(len, encoded), initial=0))
    buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def _split(data: bytes, rows: int, separator: str = "\x00") -> pa.Array:
    """Texts that stand in ``data`` one after another: found in C++, at a third of the cost."""
    if not rows:
        return pa.nulls(0, pa.string())
    ends = pa.py_buffer(array("i", (0, len(data))).tobytes())
    one = pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(data)])
    return pc.split_pattern(one, separator).values


def int_array(values: Sequence[int]) -> pa.Array:
    """Arrow int64 of values that are never null."""
    return pa.Array.from_buffers(
        pa.int64(), len(values), [None, pa.py_buffer(array("q", values).tobytes())]
    )


def constant(value: str | None, rows: int) -> pa.Array:
    return pa.repeat(text_array([value])[0], rows)


def day(value: date) -> pa.Scalar:
    """A date as Arrow's own; ``pyarrow.scalar`` too imports pandas."""
    return pc.cast(text_array([value.isoformat()]), pa.date32())[0]


def flag(value: bool) -> pa.Scalar:
    """A boolean as Arrow's own, for the same reason."""
    return bool_array([value])[0]


def moments(moment: datetime, rows: int) -> pa.Array:
    """The same UTC instant in every row."""
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return int_array([micros] * rows).view(Kind.TIME.arrow)


def build(kind: Kind, texts: pa.Array) -> tuple[pa.Array, Bad]:
    """The column of a kind, of its texts. What does not fit is null there and in ``Bad``."""
    convert = _CONVERT[kind]
    try:
        return convert(texts), {}
    except (pa.ArrowInvalid, ValueError, OverflowError):
        pass  # at least one value does not fit: find which, below
    kept: list[str | None] = []
    bad: Bad = {}
    for position, value in enumerate(texts.to_pylist()):
        try:
            convert(text_array([value]))
            kept.append(value)
        except (pa.ArrowInvalid, ValueError, OverflowError) as error:
            bad[position] = f"{value!r} is no {kind.value}: {str(error).splitlines()[0]}"
            kept.append(None)
    return convert(text_array(kept)), bad


def _bitmap(flags: bytes) -> pa.Buffer:
    ones = pa.Array.from_buffers(pa.uint8(), len(flags), [None, pa.py_buffer(flags)])
    return ones.cast(pa.bool_()).buffers()[1]


@lru_cache(maxsize=65_536)
def _rut(text: str) -> str:
    return canonical_rut(text) or text.strip()


def _each(change: Callable[[str], str], texts: pa.Array) -> pa.Array:
    """Changes every different text once."""
    coded = texts.dictionary_encode()
    changed = text_array([*map(change, coded.dictionary.to_pylist())])
    return changed.take(coded.indices)


def _ruts(texts: pa.Array) -> pa.Array:
    return _each(_rut, texts)


def _quantities(texts: pa.Array) -> pa.Array:
    rounded = pc.round(pc.cast(texts, _WIDE), ndigits=6, round_mode="half_towards_infinity")
    return pc.cast(rounded, Kind.QUANTITY.arrow)


def _integers(texts: pa.Array) -> pa.Array:
    try:
        return pc.cast(texts, pa.int64())
    except pa.ArrowInvalid:
        # 3.0 is a whole number; 3.5 is not, and the cast says so.
        return pc.cast(pc.cast(texts, _WIDE), pa.int64())


def _dates(texts: pa.Array) -> pa.Array:
    try:
        return pc.cast(texts, pa.date32())
    except pa.ArrowInvalid:
        # An older example of the vendor shows a full timestamp where a date is due.
        return pc.cast(_each(_day, texts), pa.date32())


def _day(text: str) -> str:
    return text[:10] if len(text) > 10 and text[10] in "T " else text


def _times(texts: pa.Array) -> pa.Array:
    try:
        return pc.cast(texts, Kind.TIME.arrow)
    except pa.ArrowInvalid:
        return pc.cast(_each(_utc, texts), Kind.TIME.arrow)


def _utc(text: str) -> str:
    """ISO text in UTC; what has no zone is Santiago's wall clock (SII's own)."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=SANTIAGO)
    return moment.astimezone(UTC).isoformat()


def _same(texts: pa.Array) -> pa.Array:
    return texts


def _cast(to: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    return lambda texts: pc.cast(texts, to)


_CONVERT: dict[Kind, Callable[[pa.Array], pa.Array]] = {
    Kind.TEXT: _same,
    Kind.ID: _same,
    Kind.JSON: _same,
    Kind.RUT: _ruts,
    Kind.MONEY: _cast(Kind.MONEY.arrow),
    Kind.QUANTITY: _quantities,
    Kind.INT: _integers,
    Kind.BOOL: _cast(Kind.BOOL.arrow),
    Kind.DATE: _dates,
    Kind.TIME: _times,
}
