"""Documents that the sandbox issued are rows as any other: read, proved by the books, told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from tupana_etl.sandbox.server import DEMO_KEY, PRODUCTION_KEY

from .helpers import TODAY, Site, differences, site

_REFERENCE = {"reference_folio": "1", "reference_date": "2026-11-01", "reference_reason": "Ajuste"}
_ABROAD = {"rut": "55555555-5", "business_name": "Norrvale AB"}


def documents(issuer: str, sibling: str) -> list[dict[str, Any]]:
    """One of each type that can be issued, the first one to a company of the user's own."""

    def made(code: str, price: str = "unit_price", **more: Any) -> dict[str, Any]:
        return {
            "dte_type": {"code": code},
            "date_issued": TODAY.isoformat(),
            "document_issuer": {"rut": issuer},
            "document_receiver": {"rut": "76086428-5", "business_name": "Cliente Ñuñoa SpA"},
            "details": [
                {"item_name": "Plan", "quantity": 2.5, price: 1234.5, "discount_percent": 10}
            ],
            "json_param": {"row_key": code},
            **more,
        }

    return [
        made("33", document_receiver={"rut": sibling}),
        made("34", header={"payment_method": "2", "due_date": "2026-12-20"}),
        made("39", "gross_unit_price"),
        made("41", "gross_unit_price"),
        made("46", header={"purchase_transaction_type": "1"}),
        made("52"),
        made("61", references=[{**_REFERENCE, "dte_type_code": "34"}]),
        made("80", header={"retention_type": "RETRECEPTOR"}),
        made("90", header={"retention_type": "RETRECEPTOR"}),
        made(
            "110",
            export_data={"currency_code": "13", "exchange_rate": "915.25"},
            document_receiver=_ABROAD,
        ),
    ]


def issue(here: Site, key: str, batch: list[dict[str, Any]]) -> None:
    headers = {"Authorization": f"Api-Key {key}", "X-Use-Defaults": "true"}
    answer = httpx.post(f"{here.url}/documents/batch", json=batch, headers=headers)
    assert answer.status_code == 202, answer.text


def test_issued_documents_arrive_and_the_books_prove_them(tmp_path: Path) -> None:
    with site(tmp_path, list_rows="lean", companies=2, documents=120, months=3) as here:
        issuer, sibling = (r["tax_id"] for r in here.truth("master_entities"))
        here.sync()
        before = here.query("SELECT count(*) FROM marts.book_differences")
        batch = documents(issuer, sibling)
        for key in (DEMO_KEY, PRODUCTION_KEY):
            issue(here, key, batch)
        assert here.sync().complete
        assert differences(here) == {}
        assert here.query("SELECT count(*) FROM marts.book_differences") == before
        oracle = {str(r["document_id"]): r for r in here.look("issued")["issued"]}
        assert len(oracle) == 2 * len(batch)
        shown = here.query("SELECT folio FROM marts.documents WHERE folio LIKE 'SANDBOX-%'")
        assert {f for (f,) in shown} == {r["folio"] for r in oracle.values() if r["is_sandbox"]}, (
            "this home is a sandbox's"
        )
        found = here.query(
            "SELECT id, dte_type_code, folio, amount_with_iva, is_sandbox, "
            "json_param->>'$.row_key' FROM raw.documents "
            f"WHERE document_type = 'issued' AND id IN {tuple(oracle)}"
        )
        assert len(found) == len(oracle)
        for document_id, code, folio, total, is_sandbox, row_key in found:
            row = oracle[document_id]
            assert (code, folio, row_key) == (row["dte_type"], row["folio"], row["dte_type"])
            assert total == Decimal(row["total"])
            assert bool(is_sandbox) == row["is_sandbox"] == folio.startswith("SANDBOX-")
