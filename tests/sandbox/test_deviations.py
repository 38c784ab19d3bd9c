"""Each switch of the server, seen by a client; the truth stays what it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tupana_etl.errors import ConfigError
from tupana_etl.sandbox.deviations import SWITCHES, checked
from tupana_etl.sandbox.server import DEMO_KEY, World, build, running
from tupana_etl.streams import STREAMS

from .batches import invoice
from .helpers import TODAY, Row, client, companies, get, post, read_all, truth

WORLD = World(documents=120, companies=2, months=6, seed=3, today=TODAY)
KEY = {"Authorization": f"Api-Key {DEMO_KEY}"}


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deviations") / "world.sqlite"
    build(WORLD, path)
    return path


@contextmanager
def served(database: Path, *names: str, **how: object) -> Iterator[httpx.Client]:
    world = replace(WORLD, deviations=frozenset(names), **how)  # type: ignore[arg-type]
    with running(database, world) as url, client(url) as api:
        yield api


def first_company(api: httpx.Client) -> int:
    found = truth(api, "master_entities")[0]["id"]
    return int(found)


def page(api: httpx.Client, **params: object) -> Row:
    asked = {"master_entity_id": first_company(api), "page_size": 30, **params}
    found: Row = get(api, "/documents", **asked)
    return found


def rows(api: httpx.Client, **params: object) -> list[Row]:
    """Every document of the first company's issued side, whatever the pages look like."""
    asked = {"master_entity_id": first_company(api), "page_size": 40, **params}
    found: list[Row] = []
    number = 1
    while True:
        answer = api.get(
            "/documents/", params={k: str(v) for k, v in {**asked, "page": number}.items()}
        )
        body = answer.json()
        if answer.status_code == 404 or not (part := body.get("results", [])):
            return found
        found += part
        number += 1


def test_unknown_or_contradicting_names_are_refused(database: Path) -> None:
    with pytest.raises(ConfigError, match="bare_array"), served(database, "bare_array"):
        pytest.fail("it started")
    with pytest.raises(ConfigError, match="not both"):
        checked({"past_end_404", "past_end_empty"})
    assert all(what and source for what, source in SWITCHES.values())


@pytest.mark.parametrize("name", sorted(SWITCHES))
def test_batches_are_accepted_in_every_shape(database: Path, tmp_path: Path, name: str) -> None:
    own = tmp_path / "world.sqlite"
    own.write_bytes(database.read_bytes())
    with served(own, name) as api:
        one = invoice(api)
        answer = api.post("/documents/batch/", json=[one], headers={"X-Use-Defaults": "true"})
        assert answer.status_code == 202
        assert [e["status"] for e in answer.json()["documents"]] == ["created"]
        batch = api.get(f"/documents/batch/{answer.json()['batch_id']}/").json()
        (entry,) = batch["documents"]
        assert entry["status"] == "success"
        assert str(entry["document"]["folio"]).startswith("SANDBOX-")
        assert float(entry["document"]["amount_with_iva"]) == 1190


def test_bare_arrays(database: Path) -> None:
    with served(database) as api:
        plain, keys = page(api)["results"], get(api, "/credentials")
    with served(database, "bare_arrays") as api:
        assert page(api) == plain
        mine = {"master_entity_id": first_company(api)}
        assert isinstance(get(api, "/cessions", **mine), list)
        assert isinstance(get(api, "/scheduled-documents", **mine), list)
        wrapped = get(api, "/credentials")
        assert (wrapped["count"], wrapped["results"]) == (len(keys), keys)
        assert len(get(api, "/webhooks")["results"]) == 2
        assert api.get("/credentials", params={"page": 2}).status_code == 404
        assert isinstance(get(api, f"/documents/{plain[0]['id']}"), dict)


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("no_total_pages", {"total_pages"}),
        ("no_next", {"next", "previous"}),
        ("no_count", {"count"}),
    ],
)
def test_missing_keys(database: Path, name: str, gone: set[str]) -> None:
    every = {"count", "total_pages", "next", "previous", "results"}
    with served(database, name) as api:
        assert set(page(api)) == every - gone


