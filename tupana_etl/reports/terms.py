"""What a factor offers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Terms:
    """A factor's offer, as the person who asks states it; none of it is a market rate."""

    monthly_rate: Decimal
    """Discount a month: 0.015 is 1.5 %."""
    advance_rate: Decimal = Decimal(1)
    """Share of the face value that is advanced."""
    commission: int = 0
    """Whole pesos a document, without IVA."""
    commission_rate: Decimal = Decimal(0)
    """Share of the face value, without IVA."""
    days_late: int = 0
    """Days after the due date that the debtors are expected to take."""
