"""Batches over real HTTP: accepted, idempotent, issued by the clock, found in the world."""

from __future__ import annotations

import httpx
import pytest

from .batches import invoice, issued, send
from .helpers import Row, companies, get, post, read_all, truth


def test_a_batch_is_accepted_then_issued(issuing: httpx.Client) -> None:
    answer = send(issuing, invoice(issuing, "a"), invoice(issuing, "b"), key="k1")
    assert answer.status_code == 202
    told = answer.json()
    assert told["status"] == "processing"
    assert [(e["index"], e["status"]) for e in told["documents"]] == [
        (0, "created"),
        (1, "created"),
    ]
    batch = get(issuing, f"/documents/batch/{told['batch_id']}")
    assert (batch["status"], batch["idempotency_key"]) == ("completed", "k1")
    for entry in batch["documents"]:
        assert entry["status"] == "success"
        assert entry["document"]["folio"] == f"SANDBOX-{entry['document']['id']}"
        assert entry["document"]["document_total"]["iva_amount"] == 190.0
    oracle = issued(issuing)
    assert oracle["counts"] == {"row_key": {"a": 1, "b": 1}}
    assert [r["total"] for r in oracle["issued"]] == ["1190", "1190"]


def test_issued_documents_are_the_worlds(issuing: httpx.Client) -> None:
    own = companies(issuing)
    mine = {"master_entity_id": own[0]}
    books = {**mine, "period": "202611", "operation": "VENTA"}
    before = get(issuing, "/book-summaries", **books)["results"]
    other = truth(issuing, "master_entities")[1]["tax_id"]
    send(issuing, invoice(issuing, document_receiver={"rut": other}))
    (row,) = issued(issuing)["issued"]
    listed = read_all(issuing, "/documents", **mine)
    newest = next(r for r in listed if r["date_issued"] <= "2026-11-20")  # a draft has tomorrow's
    assert newest["id"] == row["document_id"]
    assert newest["json_param"] == {"row_key": "a"}
    assert newest["is_sandbox"] is True
    theirs = read_all(issuing, "/documents", master_entity_id=own[1], document_type="received")
    assert row["document_id"] in {r["id"] for r in theirs}
    detail = get(issuing, f"/documents/{row['document_id']}")
    assert detail["json_param"] == {"row_key": "a"}
    assert httpx.get(detail["pdf"]).content.startswith(b"%PDF")
    xml = issuing.get(f"/documents/{row['document_id']}/files/xml").text
    assert f"<Folio>{row['folio']}</Folio>" in xml
    told = {r["id"]: r for r in truth(issuing, "documents")}[str(row["document_id"])]
    assert (told["amount_with_iva"], told["is_sandbox"]) == ("1190", True)
    assert get(issuing, "/book-summaries", **books)["results"] != before


@pytest.mark.parametrize("value", ["a", "b"])
def test_metadata_is_found_exactly(issuing: httpx.Client, value: str) -> None:
    send(issuing, invoice(issuing, "a"), invoice(issuing, "b", json_param={"row_key": "b", "n": 7}))
    mine = {"master_entity_id": companies(issuing)[0]}
    (found,) = read_all(issuing, "/documents", json_param__row_key=value, **mine)
    assert found["json_param"]["row_key"] == value
    assert read_all(issuing, "/documents", json_param__n="7", **mine) == [], "not a string"


def test_the_same_key_is_the_same_batch_for_a_day(issuing: httpx.Client) -> None:
    one = invoice(issuing)
    first = send(issuing, one, key="k").json()["batch_id"]
    assert send(issuing, one, key="k").json()["batch_id"] == first
    other = send(issuing, invoice(issuing, "b"), key="k")
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
    post(issuing, "/_admin/switches", same_key_other_body="original")
    assert send(issuing, invoice(issuing, "b"), key="k").json()["batch_id"] == first
    post(issuing, "/_admin/clock", hours=23.9)
    assert send(issuing, one, key="k").json()["batch_id"] == first
    post(issuing, "/_admin/clock", hours=0.2)
    assert send(issuing, one, key="k").json()["batch_id"] != first
    assert issued(issuing)["counts"]["row_key"] == {"a": 2}


def test_results_come_with_the_clock(issuing: httpx.Client) -> None:
    post(issuing, "/_admin/switches", processing_seconds=60, confirmation_seconds=3600)
    batch = send(issuing, invoice(issuing)).json()["batch_id"]

    def entry() -> Row:
        (found,) = get(issuing, f"/documents/batch/{batch}")["documents"]
        return dict(found)

    assert entry()["status"] == "created"
    post(issuing, "/_admin/clock", seconds=31)
    assert entry()["status"] == "processing"
    assert issued(issuing)["documents"] == 0
    post(issuing, "/_admin/clock", seconds=31)
    assert (entry()["status"], entry()["confirmation_pending"]) == ("success", True)
    post(issuing, "/_admin/clock", hours=1)
    assert entry()["confirmation_pending"] is False


def test_a_reset_forgets_all_that_was_issued(issuing: httpx.Client) -> None:
    before = truth(issuing, "documents")
    shown = get(issuing, f"/documents/{before[0]['id']}")
    send(issuing, invoice(issuing), key="k")
    post(issuing, "/_admin/switches", max_documents=1)
    post(issuing, "/_admin/clock", days=40)
    post(issuing, "/_admin/keys", key="another")
    assert post(issuing, "/_admin/reset")["documents"] == 1
    assert truth(issuing, "documents") == before
    assert issued(issuing)["batches"] == 0
    assert get(issuing, "/_admin/switches")["max_documents"] == 200
    again = get(issuing, f"/documents/{before[0]['id']}")
    assert {**again, "pdf": None} == {**shown, "pdf": None}
    assert send(issuing, invoice(issuing), key="k").status_code == 202
