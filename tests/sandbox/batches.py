"""How the sandbox's tests issue: a document, a batch of them, and what came of it."""

from __future__ import annotations

from typing import Any

import httpx

from .helpers import Row, get, post, truth

RECEIVER = "76086428-5"


def issuer(api: httpx.Client) -> Row:
    """The first own company."""
    return truth(api, "master_entities")[0]


def invoice(api: httpx.Client, key: str = "a", **more: Any) -> Row:
    return {
        "dte_type": {"code": "33"},
        "date_issued": "2026-11-20",
        "document_issuer": {"rut": issuer(api)["tax_id"]},
        "document_receiver": {"rut": RECEIVER, "business_name": "Cliente SpA"},
        "header": {"payment_method": "2", "due_date": "2026-12-20"},
        "details": [{"item_name": "Plan", "quantity": 1, "unit_price": 1000}],
        "json_param": {"row_key": key},
        **more,
    }


def send(
    api: httpx.Client,
    *documents: Row,
    key: str | None = None,
    defaults: bool = True,
    timeout: float = 30,
    api_key: str | None = None,
) -> httpx.Response:
    headers = {"X-Use-Defaults": "true"} if defaults else {}
    if key is not None:
        headers["Idempotency-Key"] = key
    if api_key is not None:
        headers["Authorization"] = f"Api-Key {api_key}"
    body = {"documents": list(documents)}
    return api.post("/documents/batch", json=body, headers=headers, timeout=timeout)


def issued(api: httpx.Client) -> Row:
    found: Row = get(api, "/_admin/issued")
    return found


def play(api: httpx.Client, *faults: Row) -> None:
    post(api, "/_admin/faults", faults=list(faults))


def polled(api: httpx.Client, answer: httpx.Response) -> Row:
    """The batch of an accepted answer as it stands now."""
    assert answer.status_code == 202, answer.text
    found: Row = get(api, f"/documents/batch/{answer.json()['batch_id']}")
    return found
