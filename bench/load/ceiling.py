"""How many pages the load server can give: it must not be what is measured."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from bench.fetch import fetch_all, page
from bench.load.running import Server

PAGES = 2000


@dataclass(frozen=True)
class Ceiling:
    pages_per_second: float
    bytes_per_second: float
    cpu_per_page: float
    """Seconds of processor time the server itself spends on a page."""


def ceiling(server: Server, in_flight: int = 8) -> Ceiling:
    """Pages of a hundred documents a second, thrown away by a client without a care.

    Client and server share the machine's cores, so the server alone could do more.
    """
    server.set()
    last = max(1, server.world.documents // 100)
    targets = [page(1 + n % last) for n in range(PAGES)]
    before, started = server.counts(), time.perf_counter()
    asyncio.run(fetch_all(server.url, targets, in_flight, lambda _: None))
    seconds, after = time.perf_counter() - started, server.counts()
    return Ceiling(PAGES / seconds, after.bytes / seconds, (after.cpu - before.cpu) / PAGES)
