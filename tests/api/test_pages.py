"""Paging: every row once, in order, several pages at once, whatever the envelope."""

from __future__ import annotations

import asyncio
import json as stdlib_json
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.api.client import Client, Reply
from tupana_etl.api.pages import Page, PageFacts, parse_page, read_pages, torn
from tupana_etl.errors import CompanyRefused, NotFound, ServerError

from .conftest import MakeClient
from .server import Server, json

ENVELOPES = ("full", "no_total", "count_only", "total_only", "next_only", "results", "bare")


@dataclass(frozen=True)
class Listing:
    """A list of ``rows`` rows with ids 1, 2, … that never serves more than ``cap``."""

    rows: int
    envelope: str = "full"
    cap: int = 100
    past_the_end: int = 404
    latency: float = 0.0

    async def __call__(self, request: Request) -> Response:
        await asyncio.sleep(self.latency)
        number = int(request.query_params.get("page", "1"))
        size = min(self.cap, int(request.query_params.get("page_size", "20")))
        pages = max(1, ceil(self.rows / size))
        if number > pages and self.past_the_end == 404:
            return json('{"detail": "Invalid page."}', 404)
        ids = range((number - 1) * size + 1, min(number * size, self.rows) + 1)
        return json(stdlib_json.dumps(self.wrap([{"id": i} for i in ids], number, pages)))

    def wrap(self, rows: list[Any], number: int, pages: int) -> Any:
        link = f"/v1/documents?page={number + 1}" if number < pages else None
        whole = {
            "count": self.rows,
            "total_pages": pages,
            "next": link,
            "previous": None,
            "results": rows,
        }
        keys = {
            "full": tuple(whole),
            "no_total": ("count", "next", "previous", "results"),
            "count_only": ("count", "results"),
            "total_only": ("total_pages", "results"),
            "next_only": ("next", "results"),
            "results": ("results",),
        }
        return rows if self.envelope == "bare" else {k: whole[k] for k in keys[self.envelope]}


async def read(client: Client, page_size: int = 100, first: Page | None = None) -> list[Page]:
    async with client:
        pages = read_pages(
            client, "/documents", {"master_entity_id": "7"}, page_size=page_size, first=first
        )
        return [page async for page in pages]


def ids(pages: list[Page]) -> list[int]:
    return [row["id"] for page in pages for row in stdlib_json.loads(page.rows)]


@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.integers(0, 60),
    envelope=st.sampled_from(ENVELOPES),
    page_size=st.integers(1, 25),
    cap=st.integers(1, 25),
    past_the_end=st.sampled_from([404, 200]),
    most=st.integers(1, 5),
)
def test_each_row_comes_once_and_in_order(
    *,
    server: Server,
    client_of: MakeClient,
    rows: int,
    envelope: str,
    page_size: int,
    cap: int,
    past_the_end: int,
    most: int,
) -> None:
    server.handle = Listing(rows, envelope, cap, past_the_end)
    pages = asyncio.run(read(client_of(server.base_url, most=most), page_size))
    assert ids(pages) == list(range(1, rows + 1))
    assert [page.number for page in pages] == list(range(1, len(pages) + 1))
    assert torn([page.facts for page in pages], distinct=rows) is None


def test_pages_are_read_several_at_once(server: Server, client_of: MakeClient) -> None:
    server.handle = Listing(1000, cap=20, latency=0.01)
    client = client_of(server.base_url, most=8)
    pages = asyncio.run(read(client))
    assert ids(pages) == list(range(1, 1001))
    assert 4 <= server.most <= 8
    assert client.requests == 50


def test_only_few_pages_are_read_ahead(server: Server, client_of: MakeClient) -> None:
    server.handle = Listing(1000, cap=10)

    async def run() -> None:
        async with (
            client_of(server.base_url, most=3) as client,
            aclosing(read_pages(client, "/documents")) as pages,
        ):
            async for page in pages:
                await asyncio.sleep(0.02)
                assert len(server.seen) <= page.number + 2 * 3
                if page.number == 5:
                    break

    asyncio.run(run())


