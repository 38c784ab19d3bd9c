"""How figures, dates and names are written for people in Chile. Exact: never through a float."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

_SWAP = str.maketrans(",.", ".,")

MINUS = "\u2212"

FIXED = "\u00a0"
"""A space at which no line breaks."""


def number(value: int | Decimal, decimals: int = 0) -> str:
    """``1.234.567,8``."""
    # Decimal, since formatting a whole number with decimals would pass through a float.
    text = f"{Decimal(value):,.{decimals}f}".translate(_SWAP)
    return text.replace("-", MINUS)


def pesos(value: int | Decimal | None) -> str:
    """``$ 1.190.000``; what nobody knows is «sin dato», never zero."""
    if value is None:
        return "sin dato"
    return f"{MINUS if value < 0 else ''}${FIXED}{number(-value if value < 0 else value)}"


def money(value: int | Decimal | None, currency: str | None) -> str:
    """Pesos, or a foreign amount behind its currency with two decimals."""
    if value is None or currency == "CLP":
        return pesos(value)
    return f"{currency or '(sin moneda)'} {number(value, 2)}"


def percent(part: int | Decimal, whole: int | Decimal) -> str:
    """``12,3 %``; neither «0,0 %» of something nor «100,0 %» with something missing."""
    if not whole:
        return "–"
    share = Decimal(100 * part) / Decimal(whole)
    if 0 < share < Decimal("0.05"):
        return "<0,1 %"
    if Decimal("99.95") <= share < 100:
        return ">99,9 %"
    return f"{number(share, 1)}{FIXED}%"


def day(value: date | None) -> str:
    return f"{value:%d-%m-%Y}" if value else "sin fecha"


def moment(value: datetime | None) -> str:
    return f"{value:%d-%m-%Y %H:%M}" if value else "–"


def month(value: date) -> str:
    """``nov 26``."""
    names = ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic"]
    return f"{names[value.month - 1]} {value:%y}"


def counted(n: int, one: str, many: str) -> str:
    """``1 documento``, ``2 documentos``."""
    return f"{number(n)} {one if n == 1 else many}"


def rut_text(rut: str | None) -> str:
    """``76.086.428-5``; a text that is no RUT stays as it is."""
    body, dash, digit = (rut or "").partition("-")
    if not (body.isdecimal() and dash and digit):
        return rut or "sin RUT"
    return f"{number(int(body))}-{digit}"


def short(name: str | None, longest: int = 48) -> str:
    """A name in one line, with an ellipsis where it is too long."""
    clean = " ".join((name or "").split()) or "(sin nombre)"
    return clean if len(clean) <= longest else clean[: longest - 1].rstrip() + "…"
