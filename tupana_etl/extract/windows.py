"""What one sync asks for: each stream cut into slices, dates cut into windows.

A window is read whole or not at all, so windows are sized by content: one for a small
company, months or days for a large one. The newest has no upper bound, so a document
dated in the future is not missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from math import ceil

from tupana_etl.api.reads import Company
from tupana_etl.streams import Stream

WINDOW_ROWS = 2_000
"""Rows a window may hold before it is cut. A killed run reads again what was not whole: smaller
windows lose less, and cost half a page each."""

FULL = 0.9
"""Part of that which is aimed at: not every month is alike."""

MONTH_DAYS = 30.4

DIRECTIONS = ("issued", "received")

OWN_SIDE = {"issued": "sender_tax_id", "received": "receiver_tax_id"}
"""The column of a document that names the company it was listed for."""


@dataclass(frozen=True)
class Window:
    """One listing to read whole. Dates are inclusive; None is open."""

    stream: Stream
    company: Company | None = None
    direction: str | None = None
    date_from: date | None = None
    date_to: date | None = None
    period: str | None = None
    undated: bool = False
    """Only rows without an issue date; the API has no filter for them."""
    by_server: bool = True
    """False where the server ignores date filters: older rows are left out here."""

    @property
    def rut(self) -> str | None:
        """RUT of the company, for messages."""
        return self.company.rut if self.company else None

    @property
    def params(self) -> dict[str, str]:
        """Query parameters of the listing."""
        asked = dict(self.stream.params)
        if self.stream.name == "master_entities" and self.company:
            return asked | {"rut": self.company.rut}
        if self.company:
            asked["master_entity_id"] = self.company.id
        if self.direction:
            asked["document_type"] = self.direction
        if self.date_from and self.by_server:
            asked["issue_date_gte"] = self.date_from.isoformat()
        if self.date_to and self.by_server:
            asked["issue_date_lte"] = self.date_to.isoformat()
        if self.period:
            asked["period"] = self.period
        return asked

    @property
    def where(self) -> dict[str, str]:
        """Values of the columns that come from the slice."""
        found = {"document_type": self.direction}
        if self.company:
            found["master_entity_id"] = self.company.id
        return {name: value for name, value in found.items() if value}

    @property
    def scope(self) -> dict[str, str]:
        """Columns and values that all rows of the window share."""
        return self.where | ({"period": self.period} if self.period else {})

    @property
    def described(self) -> dict[str, str | bool | None]:
        """The window as the manifest names it."""
        return {
            "stream": self.stream.name,
            "company": self.company.id if self.company else None,
            "rut": self.rut,
            "direction": self.direction,
            "date_from": self.date_from.isoformat() if self.date_from else None,
            "date_to": self.date_to.isoformat() if self.date_to else None,
            "period": self.period,
            "undated": self.undated,
            "label": self.label,
        }

    @property
    def label(self) -> str:
        """The window in words, for people."""
        parts = [self.stream.name, self.rut, self.direction, self.period]
        if self.undated:
            parts.append("without a date")
        if self.date_from or self.date_to:
            parts.append(f"{self.date_from or '…'} to {self.date_to or 'now'}")
        return " ".join(p for p in parts if p)

    def parts(self, count: int, rows: int, today: date) -> list[Window]:
        """The window cut so that ``count`` rows, if spread evenly, come to ``rows`` a part.

        Cuts lie at the borders of months, or of days where a month holds more. A window of
        one day is not cut.
        """
        start = self.date_from
        if start is None:
            return [self]
        end = self.date_to or max(today, start)
        borders = [day for day in _borders(start, end, count, rows) if start < day <= end]
        middle = start + timedelta(days=((end - start).days + 1) // 2)
        begins = [start, *(borders or ([middle] if start < middle <= end else []))]
        ends = [day - timedelta(days=1) for day in begins[1:]]
        found = [replace(self, date_from=a, date_to=b) for a, b in zip(begins, ends, strict=False)]
        return [*found, replace(self, date_from=begins[-1])]


def _borders(start: date, end: date, count: int, rows: int) -> Iterator[date]:
    """Where parts of ``rows`` may begin, from the month of ``start`` to ``end``."""
    a_month = count * MONTH_DAYS / ((end - start).days + 1)
    together = int(rows * FULL / a_month)
    firsts = [months_before(start, -n) for n in range(len(months(start, end)) + 1)]
    if together:
        yield from firsts[::together]
        return
    for first, following in pairwise(firsts):
        days = (following - first).days
        pieces = min(days, ceil(a_month / (rows * FULL)))
        yield from (first + timedelta(days=days * n // pieces) for n in range(pieces))


def slices(stream: Stream, companies: list[Company], start: date, today: date) -> Iterator[Window]:
    """Every slice of a stream; those cut by date are open at both ends of time."""
    if "company" not in stream.slices:
        yield Window(stream)
        return
    for company in companies:
        if "direction" in stream.slices:
            for direction in DIRECTIONS:
                yield Window(stream, company, direction)
        elif "period" in stream.slices:
            for period in months(start, today):
                yield Window(stream, company, period=period)
        else:
            yield Window(stream, company)


def months(start: date, end: date) -> list[str]:
    """``YYYYMM`` from the month of ``start`` to that of ``end``."""
    first, last = start.year * 12 + start.month - 1, end.year * 12 + end.month - 1
    return [f"{m // 12}{m % 12 + 1:02d}" for m in range(first, last + 1)]


def months_before(day: date, count: int) -> date:
    """First day of the month ``count`` months before that of ``day``."""
    month = day.year * 12 + day.month - 1 - count
    return date(month // 12, month % 12 + 1, 1)
