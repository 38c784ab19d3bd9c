"""The pages of a window, however its endpoint answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from tupana_etl.api.client import Client, Reply
from tupana_etl.api.pages import Page, parse_page, read_pages
from tupana_etl.errors import NotFound, ServerError
from tupana_etl.extract.windows import Window
from tupana_etl.streams import Rows, Stream

PAGE_SIZE = 100


async def ask_page(client: Client, window: Window, number: int = 1, size: int = PAGE_SIZE) -> Page:
    """One page of a paged window."""
    asked = {**window.params, "page_size": str(size), "page": str(number)}
    return parse_page(await client.get(window.stream.path, asked, company=window.rut), number)


async def count(client: Client, window: Window) -> int | None:
    """How many rows the server says a window has; None when it does not say."""
    return (await ask_page(client, window, size=1)).count


async def pages_of(
    client: Client, window: Window, first: Page | None, answered: Callable[[], None]
) -> AsyncGenerator[Page, None]:
    """Every page of a window; ``first`` is page 1 if it was read before, ``answered`` is
    called as by :func:`read_pages`."""
    path, asked, rut = window.stream.path, window.params, window.rut
    if window.stream.paged:
        listing = read_pages(
            client,
            path,
            asked,
            company=rut,
            page_size=PAGE_SIZE,
            first=first,
            answered=answered,
        )
        async with aclosing(listing) as pages:
            async for page in pages:
                yield page
    else:
        yield _only_page(window.stream, await client.get(path, asked, company=rut))


async def undated_pages(client: Client, window: Window) -> AsyncGenerator[Page, None]:
    """Pages of the unfiltered list from both ends: where rows without a date are sorted."""
    first = await ask_page(client, window)
    yield first
    size = first.size or 1
    low, high = 2, -(-(first.count or 0) // size)
    while low <= high:
        try:
            yield await ask_page(client, window, high)
            if low < high:
                yield await ask_page(client, window, low)
        except NotFound:
            return
        low, high = low + 1, high - 1


def _only_page(stream: Stream, reply: Reply) -> Page:
    if stream.rows is Rows.RESULTS:
        return parse_page(reply, 1)
    try:
        rows = _rows_of(stream, reply.body)
    except (msgspec.MsgspecError, KeyError):
        raise ServerError(
            f"The answer of {stream.path} has not the shape the API promises.",
            status=reply.status,
            request_id=reply.request_id,
            path=reply.path,
        ) from None
    return Page(rows, 1, None, None, False, 1, None, reply)


def _rows_of(stream: Stream, body: bytes) -> bytes:
    if stream.rows is Rows.OBJECT:
        return b"[" + body + b"]"
    outer = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    rows = msgspec.json.decode(outer.pop("types"), type=list[dict[str, msgspec.Raw]])
    shared = {k: v for k, v in outer.items() if k in stream.by_name and k != "master_entity_id"}
    return msgspec.json.encode([{**shared, **row} for row in rows])
