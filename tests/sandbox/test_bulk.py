"""Worlds made in bulk: as true as the small ones, and as cheap a page at any depth."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tupana_etl.errors import ConfigError
from tupana_etl.sandbox import bulk, schema
from tupana_etl.sandbox.server import World, running

from .helpers import TODAY, client, companies, every_document, get, post, read_all, truth
from .test_truth import children, compare

WORLD = World(documents=701, companies=2, months=6, seed=3, today=TODAY)


@contextmanager
def opened(database: Path) -> Iterator[httpx.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "FROM", 500)
        patch.setattr(bulk, "TEMPLATE", 150)
        with running(database, WORLD) as url, client(url) as found:
            yield found


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A world that no test changes."""
    with opened(tmp_path_factory.mktemp("bulk") / "world.sqlite") as found:
        yield found


@pytest.fixture
def moved(tmp_path: Path) -> Iterator[httpx.Client]:
    """A world of a test's own."""
    with opened(tmp_path / "world.sqlite") as found:
        yield found


def test_a_copy_is_a_document_like_any(api: httpx.Client) -> None:
    told = truth(api, "documents")
    assert len({r["id"] for r in told}) == 701
    issued = {(r["sender_tax_id"], r["dte_type_code"], r["folio"], r["id"]) for r in told}
    numbered = [key[:3] for key in issued if key[2] is not None]
    assert len(set(numbered)) == len(numbered)
    asked = {"include_trace_events": "true", "include_book_metadata": "true"}
    rows = [
        {"master_entity_id": company, "document_type": side, "document_id": row["id"], **row}
        for company, side, row in every_document(api, **asked)
    ]
    compare("documents", told, rows)
    compare("document_lines", truth(api, "document_lines"), children(rows, "details"))
    compare("document_references", truth(api, "document_references"), children(rows, "references"))
    detail = get(api, f"/documents/{rows[-1]['id']}")
    assert detail["id"] == rows[-1]["id"]
    assert detail["folio"] == rows[-1]["folio"]
    ceded = [
        {"master_entity_id": company, "document_type": side, **row}
        for company in companies(api)
        for side in ("issued", "received")
        for row in read_all(api, "/cessions", master_entity_id=company, document_type=side)
    ]
    compare("cessions", truth(api, "cessions"), ceded)


@pytest.mark.parametrize("stream", ["documents", "document_lines", "document_states", "cessions"])
def test_digests_add_up_the_truth(api: httpx.Client, stream: str) -> None:
    rows = truth(api, stream)
    digest = get(api, f"/_admin/truth/{stream}", digest=1)
    name = "id" if "id" in rows[0] else "document_id"
    assert (digest["rows"], digest["ids"]) == (len(rows), len({r[name] for r in rows}))
    if stream == "documents":
        total = sum(Decimal(r["amount_with_iva"]) for r in rows)
        assert Decimal(digest["amount_with_iva"]) == total
    assert api.get("/_admin/truth/nothing", params={"digest": "1"}).status_code == 404


def test_a_lever_moves_one_copy(moved: httpx.Client) -> None:
    before = {r["id"]: r for r in truth(moved, "documents")}
    lines = truth(moved, "document_lines")
    chosen = next(r for r in before.values() if r["has_trace"] and not r["is_paid"])
    post(moved, "/_admin/pay", document_id=chosen["id"])
    post(moved, "/_admin/claim", document_id=chosen["id"])
    after = {r["id"]: r for r in truth(moved, "documents")}
    assert {i for i in before if before[i] != after[i]} == {chosen["id"]}
    assert truth(moved, "document_lines") == lines
    shown = get(moved, f"/documents/{chosen['id']}")
    assert shown["is_paid"] is True
    assert shown["traces"][0]["events"][0]["event_code"] == "RCD"
    (made,) = post(moved, "/_admin/add", company=companies(moved)[0])["document_ids"]
    assert made > max(map(int, before))
    post(moved, "/_admin/delete", document_ids=[made, chosen["id"]])
    assert set(before) - {r["id"] for r in truth(moved, "documents")} == {chosen["id"]}
    post(moved, "/_admin/clock", days=3)


def test_pages_in_any_order_are_the_same_list(api: httpx.Client) -> None:
    asked = {"master_entity_id": companies(api)[0], "document_type": "issued", "page_size": 7}
    last = get(api, "/documents", **asked)["total_pages"]
    order = [last, 1, 9, 4, 5, 2, 3, *range(1, last + 1)]
    found = {
        n: [r["id"] for r in get(api, "/documents", page=n, **asked)["results"]] for n in order
    }
    joined = [i for n in range(1, last + 1) for i in found[n]]
    assert joined == [
        r["id"] for r in read_all(api, "/documents", master_entity_id=companies(api)[0])
    ]
    assert len(set(joined)) == len(joined)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "world.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION - 1}")
        connection.execute("CREATE TABLE meta (name TEXT)")
    with pytest.raises(ConfigError, match="another version"), running(database, WORLD):
        pytest.fail("it started")
