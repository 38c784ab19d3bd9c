"""What a document will be worth: lines rounded to the peso, IVA half up, in whole numbers.

The API computes the same from the same lines; a difference found when the document is read
back is a finding, not a rounding habit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal

from tupana_etl import domain

ZERO = Decimal(0)
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
"""Twelve digits and six decimals, thrice multiplied, with room to spare."""


@dataclass(frozen=True)
class Line:
    """What of a line makes its amount."""

    quantity: Decimal
    price: Decimal
    """Net, or with IVA where the document is priced gross."""
    discount_percent: Decimal = ZERO
    is_exempt: bool = False


@dataclass(frozen=True)
class Totals:
    """Whole pesos, or cents of the currency of an export."""

    net: Decimal
    exempt: Decimal
    iva: Decimal
    withheld: Decimal
    """IVA the buyer withholds (46 and its notes), or the retention on a fee (80, 90)."""
    total: Decimal
    """What the document says: net + exempt + IVA, less IVA withheld; a fee's total is gross."""


def line_total(line: Line, places: str = "1") -> Decimal:
    """Quantity × price less the discount, half up."""
    full = _EXACT.multiply(line.quantity, line.price)
    kept = _EXACT.divide(_EXACT.subtract(Decimal(100), line.discount_percent), Decimal(100))
    return _EXACT.multiply(full, kept).quantize(Decimal(places), context=_EXACT)


def totals(
    dte_type: str,
    lines: Sequence[Line],
    day: date,
    *,
    gross: bool = False,
    all_exempt: bool = False,
    vat_withheld: bool = False,
    places: str = "1",
) -> Totals:
    """The document's totals by the rule of its type.

    ``gross``: prices hold the IVA (39, 41). ``all_exempt``: a note about an exempt document.
    ``day`` decides the retention of a fee (Ley 21.133).
    """
    kind = domain.DTE_TYPES[dte_type]
    amounts = [(line_total(line, places), line.is_exempt) for line in lines]
    whole = sum((amount for amount, _ in amounts), ZERO)
    if kind.is_honorarios:
        retention = Decimal(domain.honorarios_retention(int(whole), day.year))
        return Totals(whole, ZERO, ZERO, retention, whole)
    if all_exempt or not kind.has_iva:
        return Totals(ZERO, whole, ZERO, ZERO, whole)
    exempt = sum((amount for amount, is_exempt in amounts if is_exempt), ZERO)
    affected = whole - exempt
    if gross:
        net = Decimal(net_of_gross(int(affected)))
        return Totals(net, exempt, affected - net, ZERO, whole)
    iva = Decimal(domain.iva(int(affected)))
    withheld = iva if vat_withheld else ZERO
    return Totals(affected, exempt, iva, withheld, whole + iva - withheld)


def net_of_gross(gross: int) -> int:
    """Net of a price with IVA, half up; the IVA is what is left, so the price is kept."""
    whole = 100 + domain.IVA_PERCENT
    return (gross * 200 + whole) // (2 * whole)
