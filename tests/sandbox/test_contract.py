"""Every answer against the published OpenAPI file, known deviations put in."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tupana_etl.sandbox import lists
from tupana_etl.sandbox.deviations import ANSWERS, DEVIATIONS, corrected
from tupana_etl.sandbox.server import World, running

from .helpers import TODAY, client, companies, every_document, get, shared, truth

LEAN = {
    *("id", "folio", "date_issued", "amount_with_iva", "dte_type_code"),
    *("created_at", "updated_at", "has_trace", "latest_trace_info"),
}


@cache
def published() -> dict[str, Any]:
    path = shared("api", "openapi-v1-2026-08.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@cache
def spec() -> dict[str, Any]:
    return corrected(published())


def resolved(schema: Any, document: dict[str, Any]) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: references followed, ``nullable`` spelled out."""
    if isinstance(schema, list):
        return [resolved(s, document) for s in schema]
    if not isinstance(schema, dict):
        return schema
    nullable = schema.get("nullable") is True
    if "$ref" in schema:
        target: Any = document
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        found = resolved(target, document)
    else:
        found = {
            k: {name: resolved(s, document) for name, s in v.items()}
            if k == "properties"
            else resolved(v, document)
            for k, v in schema.items()
            if k not in {"nullable", "example", "description"}
        }
    return {"anyOf": [found, {"type": "null"}]} if nullable else found


def check(body: object, path: str) -> None:
    """Validates a body against the 200 answer of a GET."""
    operation = spec()["paths"][path]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator(resolved(schema, spec())).validate(body)


@given(st.one_of(st.none(), st.text()))
def test_nullable_is_understood(value: str | None) -> None:
    schema = resolved({"$ref": "#/x", "nullable": True}, {"x": {"type": "string"}})
    assert jsonschema.Draft202012Validator(schema).is_valid(value)
    assert not jsonschema.Draft202012Validator(schema).is_valid(7)


@pytest.mark.parametrize("side", ["issued", "received"])
def test_documents(api: httpx.Client, side: str) -> None:
    for company in companies(api):
        answer = get(
            api,
            "/documents",
            master_entity_id=company,
            document_type=side,
            page_size=100,
            include_trace_events="true",
            include_book_metadata="true",
        )
        check(answer, "/documents")


def test_details_of_each_type_and_state(api: httpx.Client) -> None:
    wanted = {(r["dte_type_code"], r["state"]): r["id"] for r in truth(api, "documents")}
    assert len(wanted) >= 13
    for document_id in wanted.values():
        check(get(api, f"/documents/{document_id}"), "/documents/{document_id}")
        check(get(api, f"/documents/{document_id}/states"), "/documents/{document_id}/states")


def test_cessions(api: httpx.Client) -> None:
    for company in companies(api):
        for side in ("issued", "received"):
            answer = get(api, "/cessions", master_entity_id=company, document_type=side)
            check(answer, "/cessions")
            for row in answer["results"]:
                check(get(api, f"/cessions/{row['id']}"), "/cessions/{id}")


def test_the_small_lists(api: httpx.Client) -> None:
    check(get(api, "/credentials"), "/credentials")
    check(get(api, "/webhooks"), "/webhooks")
    for company in truth(api, "master_entities"):
        check(get(api, "/master-entities", rut=company["tax_id"]), "/master-entities")
        mine = {"master_entity_id": company["id"]}
        check(get(api, "/scheduled-documents", **mine), "/scheduled-documents")
        check(get(api, "/sync-status", **mine), "/sync-status")
        check(get(api, "/book-summaries", period="202610", **mine), "/book-summaries")


