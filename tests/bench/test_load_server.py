"""The bench's load server serves whatever a sync asks for, and changes as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from bench.fetch import documents_of
from bench.load.app import KEY
from bench.load.running import Server, load_server
from tupana_etl import pipeline, settings

DOCUMENTS = 350


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with load_server(tmp_path_factory.mktemp("load"), DOCUMENTS) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_new(server: Server) -> None:
    server.set(first=0, last=DOCUMENTS)


def test_a_sync_reads_every_document_with_lines_and_events(server: Server, tmp_path: Path) -> None:
    given = {
        "TUPANA_API_KEY": KEY,
        "TUPANA_BASE_URL": f"{server.url}/v1",
        "TUPANA_HOME": str(tmp_path / "home"),
    }
    result = pipeline.sync(settings.load(given, tmp_path), marts=False)
    assert result.complete
    with duckdb.connect(str(tmp_path / "home" / "warehouse.duckdb"), read_only=True) as con:
        counts = con.execute(
            """SELECT (SELECT count(*) FROM raw.documents), (SELECT count(*) FROM raw.rejects),
                (SELECT count(*) FROM raw.document_lines),
                (SELECT count(*) FROM raw.document_states)"""
        ).fetchone()
    assert counts == (DOCUMENTS, 0, 2 * DOCUMENTS, 2 * DOCUMENTS)
    assert server.counts().pages < 10, "no detail is read, and no page twice for nothing"


def listed(server: Server) -> list[dict[str, object]]:
    bodies: list[bytes] = []
    asyncio.run(documents_of(server.url, 1, bodies.append))
    return [row for body in bodies for row in json.loads(body)["results"]]


def test_rows_come_and_go_at_both_ends_while_pages_are_read(server: Server) -> None:
    server.set(first=10, last=DOCUMENTS, after=2, then_first=0, then_last=DOCUMENTS - 10)
    ids = [row["id"] for row in listed(server)]
    assert len(ids) == DOCUMENTS - 10
    assert len(set(ids)) < len(ids), "ten inserted rows push ten onto the next page again"
    assert len({row["id"] for row in listed(server)}) == DOCUMENTS - 10


def test_a_flipped_document_is_paid_or_not_and_nothing_else_changes(server: Server) -> None:
    before = listed(server)
    server.flip([7, 300])
    after = listed(server)
    changed = [n for n, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    assert sorted(changed) == [7, 300]
    for number in changed:
        assert after[number]["is_paid"] is not before[number]["is_paid"]
        assert after[number]["is_paid"] is server.world.is_paid(number)


def test_busy_and_broken_answers_come_as_often_as_told(server: Server) -> None:
    server.set(fail_every=2)
    with pytest.raises(ConnectionError, match="500"):
        listed(server)
    assert server.counts().refused == 1
