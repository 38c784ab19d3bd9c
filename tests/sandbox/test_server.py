"""Serving: keys, pages, filters, parts, files and contracts, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tupana_etl.arrow.dte_xml import parse_dte
from tupana_etl.sandbox import lists
from tupana_etl.sandbox.server import DEMO_KEY, running

from .helpers import (
    SMALL,
    Row,
    client,
    companies,
    every_document,
    get,
    read_all,
    truth,
)
from .test_contract import LEAN


@pytest.mark.parametrize("header", [None, "Api-Key wrong", DEMO_KEY, f"Bearer {DEMO_KEY}", "é"])
def test_a_wrong_key_opens_nothing(base: str, header: str | None) -> None:
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    for path in ("/credentials", "/documents/", "/cessions/1", "/_admin/stats"):
        answer = httpx.get(base + path, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error_code"] == "INVALID_API_KEY"


def test_each_answer_has_a_request_id(api: httpx.Client) -> None:
    found = [api.get("/credentials").headers["x-request-id"] for _ in range(3)]
    assert len(set(found)) == 3


def test_with_and_without_slash(api: httpx.Client) -> None:
    assert get(api, "/credentials") == get(api, "/credentials/")
    company = companies(api)[0]
    one = get(api, "/documents", master_entity_id=company)
    two = get(api, "/documents/", master_entity_id=company)
    assert one["results"] == two["results"]


def test_pages_hold_every_document_once_in_order(api: httpx.Client) -> None:
    expected = {
        (r["master_entity_id"], r["document_type"], r["id"]) for r in truth(api, "documents")
    }
    found = [(str(c), side, str(row["id"])) for c, side, row in every_document(api)]
    assert len(found) == len(set(found))
    assert set(found) == expected
    for company in companies(api):
        rows = read_all(api, "/documents", master_entity_id=company)
        keys = [(r["date_issued"], r["id"]) for r in rows]
        assert keys == sorted(keys, reverse=True)


def test_links_keep_every_parameter(api: httpx.Client) -> None:
    company = companies(api)[0]
    asked = {"master_entity_id": company, "dte_type__code__in": "33,61", "page_size": 7, "page": 2}
    answer = get(api, "/documents", **asked)
    assert parse_qs(urlsplit(answer["previous"]).query)["page"] == ["1"]
    after = parse_qs(urlsplit(answer["next"]).query)
    assert after == {**{k: [str(v)] for k, v in asked.items()}, "page": ["3"]}
    assert httpx.get(answer["next"], headers=api.headers).json()["results"]
    first = get(api, "/documents", **{**asked, "page": 1})
    assert first["previous"] is None
    last = get(api, "/documents", **{**asked, "page": answer["total_pages"]})
    assert last["next"] is None


def test_past_the_end_and_nonsense_pages(api: httpx.Client) -> None:
    company = companies(api)[0]
    for page in ("9999", "0", "x", "-1"):
        answer = api.get("/documents", params={"master_entity_id": company, "page": page})
        assert (answer.status_code, answer.json()) == (404, {"detail": "Invalid page."})
    big = get(api, "/documents", master_entity_id=company, page_size=5000)
    assert len(big["results"]) == 100
    plain = get(api, "/documents", master_entity_id=company)
    assert len(plain["results"]) == 20
    nothing = get(api, "/documents", master_entity_id=company, search="no such name")
    assert (nothing["count"], nothing["total_pages"], nothing["results"]) == (0, 1, [])


def test_which_company(api: httpx.Client) -> None:
    company = companies(api)[0]
    by_opaque = get(api, "/documents", master_entity_id=lists.opaque(company))
    assert by_opaque["results"] == get(api, "/documents", master_entity_id=company)["results"]
    strangers = {r["receiver_id"] for r in truth(api, "documents") if r["receiver_id"]}
    stranger = next(s for s in sorted(strangers) if int(s) not in companies(api))
    for path in ("/documents", "/cessions", "/scheduled-documents", "/sync-status"):
        assert api.get(path).status_code == 400
        assert api.get(path, params={"master_entity_id": "abc"}).status_code == 400
        assert api.get(path, params={"master_entity_id": 1}).status_code == 404
        assert api.get(path, params={"master_entity_id": stranger}).status_code == 403


def test_filters(api: httpx.Client) -> None:
    company = companies(api)[0]
    rows = read_all(api, "/documents", master_entity_id=company, document_type="received")

    def asked(**params: object) -> list[int]:
        found = read_all(
            api, "/documents", master_entity_id=company, document_type="received", **params
        )
        return sorted(r["id"] for r in found)

    def kept(keep: Callable[[Row], bool]) -> list[int]:
        return sorted(r["id"] for r in rows if keep(r))

    row = next(r for r in rows if r["dte_type_code"] == "33" and r["folio"])
    day, issuer = row["date_issued"], row["sender_tax_id"]
    assert asked(folio=row["folio"], issue_date_gte="2030-01-01") == kept(
        lambda r: r["folio"] == row["folio"]
    )
    assert asked(issue_date_gte=day) == kept(lambda r: r["date_issued"] >= day)
    assert asked(issue_date_lte=day) == kept(lambda r: r["date_issued"] <= day)
    assert asked(issuer_tax_id=issuer) == kept(lambda r: r["sender_tax_id"] == issuer)
    assert asked(search=issuer[:6]) == kept(lambda r: issuer[:6] in r["sender_tax_id"])
    assert asked(dte_type__code__in="34,61") == kept(lambda r: r["dte_type_code"] in {"34", "61"})
    received = {
        r["id"]: r["book_metadata"]["reception_date"]
        for r in read_all(
            api,
            "/documents",
            master_entity_id=company,
            document_type="received",
            include_book_metadata="true",
        )
        if r["book_metadata"]
    }
    sometime = sorted(received.values())[len(received) // 2]
    assert set(asked(reception_date_from=sometime)) >= {
        i for i, at in received.items() if at >= sometime
    }
    bad = {"master_entity_id": str(company), "issue_date_gte": "yesterday"}
    assert api.get("/documents", params=bad).status_code == 400


def test_own_metadata(api: httpx.Client) -> None:
    company = companies(api)[0]
    rows = read_all(api, "/documents", master_entity_id=company)
    row = next(r for r in rows if r["json_param"])
    key = row["json_param"]["external_order_id"]
    found = get(api, "/documents", master_entity_id=company, json_param__external_order_id=key)
    assert [r["id"] for r in found["results"]] == [row["id"]]
    assert get(api, "/documents", master_entity_id=company, json_param__1="x")["count"] == 0
    bad = {"master_entity_id": str(company), "json_param__a'b": "x"}
    assert api.get("/documents", params=bad).status_code == 400


def test_opt_in_parts(api: httpx.Client) -> None:
    company = companies(api)[0]
    plain = get(api, "/documents", master_entity_id=company)["results"][0]
    assert not {"traces", "book_metadata", "pdf", "xml"} & set(plain)
    full = get(api, f"/documents/{plain['id']}")
    assert {"traces", "pdf", "xml", "book_metadata"} <= set(full)
    assert set(plain) <= set(full)
    assert all(full[k] == v for k, v in plain.items())


def test_detail_of_a_stranger_and_of_nobody(base: str, api: httpx.Client) -> None:
    assert api.get("/documents/1").status_code == 404
    assert api.get("/documents/nope").status_code == 404
    assert api.post("/documents/1").status_code == 404


def test_lean_and_rich(tmp_path: Path) -> None:
    world = replace(SMALL, documents=60)
    database = tmp_path / "w.sqlite"
    with running(database, replace(world, list_rows="lean")) as url, client(url) as api:
        lean = [row for _, _, row in every_document(api)]
        assert {frozenset(r) for r in lean} == {frozenset(LEAN)}
        assert get(api, f"/documents/{lean[0]['id']}")["details"]
    with running(database, world) as url, client(url) as api:
        rich = [row for _, _, row in every_document(api)]
    assert [{k: r[k] for k in LEAN} for r in rich] == lean


def test_the_older_contract(tmp_path: Path) -> None:
    world = replace(SMALL, documents=200, contract="2026-04")
    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        mine = {"master_entity_id": companies(api)[0]}
        plain = get(api, "/documents", **mine)
        ignored = {"issue_date_gte": "2030-01-01", "json_param__a'b": "x"}
        assert get(api, "/documents", **mine, **ignored)["results"] == plain["results"]
        told = get(api, "/documents", include_trace_events="true", **mine)["results"][0]
        assert not {"traces", "latest_trace_info", "has_trace", "book_metadata"} & set(told)
        assert api.get("/book-summaries", params=mine).status_code == 404
        assert api.get("/sync-status", params=mine).status_code == 404
        one = get(api, "/cessions", **mine)
        assert get(api, "/cessions", document_type="received", **mine) == one


def test_looking_up_an_unknown_rut_creates_it(fresh: httpx.Client) -> None:
    rut = "77777777-7"
    assert get(fresh, "/_admin/stats")["entities_created"] == 0
    one, two = (get(fresh, "/master-entities", rut=rut) for _ in range(2))
    assert one == two
    assert one["tax_id"] == "77.777.777-7"
    assert get(fresh, "/_admin/stats")["entities_created"] == 1
    for bad in ("", "77.777.777-7", "x"):
        assert fresh.get("/master-entities", params={"rut": bad}).status_code == 400
    assert fresh.get("/master-entities", params={"rut": "77777777-8"}).status_code == 404


def test_files(base: str, api: httpx.Client) -> None:
    rows = {r["dte_type_code"]: r for r in truth(api, "documents") if r["state"] == "issued"}
    for kind in ("33", "61", "110", "46"):
        detail = get(api, f"/documents/{rows[kind]['id']}")
        pdf = httpx.get(detail["pdf"])
        assert pdf.status_code == 200
        assert pdf.content.startswith(b"%PDF-1.4")
        assert pdf.content.rstrip().endswith(b"%%EOF")
        assert httpx.get(detail["pdf"] + "0").status_code == 403
        dead = detail["pdf"].replace("expires=1", "expires=0")
        assert httpx.get(dead).status_code == 403
        dte = parse_dte(get_bytes(api, f"/documents/{rows[kind]['id']}/files/xml"))
        assert (dte.dte_type, dte.folio) == (kind, rows[kind]["folio"])
        assert str(dte.total) == rows[kind]["amount_with_iva"]
        assert dte.issuer_rut == rows[kind]["sender_tax_id"]
        assert dte.currency == rows[kind]["currency"]
    assert httpx.get(f"{base}/documents/480001/files/xml").status_code == 403


def get_bytes(api: httpx.Client, path: str) -> bytes:
    answer = api.get(path)
    assert answer.status_code == 200
    return answer.content


def test_small_lists_by_company_and_filter(api: httpx.Client) -> None:
    company = companies(api)[0]
    assert len(get(api, "/webhooks")) == 3
    (hook,) = get(api, "/webhooks", master_entity_id=company)
    assert hook["secret"].startswith("whsec_")
    planned = read_all(api, "/scheduled-documents", master_entity_id=company)
    active = read_all(api, "/scheduled-documents", master_entity_id=company, status="active")
    assert active == [s for s in planned if s["status"] == "active"]
    ceded = [r for c in companies(api) for r in read_all(api, "/cessions", master_entity_id=c)]
    assert {r["status"] for r in ceded} >= {"success"}
    sales = get(
        api, "/book-summaries", master_entity_id=company, period="202610", operation="VENTA"
    )
    assert {r["operation"] for r in sales["results"]} == {"VENTA"}
    assert sales["is_enabled"] is True
    for bad in ({"period": "2026"}, {"period": "202613"}, {"period": "202610", "operation": "X"}):
        params = {"master_entity_id": str(company), **bad}
        assert api.get("/book-summaries", params=params).status_code == 400
