"""Fetches as fast as this machine can: one asyncio protocol a connection and nothing else.

For the floors and for the load server's ceiling. No client of a real API: it believes
every answer, knows no TLS, no redirect and no timeout.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from bench.load.app import KEY
from bench.load.rows import COMPANY_ID

_HEAD = re.compile(rb"HTTP/1\.1 (\d+).*?\r\ncontent-length: (\d+)", re.IGNORECASE | re.DOTALL)


class Line(asyncio.Protocol):
    """One connection: ask, wait for the body, ask again."""

    def __init__(self, host: str) -> None:
        self._tail = f" HTTP/1.1\r\nHost: {host}\r\nAuthorization: Api-Key {KEY}\r\n\r\n"
        self._parts: list[bytes] = []
        self._wanted = -1
        self._answer: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport if isinstance(transport, asyncio.Transport) else None

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server hung up"))

    def data_received(self, data: bytes) -> None:
        if self._wanted < 0:
            head, _, data = (b"".join(self._parts) + data).partition(b"\r\n\r\n")
            told = _HEAD.match(head)
            if told is None or told[1] != b"200":
                raise ConnectionError(head.decode(errors="replace"))
            self._wanted, self._parts = int(told[2]), []
        self._parts.append(data)
        self._wanted -= len(data)
        if self._wanted == 0 and self._answer is not None:
            self._answer.set_result(b"".join(self._parts))

    async def get(self, target: str) -> bytes:
        """The body of an answer 200; ConnectionError for any other."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._answer = asyncio.get_running_loop().create_future()
        self._parts, self._wanted = [], -1
        self._transport.write(f"GET {target}{self._tail}".encode())
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@asynccontextmanager
async def lines(url: str, count: int) -> AsyncIterator[list[Line]]:
    """``count`` connections to the host of ``url``."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            lambda: Line(parts.netloc), parts.hostname or "", parts.port or 80
        )
        for _ in range(count)
    ]
    opened = [line for _, line in made]
    try:
        yield opened
    finally:
        for line in opened:
            line.close()


async def fetch_all(
    url: str, targets: Iterable[str], in_flight: int, take: Callable[[bytes], None]
) -> None:
    """Asks for all targets, ``in_flight`` at once, and hands each body to ``take``."""
    left = iter(targets)

    async def work(line: Line) -> None:
        for target in left:
            take(await line.get(target))

    async with lines(url, in_flight) as opened:
        await asyncio.gather(*(work(line) for line in opened))


async def documents_of(url: str, in_flight: int, take: Callable[[bytes], None]) -> None:
    """Hands every page of the list of documents to ``take``: page 1 says how many there are."""

    async def first() -> int:
        async with lines(url, 1) as (line,):
            body = await line.get(page(1))
        take(body)
        return int(body.partition(b'"total_pages":')[2].partition(b",")[0])

    last = await first()
    await fetch_all(url, map(page, range(2, last + 1)), in_flight, take)


def page(number: int) -> str:
    """Target of one page of a hundred documents."""
    asked = f"master_entity_id={COMPANY_ID}&include_trace_events=true"
    return f"/v1/documents?{asked}&page_size=100&page={number}"
