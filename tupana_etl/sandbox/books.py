"""SII's purchase and sales books of the world, computed from its documents.

Sales: documents issued, by month of issue. Purchases: invoices and notes received, and
purchase invoices (46) issued, by month of reception. Amounts are positive whole pesos
per type; drafts, failures, SII's refusals, despatch notes and honorarios are in neither
(chile_dte: RCV; honorarios have a register of their own).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tupana_etl.domain import DTE_TYPES
from tupana_etl.sandbox import amounts, dates, store
from tupana_etl.sandbox.model import Document

SALES_TYPES = frozenset({"33", "34", "39", "41", "43", "56", "61", "110", "111", "112"})
PURCHASE_TYPES = frozenset({"33", "34", "43", "56", "61"})
OWN_PURCHASE = "46"
"""Issued by the buyer: in the buyer's purchases."""


@dataclass
class Row:
    """One line of a book, pesos."""

    company_id: int
    period: str
    operation: str
    dte_type: str
    documents: int = 0
    net: int = 0
    exempt: int = 0
    iva: int = 0
    total: int = 0

    @property
    def id(self) -> int:
        """Stable whatever else is in the book."""
        side = 1 if self.operation == "COMPRA" else 2
        return int(f"{self.company_id % 1_000_000}{self.period}{side}{int(self.dte_type):03d}")


def metadata(d: Document) -> dict[str, Any] | None:
    """What the books say of a document, or None when no book has it."""
    sale = _loading(d, "VENTA")
    purchase = _loading(d, "COMPRA")
    if sale is None and purchase is None:
        return None
    if d.received_at is None:
        raise ValueError(f"document {d.id} is in a book but was never received")
    acknowledged = [e.at for e in d.events if e.code in {"ACD", "ERM"}]
    return {
        "net_amount": _float(d, d.net),
        "exempt_amount": _float(d, d.exempt),
        "vat_amount": _float(d, d.iva),
        "total_amount": _float(d, d.total),
        "reception_date": dates.local_day(d.received_at).isoformat(),
        "acknowledgment_date": (
            dates.local_day(acknowledged[0]).isoformat() if acknowledged else None
        ),
        "in_sii_compra_book": purchase is not None,
        "in_sii_venta_book": sale is not None,
        "compra_loading_period": purchase,
        "venta_loading_period": sale,
    }


def rows(
    connection: sqlite3.Connection,
    company_id: int,
    period: str | None = None,
    operation: str | None = None,
) -> list[Row]:
    """Lines of a company's books, of one month (YYYYMM) and one side or of all.

    A month that has not begun has no books yet, whatever is dated in it.
    """
    found: dict[tuple[str, str, str], Row] = {}
    newest = _month(store.today(connection).isoformat())
    for month, side, record in _entries(connection, company_id, period):
        if month > newest or (period and month != period) or (operation and side != operation):
            continue
        key = (month, side, record["dte_type"])
        row = found.setdefault(key, Row(company_id, *key))
        rate = Decimal(record["exchange_rate"] or 1)
        row.documents += 1
        row.net += _pesos(record["net"], rate)
        row.exempt += _pesos(record["exempt"], rate)
        row.iva += _pesos(record["iva"], rate)
        row.total += _pesos(record["total"], rate)
    return [found[key] for key in sorted(found)]


def type_name(dte_type: str) -> str:
    return DTE_TYPES[dte_type].name


def _entries(
    connection: sqlite3.Connection, company_id: int, period: str | None
) -> Iterator[tuple[str, str, sqlite3.Row]]:
    """Month, side and document of every entry in the company's books."""
    query = """
        SELECT dte_type, sender_id, receiver_id, date_issued, received_on, net, exempt, iva,
               total, exchange_rate
        FROM document
        WHERE state = 'issued' AND (sender_id = :company OR receiver_id = :company)
          AND (date_issued LIKE :month OR received_on LIKE :month)"""
    month = f"{period[:4]}-{period[4:]}-%" if period else "%"
    for record in connection.execute(query, {"company": company_id, "month": month}):
        kind = record["dte_type"]
        if record["sender_id"] == company_id and kind in SALES_TYPES:
            yield _month(record["date_issued"]), "VENTA", record
        if record["sender_id"] == company_id and kind == OWN_PURCHASE:
            yield _month(record["received_on"]), "COMPRA", record
        if record["receiver_id"] == company_id and kind in PURCHASE_TYPES:
            yield _month(record["received_on"]), "COMPRA", record


def _loading(d: Document, operation: str) -> str | None:
    """Month (YYYYMM) in which a book of either side took the document in."""
    if not d.is_issued or d.received_at is None:
        return None
    if operation == "VENTA":
        return _month(d.date_issued.isoformat()) if d.dte_type in SALES_TYPES else None
    in_purchases = d.dte_type in PURCHASE_TYPES or d.dte_type == OWN_PURCHASE
    return _month(dates.local_day(d.received_at).isoformat()) if in_purchases else None


def _month(day: str) -> str:
    return day[:4] + day[5:7]


def _pesos(amount: str, rate: Decimal) -> int:
    return int(amounts.half_up(Decimal(amount) * rate))


def _float(d: Document, amount: Decimal) -> float:
    return float(amounts.in_clp(d, amount))
