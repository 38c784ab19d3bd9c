"""POST /cessions/batch in both contracts, and what SII really took."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest

from tupana_etl.sandbox.server import READER_KEY, World, running

from .batches import invoice, issued, play, send
from .helpers import TODAY, Row, client, companies, get, post, read_all, shared, truth
from .test_contract import resolved
from .test_write_faults import BROKEN

FACTOR = {
    "assignee_rut": "76798398",
    "assignee_dv": "0",
    "assignee_business_name": "Factoring Inventado SpA",
    "assignee_address": "Av. Tajamar 183",
    "assignee_email": "factoring@example.cl",
}


def cede(api: httpx.Client, ids: list[int], **changes: Any) -> httpx.Response:
    asked = {"master_entity_id": companies(api)[0], "document_ids": ids, **FACTOR, **changes}
    return api.post("/cessions/batch", json=asked)


def invoices(api: httpx.Client, count: int, **more: Any) -> list[int]:
    """Ids of fresh invoices on credit."""
    send(api, *(invoice(api, str(i), **more) for i in range(count)))
    return [r["document_id"] for r in issued(api)["issued"]]


def counts(api: httpx.Client) -> Row:
    found: Row = get(api, "/_admin/ceded")["counts"]
    return found


def check(body: object, era: str, path: str, method: str, status: str) -> None:
    spec = json.loads(shared("api", f"openapi-v1-{era}.json").read_text(encoding="utf-8"))
    answer = spec["paths"][path][method]["responses"][status]
    schema = answer["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator(resolved(schema, spec)).validate(body)


def test_cessions_are_taken_one_by_one(issuing: httpx.Client) -> None:
    post(issuing, "/_admin/switches", processing_seconds=0)
    first, second, third = invoices(issuing, 3)
    post(issuing, "/_admin/switches", processing_seconds=60)
    play(issuing, {"kind": "cession_fails", "argument": 1})
    before = read_all(issuing, "/cessions", master_entity_id=companies(issuing)[0])
    answer = cede(issuing, [first, second, third])
    assert answer.status_code == 202
    check(answer.json(), "2026-08", "/cessions/batch", "post", "202")
    path = f"/cessions/batch/{answer.json()['cession_batch_id']}"
    assert get(issuing, path)["status"] == "processing"
    assert counts(issuing) == {}
    post(issuing, "/_admin/clock", seconds=61)
    batch = get(issuing, path)
    check(batch, "2026-08", "/cessions/batch/{batch_id}", "get", "200")
    assert (batch["status"], batch["success_count"], batch["failed_count"]) == ("partial", 2, 1)
    assert batch["assignee_rut"] == "76798398-0"
    assert [bool(c["error_message"]) for c in batch["batch_cessions"]] == [False, True, False]
    assert counts(issuing) == {str(first): 1, str(third): 1}
    rows = read_all(issuing, "/cessions", master_entity_id=companies(issuing)[0])
    new = [r for r in rows if r["id"] not in {b["id"] for b in before}]
    assert {r["document_id"] for r in new} == {first, third}
    assert {(r["status"], r["source"], r["assignment_amount"]) for r in new} == {
        ("success", "internal", 1190.0)
    }
    assert {r["id"] for r in new} <= {int(r["id"]) for r in truth(issuing, "cessions")}
    states = get(issuing, f"/documents/{first}/states")["states"]
    assert [s["event_code"] for s in states] == ["CED"]


def test_nothing_is_ceded_twice(issuing: httpx.Client) -> None:
    (one,) = invoices(issuing, 1)
    for expected in ("completed", "failed"):
        answer = cede(issuing, [one]).json()
        batch = get(issuing, f"/cessions/batches/{answer['cession_batch_id']}")
        assert batch["status"] == expected
    assert counts(issuing) == {str(one): 1}
    post(issuing, "/_admin/reset")
    assert counts(issuing) == {}


def test_a_reset_gives_back_what_was_ceded(issuing: httpx.Client) -> None:
    before = truth(issuing, "cessions"), truth(issuing, "document_states")
    ceded = {r["document_id"] for r in before[0]}
    mine = str(companies(issuing)[0])
    row = next(
        r
        for r in truth(issuing, "documents")
        if (r["master_entity_id"], r["document_type"]) == (mine, "issued")
        and (r["has_trace"], r["has_claims"], r["payment_method"]) == (True, False, "2")
        and r["id"] not in ceded
    )
    cede(issuing, [int(row["id"])])
    assert counts(issuing) == {row["id"]: 1}
    assert truth(issuing, "cessions") != before[0]
    post(issuing, "/_admin/reset")
    assert (truth(issuing, "cessions"), truth(issuing, "document_states")) == before


def test_answers_lost_or_late(issuing: httpx.Client) -> None:
    first, second = invoices(issuing, 2)
    path = {"path": "/cessions/batch", "method": "POST"}
    play(issuing, {"kind": "lost", **path}, {"kind": "later", "argument": 600, **path})
    for one, done in ((first, {str(first): 1}), (second, {str(first): 1})):
        with pytest.raises(BROKEN):
            cede(issuing, [one])
        assert counts(issuing) == done
    post(issuing, "/_admin/clock", seconds=601)
    assert counts(issuing) == {str(first): 1, str(second): 1}


def test_what_is_refused(issuing: httpx.Client) -> None:
    (one,) = invoices(issuing, 1)
    own = companies(issuing)
    receipt = next(
        r
        for r in truth(issuing, "documents")
        if (r["master_entity_id"], r["document_type"]) == (str(own[0]), "issued")
        and r["dte_type_code"] not in {"33", "34"}
    )
    missing = cede(issuing, [one], assignee_email="", assignee_dv=None)
    assert missing.json() == {"error": "Missing required fields: assignee_dv, assignee_email"}
    wrong = cede(issuing, [one, int(receipt["id"])])
    assert wrong.status_code == 400
    assert [d["id"] for d in wrong.json()["invalid_documents"]] == [int(receipt["id"])]
    assert cede(issuing, [one], assignee_dv="1").status_code == 400
    assert cede(issuing, [one], master_entity_id="x").status_code == 400
    assert cede(issuing, ["x"]).status_code == 400  # type: ignore[list-item]
    assert cede(issuing, [one], master_entity_id=own[1]).status_code == 404
    assert cede(issuing, [one], master_entity_id=1).status_code == 403
    assert issuing.get("/cessions/batch/none").status_code == 404
    with client(str(issuing.base_url), READER_KEY) as reader:
        assert cede(reader, [one]).status_code == 403
    post(issuing, "/_admin/credentials", company=own[0], status="INVALID")
    try:
        assert cede(issuing, [one]).status_code == 400
    finally:
        post(issuing, "/_admin/credentials", company=own[0], status="VALID")
    assert counts(issuing) == {}


def test_sii_refuses_what_the_law_does(issuing: httpx.Client) -> None:
    paid, claimed = invoices(issuing, 2)
    cash = invoice(issuing, "cash", header={"payment_method": "1"})
    send(issuing, cash)
    at_once = issued(issuing)["issued"][-1]["document_id"]
    post(issuing, "/_admin/claim", document_id=claimed)
    post(issuing, "/_admin/pay", document_id=paid)
    answer = cede(issuing, [paid, claimed, at_once]).json()
    batch = get(issuing, f"/cessions/batch/{answer['cession_batch_id']}")
    assert [c["status"] for c in batch["batch_cessions"]] == ["success", "failed", "failed"]


def test_the_older_contract_answers_at_once(tmp_path: Path) -> None:
    world = World(documents=30, companies=1, months=2, seed=3, today=TODAY, contract="2026-04")
    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        first, second = invoices(api, 2)
        play(api, {"kind": "cession_fails", "argument": 0})
        answer = cede(api, [first, second])
        assert answer.status_code == 200
        told = answer.json()
        assert (told["total_processed"], told["total_errors"], told["aec_sent"]) == (2, 1, 1)
        assert [c["document_id"] for c in told["cessions"]] == [second]
        assert [r["status"] for r in told["aec_results"]] == ["failed", "sent_to_sii"]
        assert told["errors"][0]["document_id"] == first
        assert counts(api) == {str(second): 1}
        assert httpx.get(told["cessions"][0]["presigned_url"]).status_code == 200