def test_leaving_early_stops_what_is_being_read(server: Server, client_of: MakeClient) -> None:
    server.handle = Listing(1000, cap=10, latency=0.01)

    async def run() -> set[asyncio.Task[Any]]:
        async with client_of(server.base_url) as client:
            async with aclosing(read_pages(client, "/documents")) as pages:
                await anext(pages)
                await anext(pages)
            return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(run()) == set()


def test_a_first_page_is_not_read_twice(server: Server, client_of: MakeClient) -> None:
    server.handle = Listing(30)

    async def run() -> list[Page]:
        async with client_of(server.base_url) as client:
            first = parse_page(await client.get("/documents", {"page_size": "10"}), 1)
            pages = read_pages(client, "/documents", page_size=10, first=first)
            return [page async for page in pages]

    assert ids(asyncio.run(run())) == list(range(1, 31))
    assert len(server.seen) == 3


def swap(server: Server, page: int, answer: Callable[[], Response], rows: int = 50) -> None:
    """The listing, with another answer for one page and those after it."""
    listing = Listing(rows, cap=10)

    async def handle(request: Request) -> Response:
        late = int(request.query_params["page"]) >= page
        return answer() if late else await listing(request)

    server.handle = handle


def test_rows_that_vanish_while_reading_tear_the_pass(
    server: Server, client_of: MakeClient
) -> None:
    swap(server, 4, lambda: json('{"detail": "Invalid page."}', 404))
    pages = asyncio.run(read(client_of(server.base_url)))
    assert ids(pages) == list(range(1, 31))
    assert torn([page.facts for page in pages]) == "30 rows came, count says 50"
    swap(server, 4, lambda: json('{"count": 30, "results": []}'))
    pages = asyncio.run(read(client_of(server.base_url)))
    assert ids(pages) == list(range(1, 31))
    assert "between 30 and 50" in (torn([page.facts for page in pages]) or "")


def test_a_missing_page_without_a_count_is_an_error(server: Server, client_of: MakeClient) -> None:
    async def handle(request: Request) -> Response:
        if request.query_params["page"] == "2":
            return json("{}", 404)
        return json('{"total_pages": 3, "results": [{"id": 1}]}')

    server.handle = handle
    with pytest.raises(ServerError, match="Page 2 of 3"):
        asyncio.run(read(client_of(server.base_url)))


def test_more_pages_than_promised_are_read_on(server: Server, client_of: MakeClient) -> None:
    async def handle(request: Request) -> Response:
        number = int(request.query_params["page"])
        link = "/v1/x" if number < 4 else None
        body = {"count": 2, "next": link, "results": [{"id": number}]}
        return json(stdlib_json.dumps(body))

    server.handle = handle
    assert ids(asyncio.run(read(client_of(server.base_url)))) == [1, 2, 3, 4]


@pytest.mark.parametrize("body", ['[{"id": 1}, {"id": 2}]', '{"results": [{"id": 1}, {"id": 2}]}'])
def test_a_list_that_ignores_page_is_read_once(
    server: Server, client_of: MakeClient, body: str
) -> None:
    async def handle(request: Request) -> Response:
        return json(body)

    server.handle = handle
    assert ids(asyncio.run(read(client_of(server.base_url)))) == [1, 2]


def test_a_404_on_page_1_is_not_the_end(server: Server, client_of: MakeClient) -> None:
    async def handle(request: Request) -> Response:
        return json('{"detail": "No encontrado."}', 404)

    server.handle = handle
    with pytest.raises(NotFound, match="No encontrado"):
        asyncio.run(read(client_of(server.base_url)))


def test_an_error_on_a_later_page_comes_through(server: Server, client_of: MakeClient) -> None:
    swap(server, 3, lambda: json('{"error": "No tienes acceso"}', 403))

    async def run() -> None:
        async with client_of(server.base_url) as client:
            async for page in read_pages(client, "/documents", company="7"):
                assert page.number < 3

    with pytest.raises(CompanyRefused) as caught:
        asyncio.run(run())
    assert caught.value.company == "7"


