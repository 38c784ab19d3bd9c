"""A world's life: the same seed, restarts, the levers that change it, stopping."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tupana_etl.domain import utcnow
from tupana_etl.errors import ConfigError
from tupana_etl.sandbox import store
from tupana_etl.sandbox.server import World, build, running, serve
from tupana_etl.streams import STREAMS

from .helpers import (
    SMALL,
    TODAY,
    client,
    companies,
    every_document,
    get,
    post,
    truth,
)


def every_truth(api: httpx.Client) -> dict[str, list[dict[str, object]]]:
    return {name: truth(api, name) for name in STREAMS}


def test_stats_count_what_was_asked(tmp_path: Path) -> None:
    world = replace(SMALL, documents=20, latency_ms=150)
    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda _: get(api, "/credentials"), range(6)))
        api.get("/documents/480001/")
        stats = get(api, "/_admin/stats")
    assert stats["requests"] == 7
    assert stats["by_path"] == {"/credentials": 6, "/documents/{id}": 1}
    assert 2 <= stats["max_in_flight"] <= 6


def test_levers(fresh: httpx.Client) -> None:
    rows = truth(fresh, "documents")
    open_row = next(r for r in rows if r["has_trace"] and not r["is_paid"] and not r["has_claims"])
    document_id = open_row["id"]

    def shown() -> dict[str, object]:
        found: dict[str, object] = get(fresh, f"/documents/{document_id}")
        return found

    before = shown()
    post(fresh, "/_admin/pay", document_id=document_id)
    assert shown()["is_paid"] is True
    assert shown()["updated_at"] == before["updated_at"]
    post(fresh, "/_admin/unpay", document_id=int(document_id))
    assert {**shown(), "pdf": None} == {**before, "pdf": None}
    post(fresh, "/_admin/acknowledge", document_id=document_id)
    post(fresh, "/_admin/claim", document_id=document_id, event_code="RFT")
    states = get(fresh, f"/documents/{document_id}/states")["states"]
    assert [s["event_code"] for s in states][:2] == ["RFT", "ERM"]
    changed = next(r for r in truth(fresh, "documents") if r["id"] == document_id)
    assert (changed["has_claims"], changed["has_acknowledgments"]) == (True, True)
    post(fresh, "/_admin/delete", document_id=document_id)
    assert fresh.get(f"/documents/{document_id}").status_code == 404
    for stream in ("document_lines", "document_references", "document_states", "cessions"):
        assert not [r for r in truth(fresh, stream) if r["document_id"] == document_id]
    refused = fresh.post("/_admin/claim", json={"document_id": rows[1]["id"], "event_code": "X"})
    assert refused.status_code == 400
    assert fresh.post("/_admin/pay", content=b"not json").status_code == 400
    assert fresh.post("/_admin/pay", json={"document_id": 1}).status_code == 404


def test_added_documents_are_read_at_once(fresh: httpx.Client) -> None:
    company = companies(fresh)[1]
    before = {r["id"] for r in truth(fresh, "documents")}
    made = post(fresh, "/_admin/add", company=company, n=3, date="2026-11-02")["document_ids"]
    after = {r["id"]: r for r in truth(fresh, "documents")}
    assert set(after) - before == {str(i) for i in made}
    assert {after[str(i)]["date_issued"] for i in made} == {"2026-11-02"}
    post(fresh, "/_admin/delete", document_id=max(made))
    (again,) = post(fresh, "/_admin/add", company=company)["document_ids"]
    assert again > max(made)
    assert fresh.post("/_admin/add", json={"company": 1}).status_code == 400


def test_the_same_seed_is_the_same_world(tmp_path: Path) -> None:
    world = replace(SMALL, documents=120)
    found = []
    for name in ("a", "b"):
        with running(tmp_path / name, world) as url, client(url) as api:
            found.append((every_truth(api), every_document(api)))
    assert found[0] == found[1]
    other = tmp_path / "c"
    with running(other, replace(world, seed=99)) as url, client(url) as api:
        assert every_truth(api) != found[0][0]


def test_a_world_of_today_was_read_at_sii_within_its_rhythm(tmp_path: Path) -> None:
    world = World(documents=20, companies=6, months=1)
    before = utcnow()
    with running(tmp_path / "w", world) as url, client(url) as api:
        told = [
            api.get("/sync-status", params={"master_entity_id": company}).json()
            for company in companies(api)
        ]
    for t in told:
        oldest = before - timedelta(hours=t["sync_frequency_hours"], seconds=1)
        for kind in t["types"]:
            assert oldest <= datetime.fromisoformat(kind["last_success_at"]) <= utcnow()


def test_a_restart_keeps_the_world(tmp_path: Path) -> None:
    database = tmp_path / "w.sqlite"
    world = replace(SMALL, documents=60)
    with running(database, world) as url, client(url) as api:
        document_id = truth(api, "documents")[0]["id"]
        post(api, "/_admin/delete", document_id=document_id)
        post(api, "/_admin/add", company=companies(api)[0], n=2)
        before = every_truth(api)
    with running(database, replace(world, documents=5, seed=1)) as url, client(url) as api:
        assert every_truth(api) == before


def test_today_is_kept(tmp_path: Path) -> None:
    database = tmp_path / "w.sqlite"
    build(World(documents=5, companies=1, months=1, today=TODAY), database)
    with sqlite3.connect(database) as connection:
        assert store.today(connection) == TODAY


def test_a_taken_port_is_said(base: str, tmp_path: Path) -> None:
    port = urlsplit(base).port
    assert port is not None
    with (
        pytest.raises(ConfigError, match=str(port)),
        running(tmp_path / "w.sqlite", World(documents=0), port=port),
    ):
        pytest.fail("it started")


def test_ctrl_c_stops_a_server_in_the_foreground(tmp_path: Path) -> None:
    database, port = tmp_path / "w.sqlite", free_port()
    world = World(documents=20, companies=1, months=2, today=TODAY)
    process = get_context("spawn").Process(
        target=serve, args=(database, world), kwargs={"port": port}
    )
    process.start()
    assert answers(f"http://127.0.0.1:{port}/v1/credentials")
    os.kill(process.pid or 0, signal.SIGINT)
    process.join(10)
    assert process.exitcode is not None
    assert [p.name for p in tmp_path.iterdir()] == ["w.sqlite"]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answers(url: str) -> bool:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with suppress(httpx.ConnectError):
            return httpx.get(url).status_code == 401
        time.sleep(0.05)
    return False
