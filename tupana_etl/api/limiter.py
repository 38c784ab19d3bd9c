"""How many calls are in flight: halved when the server asks for less, then grown again.

Additive increase, multiplicative decrease, as TCP does it. Nothing here looks at a clock:
time passes only in the ``sleep`` that is handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from heapq import heapify, heappop, heappush
from itertools import count

Sleep = Callable[[float], Awaitable[object]]


class Limiter:
    """Slots for calls in flight and one gate for all. Of those who wait the lowest turn goes
    first; who has the same is served as he came.

    ``limit`` stays between 1 and ``most``. A call takes a slot with :meth:`enter`, gives
    it back with :meth:`leave`, and says how it went with :meth:`speed_up` or
    :meth:`slow_down`.
    """

    def __init__(self, most: int, sleep: Sleep = asyncio.sleep) -> None:
        self.most = max(1, most)
        self.limit = float(self.most)
        self.lowest = self.most
        self._sleep = sleep
        self._busy = 0
        self._held = 0
        self._round = 0
        self._queue: list[tuple[int, int, asyncio.Future[None]]] = []
        self._came = count()

    async def enter(self, turn: int = 0) -> int:
        """Waits for a slot; the number returned is for :meth:`slow_down`."""
        if self._queue or not self._free():
            await self._take_turn(turn)
        else:
            self._busy += 1
        return self._round

    def leave(self) -> None:
        self._busy -= 1
        self._wake()

    def speed_up(self) -> None:
        """After a good answer: one more slot for each full round of good answers."""
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
            self._wake()

    def slow_down(self, entered: int) -> None:
        """After 429 or 503: half the slots.

        Calls that were in flight together fail together; only the first of them halves,
        or one burst would bring any limit down to 1.
        """
        if entered != self._round:
            return
        self._round += 1
        self.limit = max(1.0, self.limit / 2)
        self.lowest = min(self.lowest, int(self.limit))

    async def hold(self, seconds: float) -> None:
        """Sleeps, and lets nobody enter meanwhile: a Retry-After is meant for all."""
        self._held += 1
        try:
            await self._sleep(seconds)
        finally:
            self._held -= 1
            self._wake()

    def _free(self) -> bool:
        return self._held == 0 and self._busy < int(self.limit)

    async def _take_turn(self, turn: int) -> None:
        called = asyncio.get_running_loop().create_future()
        heappush(self._queue, (turn, next(self._came), called))
        try:
            await called
        except asyncio.CancelledError:
            if called.cancelled():
                self._queue = [place for place in self._queue if place[2] is not called]
                heapify(self._queue)
                self._wake()
            else:  # the slot was handed over in the same moment: pass it on
                self.leave()
            raise

    def _wake(self) -> None:
        while self._queue and self._free():
            _, _, called = heappop(self._queue)
            if called.cancelled():
                continue
            self._busy += 1
            called.set_result(None)
