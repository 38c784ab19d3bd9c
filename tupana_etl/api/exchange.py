"""One connection and the exchange on it: a request goes out, its answer comes in."""

from __future__ import annotations

import asyncio
from typing import cast

import httptools
import httpx

HEAD_CAP = 100 * 1024
"""Bytes of an answer's head, as httpx's own parser allows."""

WAITING = 1024 * 1024
"""Bytes of a body that wait for their reader before the server is made to wait."""

PIECE = 64 * 1024
"""Bytes of a compressed body handed on at once: a thousand times as many may come of it."""


class Gone(Exception):
    """The server closed the connection before the first byte of its answer."""


class Connection(asyncio.Protocol):
    """An open connection. One exchange at a time: :meth:`ask`, :meth:`answer`, :meth:`part`."""

    status = 0
    headers: list[tuple[bytes, bytes]]

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._idle_since: float | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.headers = []
        self._parts: list[bytes] = []
        self._waiting = 0
        self._head_bytes = 0
        self._head_done = self._done = self._keep = self._touched = self._paused = False
        self._error: Exception | None = None

    # What the caller does.

    def usable(self, seconds: float) -> bool:
        """Whether it is still open, and not idle for longer than that."""
        idle = 0.0 if self._idle_since is None else self._loop.time() - self._idle_since
        return not self._closed and idle < seconds

    def ask(self, head: bytes, seconds: float | None) -> None:
        """Sends a request without a body. Its answer may be silent for ``seconds`` at most."""
        self._idle_since = None
        self._begin()
        if self._closed:
            self._error = Gone("the server closed the connection")
            return
        self._seconds, self._heard = seconds, self._loop.time()
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self._listen)
        self._transport.write(head)

    async def answer(self) -> None:
        """Waits until ``status`` and ``headers`` are there."""
        while not self._head_done:
            await self._wait()

    async def part(self) -> bytes:
        """The next part of the body, b"" at its end. Raises when it ends too early."""
        while not self._parts and not self._done:
            await self._wait()
        if not self._parts:
            return b""
        if self._waiting > PIECE and self._encoded:
            return self._piece()
        whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts, self._waiting = [], 0
        self._resume()
        return whole

    @property
    def reusable(self) -> bool:
        """Whether the answer is whole and the server will take another request."""
        return self._done and self._keep and not self._closed

    def rest(self) -> None:
        """The exchange is over: what comes now is nobody's."""
        self._idle_since = self._loop.time()
        self._parts = []

    def close(self) -> None:
        self._stop_timer()
        if not self._closed:
            self._closed = True
            self._transport.abort()

    @property
    def _encoded(self) -> bool:
        return any(name.lower() == b"content-encoding" for name, _ in self.headers)

    def _piece(self) -> bytes:
        first = self._parts.pop(0)
        if len(first) > PIECE:
            self._parts.insert(0, first[PIECE:])
            first = first[:PIECE]
        self._waiting -= len(first)
        self._resume()
        return first

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _listen(self) -> None:
        """Fails an exchange that fell silent; looked at once a period, not at every byte."""
        assert self._seconds is not None  # noqa: S101 - the timer was set for it
        silent = self._loop.time() - self._heard
        if self._paused or silent < self._seconds:
            left = self._seconds if self._paused else self._seconds - silent
            self._timer = self._loop.call_later(left, self._listen)
            return
        self._fail(httpx.ReadTimeout(f"silent for {self._seconds:g} s"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fail(self, error: Exception) -> None:
        if self._error is None and not self._done:
            self._error = error
        self.close()
        self._wake()

    def _resume(self) -> None:
        if self._paused and self._waiting < WAITING:
            self._paused = False
            self._heard = self._loop.time()
            if not self._closed:
                self._transport.resume_reading()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._done or self._idle_since is not None:
            self.close()  # an answer that nobody asked for, or more than it announced
            return
        self._touched = True
        self._heard = self._loop.time()
        if not self._head_done:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(httpx.RemoteProtocolError("the server switched to another protocol"))
        except httptools.HttpParserError as error:
            self._spoiled(error)
        else:
            if not self._head_done and self._head_bytes > HEAD_CAP:
                self._fail(httpx.RemoteProtocolError("the head of the answer has no end"))
            elif self._waiting >= WAITING and not self._done and not self._paused:
                self._paused = True
                self._transport.pause_reading()
                self._wake()

    def _spoiled(self, error: Exception) -> None:
        if self._done:  # the answer was whole; what follows it is no second one
            self._keep = False
            self.close()
        else:
            self._fail(httpx.RemoteProtocolError(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._stop_timer()
        if self._done or self._error is not None:
            return
        if exc is None and self._head_done and self._ends_with_connection():
            self._done = True
        elif not self._touched:
            self._error = Gone("Server disconnected without sending a response.")
        elif exc is not None:
            self._error = httpx.ReadError(str(exc))
        else:
            self._error = httpx.RemoteProtocolError("the answer ended before it was whole")
        self._wake()

    def _ends_with_connection(self) -> bool:
        """Without a length, a body ends where the connection does (RFC 9112 §6.3)."""
        told = {b"content-length", b"transfer-encoding"}
        return not any(name.lower() in told for name, _ in self.headers)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._head_done and self._done:
            raise httptools.HttpParserError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_done:  # a trailer says nothing that is used
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._head_done = True
            self._wake()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)
        self._waiting += len(body)

    def on_message_complete(self) -> None:
        if self.status < 200:  # 103: the answer itself is still to come
            self.headers = []
            return
        self._done = True
        self._keep = self._parser.should_keep_alive()
        self._stop_timer()
        self._wake()
