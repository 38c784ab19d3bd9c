"""One value of a source, as its column's kind: read exactly, or refused with a sentence.

A value comes from SQL or Parquet with its type, or from CSV as text. Nothing is guessed:
a binary float is taken only when its shortest decimal form fits.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tupana_etl import domain
from tupana_etl.outbox.contract import Column, Kind
from tupana_etl.outbox.reasons import Unfit

EXACT_JSON = 9_007_199_254_740_991
"""Largest whole number that every JSON reader keeps (2^53 - 1)."""
DECIMALS = 6
"""Of quantities and prices (SII, Formato DTE 2.2)."""
DIGITS = 12
"""Before the point, of quantities and prices (SII, Formato DTE 2.2)."""
FIRST_DAY, LAST_DAY = date(2002, 8, 1), date(2050, 12, 31)
"""Dates that SII's format takes."""

REPLACED = str.maketrans(
    {"‐": "-", "‑": "-", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"'}
    | {"…": "...", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "€": "EUR"}
)
"""Typographic characters that no DTE can hold (ISO-8859-1) and what stands for them."""

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}\.[0-9]{3}")
_YES = frozenset({"true", "t", "1", "yes", "si", "sí"})
_NO = frozenset({"false", "f", "0", "no"})


def is_empty(value: Any) -> bool:
    """No value: NULL, or text of blanks."""
    return value is None or (isinstance(value, str) and not value.strip())


def read(column: Column, value: Any) -> Any:
    """The value, of the column's kind. Raises Unfit."""
    found = _READERS[column.kind](column, value)
    if column.choices and found not in column.choices:
        raise Unfit(
            "bad_value", f"{column.name} is {shown(value)}; it may be {_or(column.choices)}."
        )
    return found


def text(column: Column, value: Any) -> str:
    """Text that a DTE can hold: NFC, trimmed, typographic characters replaced."""
    if not isinstance(value, str):
        raise Unfit("bad_value", f"{column.name} is {shown(value)}; it must be text.")
    clean = unicodedata.normalize("NFC", value).translate(REPLACED).strip()
    wrong = next((c for c in clean if not _fits(c)), None)
    if wrong is not None:
        raise Unfit(
            "characters",
            f"{column.name} holds {_named(wrong)}, which a DTE cannot; take it out.",
        )
    if column.limit and len(clean) > column.limit:
        raise Unfit(
            "out_of_range",
            f"{column.name} has {len(clean)} characters; it may have {column.limit}.",
        )
    return clean


def _fits(character: str) -> bool:
    return ord(character) < 256 and unicodedata.category(character) not in ("Cc", "Cf")


def _named(character: str) -> str:
    name = unicodedata.name(character, "a control character")
    return f"U+{ord(character):04X} ({name})"


def _code(column: Column, value: Any) -> str:
    """A short code; SQL may hold it as a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return text(column, value)


def _rut(column: Column, value: Any) -> str:
    """In the API's form: no dots, upper-case K, 7 or 8 digits."""
    given = text(column, value)
    canonical = domain.canonical_rut(given)
    if canonical is None:
        raise Unfit("bad_rut", f"{column.name} is {shown(given)}; a RUT looks like 76086428-5.")
    if not domain.valid_rut(canonical):
        raise Unfit("bad_rut", f"{column.name} is {canonical}; its check digit is wrong.")
    return canonical.zfill(9)


def _date(column: Column, value: Any) -> date:
    if isinstance(value, datetime):
        if value.time().replace(tzinfo=None) != datetime.min.time():
            raise Unfit("bad_value", f"{column.name} is a time; give a date (CAST AS DATE).")
        value = value.date()
    if isinstance(value, str):
        value = _date_of(column, value.strip())
    if not isinstance(value, date):
        raise Unfit("bad_value", f"{column.name} is {shown(value)}; write it as YYYY-MM-DD.")
    if not FIRST_DAY <= value <= LAST_DAY:
        raise Unfit(
            "out_of_range", f"{column.name} is {value}; SII takes {FIRST_DAY} to {LAST_DAY}."
        )
    return value


def _date_of(column: Column, given: str) -> date:
    try:
        day = date.fromisoformat(given)
    except ValueError:
        day = None
    if day is None or day.isoformat() != given:
        raise Unfit("bad_value", f"{column.name} is {shown(given)}; write it as YYYY-MM-DD.")
    return day