def test_each_deviation_is_needed(api: httpx.Client, tmp_path: Path) -> None:
    """Without any one of them, some answer breaks the published schema."""
    loaded = World(documents=0, companies=0, today=TODAY, load=shared("data", "dte_xml"))
    details = [
        get(api, f"/documents/{i}") for i in sorted({r["id"] for r in truth(api, "documents")})
    ]
    with running(tmp_path / "w.sqlite", loaded) as url, client(url) as other:
        details += [get(other, f"/documents/{row['id']}") for _, _, row in every_document(other)]
    draft = next(d["id"] for d in details if d["state"] == "draft")
    states = [get(api, f"/documents/{draft}/states")]
    for left_out in DEVIATIONS:
        strict = corrected(published(), [d for d in DEVIATIONS if d is not left_out])
        schemas = strict["components"]["schemas"]
        whole, state = (
            jsonschema.Draft202012Validator(resolved(schemas[name], strict))
            for name in ("DocumentDetailWithFiles", "DocumentStatesResponse")
        )
        broken = (
            not v.is_valid(b) for v, bodies in ((state, states), (whole, details)) for b in bodies
        )
        assert any(broken), left_out


def test_the_older_contract(tmp_path: Path) -> None:
    """Against the file of 2026-04, whose schemas say no more than the answers do."""
    older = json.loads(shared("api", "openapi-v1-2026-04.json").read_text(encoding="utf-8"))
    known = [d for d in DEVIATIONS if d.field in _fields(older, d.schema)]
    strict = corrected(older, known)
    world = World(documents=150, companies=2, months=6, seed=11, today=TODAY, contract="2026-04")

    def check_older(body: object, path: str) -> None:
        operation = strict["paths"][path]["get"]
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator(resolved(schema, strict)).validate(body)

    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        for company in companies(api):
            mine = {"master_entity_id": company}
            for path in ("/documents", "/cessions", "/scheduled-documents"):
                check_older(get(api, path, **mine), path)
        listed = get(api, "/documents", include_trace_events="true", **mine)["results"]
        for row in listed:
            detail = get(api, f"/documents/{row['id']}")
            check_older(detail, "/documents/{document_id}")
            states = get(api, f"/documents/{row['id']}/states")
            check_older(states, "/documents/{document_id}/states")
            assert set(states["document"]) == set(_fields(older, "DocumentDetail"))
            assert {"traces", "latest_trace_info", "has_trace"} <= set(detail)
            assert "book_metadata" not in detail
        entity = truth(api, "master_entities")[0]
        answer = get(api, "/master-entities", rut=entity["tax_id"])
        check_older(answer, "/master-entities")
        assert set(answer) == set(_fields(older, "MasterEntity"))
        opaque = {"master_entity_id": lists.opaque(int(entity["id"]))}
        assert api.get("/documents", params=opaque).status_code == 400


def _fields(spec: dict[str, Any], name: str) -> dict[str, Any]:
    schema = spec["components"]["schemas"].get(name, {"properties": {}})
    found: dict[str, Any] = (schema if "properties" in schema else schema["allOf"][-1])[
        "properties"
    ]
    return found


def test_answers_no_file_documents(api: httpx.Client) -> None:
    refused = httpx.get(f"{api.base_url}credentials")
    past = api.get("/documents", params={"master_entity_id": companies(api)[0], "page": 999})
    found = {a.status_code: a.json() for a in (refused, past)}
    for status, body, source in ANSWERS:
        assert source
        assert body.items() <= found[status].items()


def test_lean_keys_are_those_published() -> None:
    assert set(spec()["components"]["schemas"]["DocumentDetail"]["properties"]) == LEAN


def test_traps_of_types(api: httpx.Client) -> None:
    rows = [row for _, _, row in every_document(api)]
    assert {type(r["sender_id"]) for r in rows} == {int}
    assert {type(r["receiver_id"]) for r in rows} == {str, type(None)}
    assert {type(r["amount_with_iva"]) for r in rows} == {float}
    abroad = [r for r in rows if r["dte_type_code"] == "110"]
    assert {type(r["exchange_rate"]) for r in abroad} == {str}
    assert {r["receiver_tax_id"] for r in abroad} == {"55555555-5"}
    references = [x for r in rows for x in r["references"]]
    assert {type(x["reference_folio"]) for x in references} == {int, str}
    assert {type(x["dte_type_code"]) for x in references} == {int, str}
    assert all(r["created_at"].endswith("Z") and "." in r["created_at"] for r in rows)
    for company in get(api, "/credentials"):
        assert company["master_entities"][0]["tax_id"].count(".") == 2
