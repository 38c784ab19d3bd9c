"""Faults over real HTTP: what a client sees, how often, and what it does to the truth."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tupana_etl.sandbox import draws, kinds
from tupana_etl.sandbox.server import World, running

from .helpers import TODAY, client, companies, get, post, read_all, truth

BROKEN = (httpx.RemoteProtocolError, httpx.ReadError)


def play(api: httpx.Client, *faults: dict[str, Any]) -> None:
    post(api, "/_admin/faults", faults=list(faults))


def hits(api: httpx.Client) -> list[int]:
    return [f["hits"] for f in get(api, "/_admin/faults")["faults"]]


def listed(api: httpx.Client, **params: object) -> httpx.Response:
    asked = {"master_entity_id": "2205607", **{k: str(v) for k, v in params.items()}}
    return api.get("/documents", params=asked)


def test_a_script_is_replaced_counted_and_cleared(fresh: httpx.Client) -> None:
    play(fresh, {"kind": "500", "path": "/documents", "skip": 1, "times": 2})
    assert fresh.get("/credentials").status_code == 200
    assert [listed(fresh).status_code for _ in range(4)] == [200, 500, 500, 200]
    (fault,) = get(fresh, "/_admin/faults")["faults"]
    assert fault == {
        "method": "",
        "seconds": None,
        "kind": "500",
        "path": "/documents",
        "company": "",
        "skip": 1,
        "times": 2,
        "argument": None,
        "seen": 4,
        "hits": 2,
    }
    play(fresh, {"kind": "500", "times": None})
    assert {fresh.get(p).status_code for p in ("/credentials", "/webhooks", "/x")} == {500}
    assert truth(fresh, "documents")
    assert httpx.get(f"{fresh.base_url}credentials").status_code == 401
    play(fresh)
    assert fresh.get("/credentials").status_code == 200
    for bad in ({"kind": "nope"}, {"kind": "empty"}, {"kind": "500", "skip": "x"}, "x"):
        assert fresh.post("/_admin/faults", json={"faults": [bad]}).status_code == 400
    assert fresh.post("/_admin/faults", json={}).status_code == 400


def test_statuses(fresh: httpx.Client) -> None:
    play(
        fresh,
        {"kind": "429", "argument": 3},
        {"kind": "429", "argument": "date"},
        {"kind": "429"},
        {"kind": "503", "argument": 1},
        {"kind": "503"},
        {"kind": "502_html"},
        {"kind": "not_json"},
        {"kind": "401"},
    )
    found = [listed(fresh) for _ in range(9)]
    assert [a.status_code for a in found] == [429, 429, 429, 503, 503, 502, 200, 401, 200]
    after = [a.headers.get("retry-after") for a in found]
    assert (after[0], after[2:5]) == ("3", [None, "1", None])
    assert parsedate_to_datetime(after[1] or "").year >= 2026
    for html in found[5:7]:
        assert html.headers["content-type"].startswith("text/html")
        assert html.text.startswith("<html>")
    assert all("x-request-id" in a.headers for a in found)
    assert hits(fresh) == [1] * 8


@pytest.mark.parametrize("kind", ["reset", "reset_body"])
def test_connections_break(fresh: httpx.Client, kind: str) -> None:
    play(fresh, {"kind": kind, "times": 2})
    for _ in range(2):
        with pytest.raises(BROKEN):
            listed(fresh, page_size=100)
    assert listed(fresh).status_code == 200
    play(fresh, {"kind": kind})
    began = []
    with pytest.raises(BROKEN), fresh.stream("GET", "/webhooks") as answer:  # noqa: PT012
        began.append(answer.status_code)
        answer.read()
    assert began == ([200] if kind == "reset_body" else [])


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_connections_break_on_either_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, http: str
) -> None:
    import uvicorn

    pytest.importorskip(http)
    config = uvicorn.Config
    monkeypatch.setattr(uvicorn, "Config", lambda *a, **k: config(*a, **{**k, "http": http}))
    world = World(documents=30, companies=1, months=2, seed=3, today=TODAY)
    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        play(api, {"kind": "reset"}, {"kind": "reset_body"})
        for _ in range(2):
            with pytest.raises(BROKEN):
                listed(api)
        assert listed(api).status_code == 200


def test_bodies_are_cut_or_slow(fresh: httpx.Client) -> None:
    whole = listed(fresh)
    play(fresh, {"kind": "truncated"}, {"kind": "slow", "argument": 300})
    cut = listed(fresh)
    assert cut.status_code == 200
    assert whole.content.startswith(cut.content)
    assert len(cut.content) == int(cut.headers["content-length"]) == len(whole.content) // 2
    with pytest.raises(json.JSONDecodeError):
        cut.json()
    began = time.monotonic()
    assert listed(fresh).content == whole.content
    assert time.monotonic() - began >= 0.3


def test_a_company_is_refused_hidden_or_empty(fresh: httpx.Client) -> None:
    one, two = (str(c) for c in companies(fresh))
    sides: dict[str, set[str]] = {}
    for row in truth(fresh, "documents"):
        sides.setdefault(row["id"], set()).add(row["master_entity_id"])
    alone = next(i for i, seen in sides.items() if seen == {one})
    play(fresh, {"kind": "403_company", "company": int(one), "times": None})
    assert listed(fresh, master_entity_id=one).status_code == 403
    assert listed(fresh, master_entity_id=two).status_code == 200
    assert fresh.get(f"/documents/{alone}").status_code == 200
    play(fresh, {"kind": "hide_company", "company": one, "times": None})
    assert companies(fresh) == [int(two)]
    for path in ("/documents", "/cessions", "/sync-status"):
        assert fresh.get(path, params={"master_entity_id": one}).status_code == 403
    assert fresh.get(f"/documents/{alone}").status_code == 403
    assert listed(fresh, master_entity_id=two).status_code == 200
    play(fresh, {"kind": "empty", "company": one, "path": "/documents"})
    nothing = listed(fresh, master_entity_id=one).json()
    assert (nothing["count"], nothing["results"], nothing["next"]) == (0, [], None)
    assert listed(fresh, master_entity_id=one).json()["count"] > 0


def test_documents_come_and_go_while_paging(fresh: httpx.Client) -> None:
    company = companies(fresh)[0]
    asked = {"master_entity_id": company, "document_type": "received"}
    before = {r["id"] for r in truth(fresh, "documents")}
    play(
        fresh,
        {"kind": "insert_while_paging", "company": company, "skip": 1},
        {"kind": "delete_while_paging", "company": company, "skip": 2},
    )
    counts = [get(fresh, "/documents", page_size=10, **asked)["count"] for _ in range(4)]
    assert counts == [counts[0], counts[0] + 1, counts[0], counts[0]]
    assert {r["id"] for r in truth(fresh, "documents")} == before, "the newest was the new one"
    play(fresh, {"kind": "delete_while_paging"})
    read = read_all(fresh, "/documents", **asked)
    gone = before - {r["id"] for r in truth(fresh, "documents")}
    assert len(gone) == 1
    assert not gone & {str(r["id"]) for r in read}
    play(fresh, {"kind": "insert_while_paging", "argument": "2026-07-01"})
    listed(fresh)
    (new,) = {r["id"] for r in truth(fresh, "documents")} - before
    assert get(fresh, f"/documents/{new}")["date_issued"] == "2026-07-01"


def test_rows_are_spoiled_and_the_truth_is_not(fresh: httpx.Client) -> None:
    plain, told = listed(fresh).json()["results"], truth(fresh, "documents")
    play(
        fresh,
        {"kind": "wrong_types", "path": "/documents"},
        {"kind": "wrong_types", "argument": "created_at"},
        {"kind": "unknown_fields"},
    )
    assert listed(fresh, search="nobody at all").json()["results"] == []
    assert hits(fresh) == [0, 0, 0], "an empty page has no row to spoil"
    for name in ("amount_with_iva", "created_at"):
        found = listed(fresh).json()["results"]
        wrong = [i for i, (a, b) in enumerate(zip(plain, found, strict=True)) if a != b]
        assert len(wrong) == 1
        assert isinstance(found[wrong[0]][name], dict)
    found = listed(fresh).json()["results"]
    assert ["campo_nuevo" in r for r in found] == [i % 2 == 0 for i in range(len(found))]
    assert listed(fresh).json()["results"] == plain
    assert truth(fresh, "documents") == told


def test_random_scripts_repeat_and_differ() -> None:
    own = ["2205607", "2205608"]
    assert draws.reading(17, own, 6) == draws.reading(17, own, 6)
    assert len({str(draws.reading(seed, own)) for seed in range(50)}) == 50
    drawn = [f for seed in range(200) for f in draws.reading(seed, own)]
    assert {f.kind for f in drawn} == set(kinds.READING) - {"401"}
    assert all(f.times for f in drawn), "each ends by itself"
    assert all(f.kind not in {"empty", "hide_company"} for f in draws.reading(5, [], 300))


def test_random_scripts_are_switched_on(tmp_path: Path) -> None:
    world = World(documents=30, companies=2, months=2, seed=3, today=TODAY, faults=17)
    expected = [asdict(f) for f in draws.reading(17, ["2205607", "2205608"])]

    def asked(api: httpx.Client) -> list[dict[str, Any]]:
        found = get(api, "/_admin/faults")["faults"]
        return [{k: v for k, v in f.items() if k not in {"seen", "hits"}} for f in found]

    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        assert asked(api) == expected
        post(api, "/_admin/faults", faults=[])
        assert post(api, "/_admin/faults", seed=17, n=6) == {
            "faults": [{**f, "seen": 0, "hits": 0} for f in expected]
        }
    with running(tmp_path / "w.sqlite", replace(world, faults=None)) as url, client(url) as api:
        assert asked(api) == []


def test_every_random_fault_passes(tmp_path: Path) -> None:
    """Whatever is drawn, a client that keeps asking gets its answers in the end."""
    world = World(documents=60, companies=2, months=3, seed=3, today=TODAY)
    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        one, two = companies(api)
        reads: list[Callable[[], httpx.Response]] = [
            lambda: api.get("/credentials"),
            lambda: listed(api, master_entity_id=one),
            lambda: listed(api, master_entity_id=two, document_type="received"),
            lambda: api.get("/cessions", params={"master_entity_id": one}),
        ]
        for seed in range(6):
            drawn = draws.reading(seed, [str(one), str(two)], 5)
            quick = [replace(f, argument=20) if f.kind == "slow" else f for f in drawn]
            play(api, *(asdict(f) for f in quick))
            for _ in range(70):
                for read in reads:
                    try:
                        read()
                    except BROKEN:
                        continue
            left = get(api, "/_admin/faults")["faults"]
            stuck = [f for f in left if f["hits"] < f["times"] and f["kind"] not in _NEED_ROWS]
            assert not stuck, seed


_NEED_ROWS = {"wrong_types", "empty", "unknown_fields", "delete_while_paging"}
"""May run out of rows to spoil in so small a world."""
