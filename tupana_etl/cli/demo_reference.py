"""What a user would write into ``reference/`` of the demo's home: contracts that are billed
monthly, lines of a bank statement, invoices that a factor agreed to buy. All invented, from
the demo's own documents."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from tupana_etl import analysis
from tupana_etl.domain import today, valid_rut
from tupana_etl.settings import Settings
from tupana_etl.warehouse.reference import USER_TABLES

CUSTOMERS = """
SELECT company_rut, counterparty_rut, any_value(counterparty_name),
    greatest(round(median(net_amount), -3), 1000)::BIGINT
FROM marts.documents
WHERE our_role = 'seller' AND dte_type_code = '33' AND NOT counterparty_is_own
GROUP BY company_rut, counterparty_rut
QUALIFY row_number() OVER (
    PARTITION BY company_rut ORDER BY count(*) DESC, counterparty_rut
) <= 4
ORDER BY company_rut, counterparty_rut
"""
SELLABLE = """
SELECT issuer_rut, dte_type_code, folio, total_clp FROM marts.factoring_candidates
WHERE eligible AND company_rut = (
    SELECT company_rut FROM marts.factoring_candidates
    WHERE eligible GROUP BY ALL ORDER BY count(*) DESC, company_rut LIMIT 1
)
ORDER BY due_date DESC, folio LIMIT 2
"""
OVERDUE = """
SELECT company_rut, counterparty_rut, open_balance_clp FROM marts.receivables
WHERE dte_type_code IN ('33', '34') AND issuer_rut = company_rut AND open_balance_clp > 0
    AND days_overdue > 0 AND NOT is_paid AND counterparty_rut IS NOT NULL
    AND open_balance_clp = total_clp
QUALIFY count(*) OVER (PARTITION BY company_rut, counterparty_rut, open_balance_clp) = 1
ORDER BY days_overdue, issuer_rut, folio LIMIT 2
"""
FACTOR = {
    "assignee_rut": "76083507-2",
    "assignee_name": "Factoring Uno SpA",
    "assignee_address": "Av. Apoquindo 100, Las Condes",
    "assignee_email": "operaciones@factoring.example",
}

Row = dict[str, Any]


def invent(configured: Settings) -> bool:
    """Writes the files that are not there yet; True when it wrote any."""
    folder = configured.home / "reference"
    folder.mkdir(mode=0o700, exist_ok=True)
    made = {
        "billing_contracts": _contracts,
        "bank_statement": _bank_lines,
        "approved_cessions": _cessions,
    }
    missing = [name for name in made if not (folder / f"{name}.csv").exists()]
    for name in missing:
        _write(folder / f"{name}.csv", name, made[name](configured))
    return bool(missing)


def _contracts(configured: Settings) -> Iterator[Row]:
    customers = [c for c in _asked(configured, CUSTOMERS) if valid_rut(c[0]) and valid_rut(c[1])]
    for number, (company, customer, name, price) in enumerate(customers, 1):
        yield {
            "contract_id": f"D{number:03d}",
            "issuer_rut": company,
            "receiver_rut": customer,
            "receiver_name": name,
            "item_name": "Plan mensual",
            "unit_price": price,
        }


def _bank_lines(configured: Settings) -> Iterator[Row]:
    """Two that pay an invoice each, and one that pays none: a peso too much."""
    owed = _asked(configured, OVERDUE)
    lines = [*owed, *((rut, payer, amount + 1) for rut, payer, amount in owed[:1])]
    for number, (company, payer, amount) in enumerate(lines, 1):
        yield {
            "line_id": f"B{number:03d}",
            "account_rut": company,
            "booked_on": (today() - timedelta(days=1)).isoformat(),
            "amount": amount,
            "payer_rut": payer,
            "description": "Transferencia",
        }


def _cessions(configured: Settings) -> Iterator[Row]:
    for issuer, kind, folio, total in _asked(configured, SELLABLE):
        invoice = {"issuer_rut": issuer, "dte_type_code": kind, "folio": folio, "amount": total}
        yield {"operation_id": "OP-1", **invoice, **FACTOR}


def _asked(configured: Settings, sql: str) -> list[Any]:
    with analysis.answer(sql, configured) as answer:
        return list(answer.rows)


def _write(path: Path, table: str, rows: Iterator[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, USER_TABLES[table].columns)
        writer.writeheader()
        writer.writerows(rows)
    path.chmod(0o600)