def test_past_the_end(database: Path) -> None:
    with served(database, "past_end_404") as api:
        mine = {"master_entity_id": first_company(api), "page": 999}
        assert api.get("/documents", params=mine).status_code == 404
    with served(database, "past_end_empty") as api:
        found = page(api, page=999)
        assert (found["results"], found["next"]) == ([], None)
        assert found["count"] > 0


def test_page_cap_and_foreign_next(database: Path) -> None:
    with served(database, "page_cap", "foreign_next") as api:
        found = page(api, page_size=100)
        assert len(found["results"]) == 50 or found["count"] < 50
        small = page(api, page_size=5)
        assert small["total_pages"] == -(-found["count"] // 5)
        link = urlsplit(small["next"])
        assert (link.scheme, link.netloc, link.path) == ("https", "evil.example", "/v1/documents")
        assert "page_size=5" in link.query


def test_slash_redirects(database: Path) -> None:
    with served(database, "slash_redirects") as api:
        document = truth(api, "documents")[0]["id"]
        mine = {"master_entity_id": str(first_company(api)), "page": "1"}
        moved = api.get("/documents", params=mine)
        assert moved.status_code == 301
        target = urlsplit(moved.headers["location"])
        assert (target.path, target.netloc) == (
            "/v1/documents/",
            urlsplit(str(api.base_url)).netloc,
        )
        assert api.get("/documents", params=mine, follow_redirects=True).json()["results"]
        assert api.get(f"/documents/{document}").status_code == 308
        detail = get(api, f"/documents/{document}/")
        assert httpx.get(detail["pdf"]).status_code == 200


def test_decimal_strings(database: Path) -> None:
    with served(database, list_rows="rich") as api:
        plain = rows(api)
    with served(database, "decimal_strings", list_rows="rich") as api:
        texts = rows(api)
        planned = get(api, "/scheduled-documents/", master_entity_id=first_company(api))
    for before, after in zip(plain, texts, strict=True):
        assert isinstance(after["amount_with_iva"], str)
        assert after["amount_with_iva"].partition(".")[2].isdigit()
        assert Decimal(after["amount_with_iva"]) == Decimal(str(before["amount_with_iva"]))
        assert isinstance(after["document_total"]["net_amount"], str)
        for old, new in zip(before["details"], after["details"], strict=True):
            assert Decimal(new["unit_price"]) == Decimal(str(old["unit_price"]))
            assert new["quantity"] == old["quantity"]
    assert all(isinstance(r["amount"], str) for r in planned["results"])


def test_mixed_ids(database: Path) -> None:
    with served(database) as api:
        plain = [r["id"] for r in rows(api)]
    with served(database, "mixed_ids") as api:
        found = rows(api)
        assert [int(r["id"]) for r in found] == plain
        assert {type(r["id"]) for r in found} == {str, int}
        assert rows(api) == found
        received = rows(api, document_type="received")
        assert {type(r["sender_id"]) for r in received} == {str, int}


def test_sandbox_folios(database: Path) -> None:
    with served(database) as api:
        before = truth(api, "documents")
    with served(database, "sandbox_folios") as api:
        told = {r["id"]: r for r in truth(api, "documents")}
        for row in rows(api):
            expected = told[str(row["id"])]
            assert row["folio"] == expected["folio"]
            assert row["folio"] in {None, f"SANDBOX-{row['id']}"}
            assert row["is_sandbox"] is expected["is_sandbox"] is True
        issued = next(r for r in rows(api) if r["folio"])
        states = get(api, f"/documents/{issued['id']}/states")
        assert states["folio"] == states["document"]["folio"] == issued["folio"]
        found = page(api, folio=issued["folio"])
        assert [r["id"] for r in found["results"]] == [issued["id"]]
        for company in companies(api):
            for cession in read_all(api, "/cessions", master_entity_id=company):
                assert cession["document_folio"] == f"SANDBOX-{cession['document_id']}"
        ceded = truth(api, "cessions")
        assert {r["document_folio"] for r in ceded} == {
            f"SANDBOX-{r['document_id']}" for r in ceded
        }
    with served(database) as api:
        assert truth(api, "documents") == before


def test_unknown_fields_and_new_names(database: Path) -> None:
    with served(database) as api:
        plain = rows(api)
    with served(database, "unknown_fields") as api:
        found = rows(api)
    extra = [set(new) - set(old) for old, new in zip(plain, found, strict=True)]
    assert {frozenset(e) for e in extra} == {frozenset(), frozenset({"risk_score", "nueva_clave"})}
    with served(database, "new_names") as api:
        found = rows(api)
        detail = get(api, f"/documents/{plain[0]['id']}")
    for old, new in zip(plain, found, strict=True):
        assert new["net_amount"] == old["amount_without_iva"]
        assert new["iva_amount"] == old["amount_iva"]
        assert new["dte_type"]["code"] == old["dte_type_code"]
        assert not {"amount_without_iva", "amount_iva", "dte_type_code"} & set(new)
    assert "pdf" not in detail
    assert detail["pdf_url"].startswith("http://127.0.0.1")


def test_null_dates(tmp_path: Path) -> None:
    database = tmp_path / "world.sqlite"
    with served(database) as api:
        before = {r["id"] for r in truth(api, "documents")}
    with served(database, "null_dates") as api:
        added = [r for r in truth(api, "documents") if r["id"] not in before]
        assert len(added) == 4
        assert {(r["date_issued"], r["state"], r["folio"]) for r in added} == {
            (None, "draft", None)
        }
        mine = {"master_entity_id": first_company(api)}
        plain = get(api, "/documents", page_size=100, **mine)
        assert plain["count"] == len(plain["results"])
        assert [r["date_issued"] for r in plain["results"][:2]] == [None, None]
        for asked in ({"issue_date_gte": "2000-01-01"}, {"issue_date_lte": "9999-12-31"}):
            assert get(api, "/documents", **mine, **asked)["count"] == plain["count"] - 2
        shown = get(api, f"/documents/{added[0]['id']}")
        assert shown["date_issued"] is None
    with served(database, "null_dates") as api:
        assert len({r["id"] for r in truth(api, "documents")}) == len(before) + 4


def test_truth_does_not_follow_the_shape(database: Path) -> None:
    shapes = set(SWITCHES) - {"null_dates", "sandbox_folios", "past_end_404"}
    with served(database) as api:
        before = {name: truth(api, name) for name in STREAMS}
    with served(database, *shapes) as api:
        assert {name: truth(api, name) for name in STREAMS} == before


def test_the_older_truth_is_what_it_can_show(database: Path) -> None:
    with served(database, contract="2026-04") as api:
        assert truth(api, "book_summaries") == truth(api, "sync_status") == []
        assert {r["opaque_id"] for r in truth(api, "master_entities")} == {None}
        shown = {
            (str(company), str(row["id"]))
            for company in companies(api)
            for row in read_all(api, "/cessions", master_entity_id=company)
        }
        told = truth(api, "cessions")
        assert {r["document_type"] for r in told} == {"issued"}
        assert {(r["master_entity_id"], r["id"]) for r in told} == shown
        entity = truth(api, "master_entities")[0]
        assert "opaque_id" not in get(api, "/master-entities", rut=entity["tax_id"])


def test_levers_take_many(tmp_path: Path) -> None:
    with served(tmp_path / "world.sqlite") as api:
        company = companies(api)[0]
        late = {"date": "2025-11-20", "n": 300, "document_type": "received"}
        made = post(api, "/_admin/add", company=company, **late)["document_ids"]
        post(api, "/_admin/pay", document_ids=made[:50])
        told = {int(r["id"]): r for r in truth(api, "documents")}
        assert {told[i]["date_issued"] for i in made} == {"2025-11-20"}
        assert {told[i]["is_paid"] for i in made[:50]} == {True}
        assert {told[i]["is_paid"] for i in made[50:]} == {False}
        post(api, "/_admin/delete", document_ids=made)
        assert not {int(r["id"]) for r in truth(api, "documents")} & set(made)
        gone = api.post("/_admin/pay", json={"document_ids": [made[0]]})
        assert gone.status_code == 404
