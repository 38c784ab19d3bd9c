"""Who asks when, and how many windows are in work: requests never idle, memory never grows.

Windows of dates go in order, each before the next, so that one is whole while others are
on their way; the small lists fill the places that they leave free.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

from tupana_etl.api.client import Client
from tupana_etl.extract.windows import Window

ROWS_IN_WORK = 5_000
"""Rows that the windows in work may announce together: their pages and rows are in memory."""

LEAST, MOST = 250, 2_500
"""Rows that one window counts for: none is free, and of a large one most is written."""

AHEAD = 2
"""Windows for each request in flight whose first page is asked, or waits in memory until there
is room for the rest: a page of long documents is 3 MB."""

LISTS = 1 << 40
"""The turn of lists without dates: after every window."""


class Lane:
    """Windows of one kind: how many are asked for ahead, and the room for their rows."""

    def __init__(self, rows: int, ahead: int) -> None:
        self.ahead = asyncio.Semaphore(ahead)
        self._door = asyncio.Lock()
        self._left = asyncio.Event()
        self._free = rows

    @asynccontextmanager
    async def room(self, rows: int) -> AsyncIterator[None]:
        """Waits until so many rows may be in memory, first come first served."""
        rows = min(max(rows, LEAST), MOST)
        async with self._door:
            while self._free < rows:
                self._left.clear()
                await self._left.wait()
            self._free -= rows
        try:
            yield
        finally:
            self._free += rows
            self._left.set()


class Turns:
    """The order of requests of one run. Lists without dates have a lane of their own: what
    waits for a free place must not keep the room that windows need."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._next = count(1)
        self.ahead = AHEAD * client.max_concurrency
        self._dated, self._lists = Lane(ROWS_IN_WORK, self.ahead), Lane(MOST, self.ahead)

    def lane(self, window: Window) -> Lane:
        return self._dated if _is_dated(window) else self._lists

    def client(self, window: Window) -> Client:
        """The client for the requests of a window: it waits for those that were given before."""
        return self._client.in_turn(next(self._next) if _is_dated(window) else LISTS)


def _is_dated(window: Window) -> bool:
    return "window" in window.stream.slices


def _nothing() -> None:
    """Nobody waits for the end."""


class Asking:
    """Windows that have something to ask yet; ``nobody`` is called whenever none has.

    One that could not be read never rests: what follows upon all of them is then of no use.
    """

    def __init__(self, nobody: Callable[[], object] = _nothing) -> None:
        self._nobody = nobody
        self._windows: set[Window] = set()

    def begin(self, *windows: Window) -> None:
        self._windows.update(windows)

    def rest(self, window: Window) -> None:
        """May be said more than once."""
        if window in self._windows:
            self._windows.remove(window)
            if not self._windows:
                self._nobody()

    def close(self) -> None:
        """Calls nobody any more, whoever goes on to ask."""
        self._nobody = _nothing