def _whole(column: Column, value: Any) -> int:
    found = number(column, value)
    if found != found.to_integral_value() or not 1 <= found <= 9999:
        raise Unfit(
            "bad_value", f"{column.name} is {shown(value)}; it must be a whole number from 1."
        )
    return int(found)


def number(column: Column, value: Any) -> Decimal:
    """An exact number of at most 12 digits and 6 decimals."""
    found = _decimal(column, value)
    if not found.is_finite():
        raise Unfit("bad_number", f"{column.name} is {shown(value)}; it must be a number.")
    if found.adjusted() >= DIGITS + DECIMALS:  # before any arithmetic on an absurd exponent
        raise Unfit("out_of_range", f"{column.name} has more than {DIGITS} digits.")
    exact = found.normalize()
    exponent = exact.as_tuple().exponent
    if isinstance(exponent, int) and -exponent > DECIMALS:
        raise Unfit(
            "bad_number",
            f"{column.name} is {shown(value)}: more than {DECIMALS} decimals. "
            + (
                "It is a binary float; CAST it AS DECIMAL(18,6) where it is computed."
                if isinstance(value, float)
                else "Round it where it is computed."
            ),
        )
    if abs(exact) >= 10**DIGITS:
        raise Unfit("out_of_range", f"{column.name} has more than {DIGITS} digits.")
    return exact if isinstance(exponent, int) and exponent <= 0 else exact.quantize(Decimal(1))


def _decimal(column: Column, value: Any) -> Decimal:
    if isinstance(value, bool):
        raise Unfit("bad_number", f"{column.name} is {shown(value)}; it must be a number.")
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else Decimal("NaN")
    if isinstance(value, str):
        return _number_of(column, value.strip())
    raise Unfit("bad_number", f"{column.name} is {shown(value)}; it must be a number.")


def _number_of(column: Column, given: str) -> Decimal:
    if not given.isascii() or not _NUMBER.fullmatch(given):
        comma = " Decimals are written with a point, thousands without any sign."
        raise Unfit(
            "bad_number",
            f"{column.name} is {shown(given)}; it must be a number."
            + (comma if "," in given or given.count(".") > 1 else ""),
        )
    if column.name.endswith("unit_price") and _THOUSANDS.fullmatch(given):
        plain = given.replace(".", "")
        raise Unfit(
            "ambiguous_number",
            f"{column.name} is {given}: write {plain} for {plain} pesos, or {given}0 if "
            "decimals are meant.",
        )
    try:
        return Decimal(given)
    except InvalidOperation:
        raise Unfit("bad_number", f"{column.name} is {shown(given)}; too long.") from None


def _yes_no(column: Column, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    given = str(value).strip().lower()
    if given in _YES or given in _NO:
        return given in _YES
    raise Unfit("bad_value", f"{column.name} is {shown(value)}; it may be true or false.")


def _list(column: Column, value: Any) -> list[Any]:
    found = _json(column, value)
    if not isinstance(found, list):
        raise Unfit("bad_value", f"{column.name} is {shown(value)}; it must be a JSON list.")
    return found


def _object(column: Column, value: Any) -> dict[str, Any]:
    found = _json(column, value)
    if not isinstance(found, dict):
        raise Unfit("bad_value", f"{column.name} is {shown(value)}; it must be a JSON object.")
    return found


def _json(column: Column, value: Any) -> Any:
    """From text, or from SQL's own lists and structs; numbers stay exact, NULLs are left out."""
    if isinstance(value, str):
        try:
            value = _decode(value)
        except msgspec.DecodeError:
            raise Unfit("bad_value", f"{column.name} is not valid JSON.") from None
    return _bare(value)


_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _bare(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_bare(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def shown(value: Any) -> str:
    """A value in a sentence: quoted, short, without anything that steers a terminal."""
    said = repr(value) if isinstance(value, str) else str(value)
    return said if len(said) <= 40 else f"{said[:37]}…"


def _or(choices: tuple[str, ...]) -> str:
    return ", ".join(choices[:-1]) + f" or {choices[-1]}"


_READERS: dict[Kind, Callable[[Column, Any], Any]] = {
    "text": text,
    "code": _code,
    "rut": _rut,
    "date": _date,
    "whole": _whole,
    "number": number,
    "yes_no": _yes_no,
    "list": _list,
    "object": _object,
}
