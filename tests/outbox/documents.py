"""Rows that are right, one for every type, for tests that make them wrong."""

from __future__ import annotations

from typing import Any

from tupana_etl.outbox.contract import ANNULS
from tupana_etl.outbox.drafts import Draft, drafts

Row = dict[str, Any]

BASE: Row = {
    "row_key": "sale:1",
    "dte_type": "33",
    "issuer_rut": "76086428-5",
    "receiver_rut": "77777777-7",
    "receiver_name": "Ferretería Ñuñoa SpA",
    "date_issued": "2026-11-24",
    "payment_method": "1",
    "item_name": "Arriendo de maquinaria",
    "quantity": 2,
    "unit_price": 50_075,
}
NOTE = {
    "references": [
        {
            "dte_type_code": "33",
            "reference_folio": 1042,
            "reference_date": "2026-10-30",
            "reference_reason": ANNULS,
        }
    ],
}
ABROAD = {
    "receiver_rut": "55555555-5",
    "export_data": '{"currency_code": "13", "exchange_rate": "950.5"}',
}
EXTRA: dict[str, Row] = {
    "33": {},
    "34": {},
    "39": {"unit_price": None, "gross_unit_price": 1_190, "receiver_rut": "66666666-6"},
    "41": {},
    "46": {"purchase_transaction_type": 1},
    "52": {"transport_data": {"transport_type": "1"}, "payment_method": None},
    "56": NOTE,
    "61": NOTE,
    "80": {"retention_type": "RETRECEPTOR", "payment_method": None},
    "90": {"retention_type": "RETRECEPTOR"},
    "110": ABROAD,
    "111": NOTE | ABROAD,
    "112": NOTE | ABROAD,
}
"""What each type needs beside the base."""


def row(kind: str = "33", /, **changes: Any) -> Row:
    """A row that is right for its type, but for the changes."""
    return BASE | {"dte_type": kind} | EXTRA[kind] | changes


def read(*rows: Row) -> list[Draft]:
    """The drafts of rows."""
    return list(drafts([(f"row {i}", r) for i, r in enumerate(rows, 1)], lambda key: f"tag-{key}"))


def one(*rows: Row) -> Draft:
    """The one draft of rows that share a key."""
    (draft,) = read(*rows)
    return draft


def codes(*rows: Row) -> set[str]:
    """Why the rows are blocked."""
    return {p.code for draft in read(*rows) for p in draft.problems}