@pytest.mark.parametrize(
    ("link", "trusted"),
    [
        ("https://evil.example/v1/documents?page=2", False),
        ("//evil.example/x", False),
        ("http://api.tupana.test:8080/x", False),
        ("javascript:alert(1)", False),
        ("http://[bad", False),
        ("https://api.tupana.test/api/v1/documents?page=2", True),
        ("http://api.tupana.test/v1/documents?page=2", True),
        ("?page=2", True),
    ],
)
def test_a_next_on_another_host_is_refused(link: str, trusted: bool) -> None:
    body = stdlib_json.dumps({"count": 1, "next": link, "results": []}).encode()
    reply = reply_of(body, origin="https://api.tupana.test/v1")
    if trusted:
        assert parse_page(reply, 1).has_next is True
        return
    with pytest.raises(ServerError) as caught:
        parse_page(reply, 1)
    assert "evil.example" not in link or "evil.example" in str(caught.value)


def reply_of(body: bytes, origin: str = "") -> Reply:
    return Reply(body, 200, "rid", "/v1/documents?search=Soto", datetime.now(UTC), 1, origin)


def test_rows_are_the_bytes_that_came() -> None:
    rows = b'[ {"id":  1, "a": 1.10, "n": "\\u00f1"} ,\n{"id": "x"} ]'
    page = parse_page(reply_of(b'{"results" : ' + rows + b', "new_key": {}, "count": "2"}'), 3)
    assert page.rows == rows
    assert (page.size, page.count, page.first_id, page.number) == (2, 2, "1", 3)
    assert (page.total_pages, page.has_next) == (None, None)
    bare = parse_page(reply_of(b" \n" + rows + b"\n"), 1)
    assert (bare.rows, bare.size, bare.bare) == (rows, 2, True)
    assert parse_page(reply_of(b'[7, {"id": 1}]'), 1).first_id is None
    assert "1.10" not in repr(page)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"null",
        b'"text"',
        b'{"results": {}}',
        b'{"results": null}',
        b'{"count": {}, "results": []}',
        b'{"data": [], "meta": {}}',
        b"[1",
        b"",
    ],
)
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(ServerError, match=r"Page 1 of /v1/documents is not a list") as caught:
        parse_page(reply_of(body), 1)
    assert "Soto" not in str(caught.value)
    assert caught.value.request_id == "rid"


@given(st.binary())
def test_any_bytes_are_a_page_or_refused(body: bytes) -> None:
    with suppress(ServerError):
        assert parse_page(reply_of(body), 1).size >= 0


def test_a_pass_is_torn_when_its_pages_disagree() -> None:
    whole = [PageFacts(1, 3, 2, "a"), PageFacts(2, 3, 1, "c")]
    assert torn(whole) is None
    assert torn([*whole, whole[0]]) is None
    assert torn([]) is None
    assert torn([PageFacts(1, None, 2, None)]) is None
    for pages, distinct, reason in (
        ([PageFacts(1, 3, 2, "a"), PageFacts(2, 4, 1, "c")], None, "between 3 and 4"),
        (whole[:1], None, "2 rows came, count says 3"),
        (whole, 2, "only 2 of them different"),
        ([PageFacts(1, 3, 2, "a"), PageFacts(2, 3, 1, "a")], None, "start with the same row"),
        ([*whole, PageFacts(1, 3, 2, "b")], None, "before with a"),
    ):
        assert reason in (torn(pages, distinct) or "")


@pytest.mark.parametrize("envelope", ["full", "count_only", "total_only"])
def test_the_last_answer_is_told_before_the_last_page_is_taken(
    server: Server, client_of: MakeClient, envelope: str
) -> None:
    server.handle = Listing(950, envelope)
    told: list[int] = []

    async def run() -> list[int]:
        taken: list[int] = []
        async with client_of(server.base_url) as client:
            pages = read_pages(
                client, "/documents", page_size=100, answered=lambda: told.append(len(server.seen))
            )
            async with aclosing(pages):
                async for page in pages:
                    taken.append(page.number)
                    if page.number == 2:
                        await asyncio.sleep(0.3)
                        assert told == [10]
        return taken

    assert asyncio.run(run()) == [*range(1, 11)]
    assert told == [10]
