"""Chilean tax documents: RUT, document types, retention, IVA, the calendar.

Everything here is a fact of law or of SII's published formats; each says which. It is
declared once: the warehouse turns the tables below into ``ref.*`` for SQL, the sandbox
and the outbox use them directly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

SANTIAGO = ZoneInfo("America/Santiago")
"""The only calendar of SII: due dates, deadlines and "today" are Santiago's."""

FOREIGN_RECEIVER = "55555555-5"
"""RUT of every foreign buyer in export documents (SII, Formato DTE 2.2): not one customer."""

UNIDENTIFIED_RECEIVER = "66666666-6"
"""RUT used for receipts without a named buyer: never a customer key."""

IVA_PERCENT = 19

_RUT = re.compile(r"0*([1-9][0-9]{0,7})([0-9K])")


def today() -> date:
    """Today in Santiago."""
    return datetime.now(SANTIAGO).date()


def utcnow() -> datetime:
    return datetime.now(UTC)


def check_digit(body: int) -> str:
    """Modulo-11 check digit of a RUT body (SII; weights 2..7 from the right)."""
    total, factor = 0, 2
    while body:
        body, digit = divmod(body, 10)
        total += digit * factor
        factor = 2 if factor == 7 else factor + 1
    rest = 11 - total % 11
    return {11: "0", 10: "K"}.get(rest, str(rest))


def canonical_rut(text: str) -> str | None:
    """``76.086.428-5``, ``076086428-5`` or ``760864285`` as ``76086428-5``.

    No dots, upper-case K, no leading zeros. None when the text has not the shape of a
    RUT; the check digit is *not* verified, since invalid RUTs are data to be flagged,
    not rows to be dropped (see :func:`valid_rut`).
    """
    compact = re.sub(r"[.\s–-]", "", text).upper()
    match = _RUT.fullmatch(compact.removeprefix("CL"))
    return f"{match[1]}-{match[2]}" if match else None


def valid_rut(text: str) -> bool:
    """True when the text is a RUT whose check digit is right."""
    rut = canonical_rut(text)
    return rut is not None and check_digit(int(rut[:-2])) == rut[-1]


def iva(net: int) -> int:
    """IVA of a net amount in whole pesos, rounded half up in integers.

    Binary floats and half-even rounding are off by one peso for one net in two hundred.
    """
    return (net * IVA_PERCENT + 50) // 100


@dataclass(frozen=True)
class DteType:
    """A document type. Sources: SII Formato DTE 2.2, RCV and RPETC documentation; 80 and
    90 are Tu Pana's codes for honorarios, which live in a register of their own."""

    code: str
    name: str
    book_sign: int
    """+1 adds, -1 subtracts (amounts are stored positive), 0 is no debt."""
    issuer_is_seller: bool
    """False for 46 and 90: the payer issues them."""
    is_note: bool = False
    """Adjusts the document it references, and takes its side."""
    claimable: bool = False
    """SII's claim register (Ley 19.983) knows it."""
    cedible: bool = False
    """May be assigned by an AEC."""
    has_iva: bool = False
    is_export: bool = False
    is_receipt: bool = False
    """Boleta: closed at issue, no receivable."""
    is_honorarios: bool = False


DTE_TYPES: dict[str, DteType] = {
    t.code: t
    for t in (
        DteType("33", "Factura electrónica", 1, True, claimable=True, cedible=True, has_iva=True),
        DteType("34", "Factura exenta electrónica", 1, True, claimable=True, cedible=True),
        DteType("39", "Boleta electrónica", 1, True, has_iva=True, is_receipt=True),
        DteType("41", "Boleta exenta electrónica", 1, True, is_receipt=True),
        DteType("43", "Liquidación-factura", 1, True, claimable=True, cedible=True, has_iva=True),
        DteType("46", "Factura de compra", 1, False, cedible=True, has_iva=True),
        DteType("52", "Guía de despacho", 0, True, has_iva=True),
        DteType("56", "Nota de débito", 1, True, is_note=True, has_iva=True),
        DteType("61", "Nota de crédito", -1, True, is_note=True, has_iva=True),
        DteType("80", "Boleta de honorarios", 1, True, is_honorarios=True),
        DteType("90", "Boleta de honorarios de terceros", 1, False, is_honorarios=True),
        DteType("110", "Factura de exportación", 1, True, is_export=True),
        DteType("111", "Nota de débito de exportación", 1, True, is_note=True, is_export=True),
        DteType("112", "Nota de crédito de exportación", -1, True, is_note=True, is_export=True),
    )
}

HONORARIOS_RETENTION: dict[int, Decimal] = {
    2019: Decimal("0.1000"),
    2020: Decimal("0.1075"),
    2021: Decimal("0.1150"),
    2022: Decimal("0.1225"),
    2023: Decimal("0.1300"),
    2024: Decimal("0.1375"),
    2025: Decimal("0.1450"),
    2026: Decimal("0.1525"),
    2027: Decimal("0.1600"),
    2028: Decimal("0.1700"),
}
"""Year from which each rate holds, until the next (Ley 21.133)."""


def honorarios_rate(year: int) -> Decimal:
    """Retention rate of a year. Raises KeyError before 2019."""
    return HONORARIOS_RETENTION[max((y for y in HONORARIOS_RETENTION if y <= year), default=year)]


def honorarios_retention(gross: int, year: int) -> int:
    """Retention on a gross fee in whole pesos, half up."""
    rate = int(honorarios_rate(year) * 10_000)
    return (gross * rate + 5_000) // 10_000
