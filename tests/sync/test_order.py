"""What a first sync asks, and in which order: no page twice, no round for nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from tupana_etl.api.reads import Company
from tupana_etl.extract import extraction
from tupana_etl.extract.windows import Window
from tupana_etl.streams import STREAMS

from .helpers import Site, differences, tampered, unpublished

START = date(2024, 11, 1)
COMPANY = Company("7", "76086428-5", "")


@contextmanager
def told(here: Site) -> Iterator[tuple[Site, list[tuple[str, dict[str, str]]]]]:
    """The site, and what is asked of it, in order."""
    asked: list[tuple[str, dict[str, str]]] = []

    def note(request: Request, body: Any) -> tuple[int, Any]:
        asked.append((request.url.path.removeprefix("/v1"), dict(request.query_params)))
        return 200, body

    with tampered(here, note) as there:
        yield there, asked


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with unpublished(tmp_path_factory.mktemp("order"), documents=600) as here:
        yield here


def test_no_page_is_asked_twice_and_few_windows_are_cut(
    world: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extraction, "WINDOW_ROWS", 40)
    with told(world.with_settings(home=tmp_path / "home")) as (here, asked):
        result = here.sync()
        assert result.complete
        assert not differences(here)
    pages = [q for path, q in asked if path == "/documents" and q["page_size"] == "100"]
    assert max(Counter(tuple(sorted(q.items())) for q in pages).values()) == 1
    read = sum(stream.windows for stream in result.streams if stream.stream == "documents")
    begun = sum(q["page"] == "1" for q in pages)
    # Halving would throw a first page away for every window but one of a listing.
    assert read > 12
    assert begun - read < read / 2


def test_documents_go_before_the_lists(world: Site, tmp_path: Path) -> None:
    alone = world.with_settings(home=tmp_path / "home", max_concurrency=1)
    with told(alone) as (here, asked):
        assert here.sync().complete
    paths = [path for path, _ in asked]
    last = max(n for n, (p, q) in enumerate(asked) if p == "/documents" and q["page_size"] != "1")
    before, after = paths[:last], paths[last:]
    assert before.count("/book-summaries") < after.count("/book-summaries")


def test_rows_are_counted_by_date_only_where_dates_are_filtered(tmp_path: Path) -> None:
    with (
        unpublished(tmp_path, documents=40, contract="2026-04") as older,
        told(older) as (here, asked),
    ):
        assert here.sync().complete
    sizes = [q for path, q in asked if path == "/documents" and q.get("page_size") == "1"]
    assert {q.get("issue_date_gte") for q in sizes} <= {None, "9000-01-01"}


@given(st.integers(0, 800), st.integers(2, 1_000_000), st.integers(20, 5_000), st.booleans())
def test_the_parts_of_a_window_are_the_window(
    days: int, count: int, rows: int, is_open: bool
) -> None:
    end = START + timedelta(days=days)
    window = Window(STREAMS["documents"], COMPANY, "issued", START, None if is_open else end)
    parts = window.parts(count, rows, end)
    assert (parts[0].date_from, parts[-1].date_to) == (window.date_from, window.date_to)
    for before, after in pairwise(parts):
        assert before.date_from
        assert before.date_to
        assert after.date_from
        assert before.date_from <= before.date_to == after.date_from - timedelta(days=1)
    assert len(parts) > 1 or days == 0
