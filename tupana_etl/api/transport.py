"""HTTP/1.1 for reading, under httpx: connections kept open, no search through them.

httpx's own pool looks through every connection and waiting request whenever one comes or
goes, and its parser is Python: 4 to 5 ms of CPU a page. Here a page costs a tenth of that.
GET alone: a connection that the server closed while it lay idle is replaced in silence,
which is right for a question and never for a document to be issued.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.request import getproxies

import httpx

from tupana_etl.api.exchange import Connection, Gone

KEEP_SECONDS = 30.0
"""An idle connection older than this is not used again: servers close theirs at 60 or so."""

_Origin = tuple[bytes, bytes, int]


def reading_transport(most: int, *, trust_env: bool) -> httpx.AsyncBaseTransport | None:
    """The transport to read with, or None where only httpx's own will do: behind a proxy."""
    if trust_env and getproxies():
        return None
    return Transport(most, lambda: httpx.create_ssl_context(trust_env=trust_env))


class Transport(httpx.AsyncBaseTransport):
    """At most ``most`` idle connections; the caller bounds those in use.

    ``tls`` makes the context for https, when it is first needed. Raises what httpx's own
    transport raises: ConnectTimeout, ReadTimeout, ConnectError, ReadError,
    RemoteProtocolError.
    """

    def __init__(self, most: int, tls: Callable[[], ssl.SSLContext]) -> None:
        self._most = most
        self._tls = tls
        self._context: ssl.SSLContext | None = None
        self._idle: dict[_Origin, deque[Connection]] = {}

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        """Closes what is idle; what is in use closes when its answer is."""
        idle, self._idle, self._most = self._idle, {}, 0
        for connections in idle.values():
            for connection in connections:
                connection.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            raise ValueError(f"{request.method}: this transport only reads")
        head = _head(request)
        timeouts = request.extensions.get("timeout", {})
        origin = (request.url.raw_scheme, request.url.raw_host, _port(request.url))
        while True:
            connection, used = self._take(origin), True
            if connection is None:
                connection, used = await self._connect(origin, timeouts.get("connect")), False
            try:
                connection.ask(head, timeouts.get("read"))
                await connection.answer()
                break
            except Gone as error:
                connection.close()
                if not used:  # nobody else may have closed it
                    raise httpx.RemoteProtocolError(str(error), request=request) from error
            except BaseException:
                connection.close()
                raise
        return httpx.Response(
            connection.status,
            headers=connection.headers,
            stream=_Body(connection, lambda: self._give_back(origin, connection)),
            extensions={"http_version": b"HTTP/1.1"},
        )

    def _take(self, origin: _Origin) -> Connection | None:
        """The idle connection used last: the others may grow old and go."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable(KEEP_SECONDS):
                return connection
            connection.close()
        return None

    def _give_back(self, origin: _Origin, connection: Connection) -> None:
        if not connection.reusable or self._most == 0:
            connection.close()
            return
        connection.rest()
        self._idle.setdefault(origin, deque()).append(connection)
        while sum(map(len, self._idle.values())) > self._most:
            next(idle for idle in self._idle.values() if idle).popleft().close()

    async def _connect(self, origin: _Origin, seconds: float | None) -> Connection:
        scheme, host, port = origin
        loop = asyncio.get_running_loop()
        # A host with two addresses, one of them dead. Other loops try them in turn.
        can_race = isinstance(loop, asyncio.BaseEventLoop)
        race: dict[str, Any] = {"happy_eyeballs_delay": 0.25} if can_race else {}
        tls = self._tls_context() if scheme == b"https" else None
        try:
            async with asyncio.timeout(seconds):
                connection: Connection
                _, connection = await loop.create_connection(
                    Connection, host.decode("ascii"), port, ssl=tls, **race
                )
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._tls()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


@dataclass
class _Body(httpx.AsyncByteStream):
    """The body as it comes; gives the connection back when it is closed."""

    connection: Connection
    give_back: Callable[[], None] | None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while part := await self.connection.part():
            yield part

    async def aclose(self) -> None:
        give_back, self.give_back = self.give_back, None
        if give_back is not None:
            give_back()


def _port(url: httpx.URL) -> int:
    return url.port or {"http": 80, "https": 443}[url.scheme]


def _head(request: httpx.Request) -> bytes:
    lines = [b"GET %s HTTP/1.1" % request.url.raw_path]
    lines += [b"%s: %s" % header for header in request.headers.raw]
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise httpx.LocalProtocolError("a header holds a line break")
    return b"\r\n".join([*lines, b"", b""])
