"""Contracts for the demo's monthly billing: its companies' own customers, invented prices."""

from __future__ import annotations

import csv

from tupana_etl import analysis
from tupana_etl.domain import valid_rut
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


def invent_contracts(configured: Settings) -> bool:
    """Writes ``reference/billing_contracts.csv`` once; True when it was not there yet."""
    path = configured.home / "reference" / "billing_contracts.csv"
    if path.exists():
        return False
    with analysis.answer(CUSTOMERS, configured) as answer:
        customers = [row for row in answer.rows if valid_rut(row[0]) and valid_rut(row[1])]
    path.parent.mkdir(mode=0o700, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, USER_TABLES["billing_contracts"].columns)
        writer.writeheader()
        for number, (company, customer, name, price) in enumerate(customers, 1):
            writer.writerow(
                {
                    "contract_id": f"D{number:03d}",
                    "issuer_rut": company,
                    "receiver_rut": customer,
                    "receiver_name": name,
                    "item_name": "Plan mensual",
                    "unit_price": price,
                }
            )
    path.chmod(0o600)
    return True
