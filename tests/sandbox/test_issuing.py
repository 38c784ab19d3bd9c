"""Batches over real HTTP: accepted, idempotent, issued by the clock, found in the world."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from .helpers import Row, companies, get, post, read_all, truth

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
    api: httpx.Client, *documents: Row, key: str | None = None, defaults: bool = True
) -> httpx.Response:
    headers = {"X-Use-Defaults": "true"} if defaults else {}
    if key is not None:
        headers["Idempotency-Key"] = key
    return api.post("/documents/batch", json={"documents": list(documents)}, headers=headers)


def issued(api: httpx.Client) -> Row:
    found: Row = get(api, "/_admin/issued")
    return found


def test_a_batch_is_accepted_then_issued(fresh: httpx.Client) -> None:
    answer = send(fresh, invoice(fresh, "a"), invoice(fresh, "b"), key="k1")
    assert answer.status_code == 202
    told = answer.json()
    assert told["status"] == "processing"
    assert [(e["index"], e["status"]) for e in told["documents"]] == [
        (0, "created"),
        (1, "created"),
    ]
    batch = get(fresh, f"/documents/batch/{told['batch_id']}")
    assert (batch["status"], batch["idempotency_key"]) == ("completed", "k1")
    for entry in batch["documents"]:
        assert entry["status"] == "success"
        assert entry["document"]["folio"] == f"SANDBOX-{entry['document']['id']}"
        assert entry["document"]["document_total"]["iva_amount"] == 190.0
    oracle = issued(fresh)
    assert oracle["counts"] == {"row_key": {"a": 1, "b": 1}}
    assert [r["total"] for r in oracle["issued"]] == ["1190", "1190"]


def test_issued_documents_are_the_worlds(fresh: httpx.Client) -> None:
    own = companies(fresh)
    mine = {"master_entity_id": own[0]}
    books = {**mine, "period": "202611", "operation": "VENTA"}
    before = get(fresh, "/book-summaries", **books)["results"]
    other = truth(fresh, "master_entities")[1]["tax_id"]
    send(fresh, invoice(fresh, document_receiver={"rut": other}))
    (row,) = issued(fresh)["issued"]
    listed = read_all(fresh, "/documents", **mine)
    newest = next(r for r in listed if r["date_issued"] <= "2026-11-20")  # a draft has tomorrow's
    assert newest["id"] == row["document_id"]
    assert newest["json_param"] == {"row_key": "a"}
    assert newest["is_sandbox"] is True
    theirs = read_all(fresh, "/documents", master_entity_id=own[1], document_type="received")
    assert row["document_id"] in {r["id"] for r in theirs}
    detail = get(fresh, f"/documents/{row['document_id']}")
    assert detail["json_param"] == {"row_key": "a"}
    assert httpx.get(detail["pdf"]).content.startswith(b"%PDF")
    xml = fresh.get(f"/documents/{row['document_id']}/files/xml").text
    assert f"<Folio>{row['folio']}</Folio>" in xml
    told = {r["id"]: r for r in truth(fresh, "documents")}[str(row["document_id"])]
    assert (told["amount_with_iva"], told["is_sandbox"]) == ("1190", True)
    assert get(fresh, "/book-summaries", **books)["results"] != before


@pytest.mark.parametrize("value", ["a", "b"])
def test_metadata_is_found_exactly(fresh: httpx.Client, value: str) -> None:
    send(fresh, invoice(fresh, "a"), invoice(fresh, "b", json_param={"row_key": "b", "n": 7}))
    mine = {"master_entity_id": companies(fresh)[0]}
    (found,) = read_all(fresh, "/documents", json_param__row_key=value, **mine)
    assert found["json_param"]["row_key"] == value
    assert read_all(fresh, "/documents", json_param__n="7", **mine) == [], "not a string"


def test_the_same_key_is_the_same_batch_for_a_day(fresh: httpx.Client) -> None:
    one = invoice(fresh)
    first = send(fresh, one, key="k").json()["batch_id"]
    assert send(fresh, one, key="k").json()["batch_id"] == first
    other = send(fresh, invoice(fresh, "b"), key="k")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    post(fresh, "/_admin/switches", same_key_other_body="original")
    assert send(fresh, invoice(fresh, "b"), key="k").json()["batch_id"] == first
    post(fresh, "/_admin/clock", hours=23.9)
    assert send(fresh, one, key="k").json()["batch_id"] == first
    post(fresh, "/_admin/clock", hours=0.2)
    assert send(fresh, one, key="k").json()["batch_id"] != first
    assert issued(fresh)["counts"]["row_key"] == {"a": 2}


def test_results_come_with_the_clock(fresh: httpx.Client) -> None:
    post(fresh, "/_admin/switches", processing_seconds=60, confirmation_seconds=3600)
    batch = send(fresh, invoice(fresh)).json()["batch_id"]

    def entry() -> Row:
        (found,) = get(fresh, f"/documents/batch/{batch}")["documents"]
        return dict(found)

    assert entry()["status"] == "created"
    post(fresh, "/_admin/clock", seconds=31)
    assert entry()["status"] == "processing"
    assert issued(fresh)["documents"] == 0
    post(fresh, "/_admin/clock", seconds=31)
    assert (entry()["status"], entry()["confirmation_pending"]) == ("success", True)
    post(fresh, "/_admin/clock", hours=1)
    assert entry()["confirmation_pending"] is False


def test_a_reset_forgets_all_that_was_issued(fresh: httpx.Client) -> None:
    before = truth(fresh, "documents")
    send(fresh, invoice(fresh), key="k")
    post(fresh, "/_admin/switches", max_documents=1)
    assert post(fresh, "/_admin/reset")["documents"] == 1
    assert truth(fresh, "documents") == before
    assert issued(fresh)["batches"] == 0
    assert get(fresh, "/_admin/switches")["max_documents"] == 200
    assert send(fresh, invoice(fresh), key="k").status_code == 202
