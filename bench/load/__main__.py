"""Serves one world until standard input closes; the first line printed is the URL.

python -m bench.load FILE DOCUMENTS [--traces none] [--port N]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from socket import SO_SNDBUF, SOL_SOCKET

from bench.load.app import KEY, App
from bench.load.world import World

SEND_BUFFER = 1 << 20
"""Bytes: a whole page leaves in one call."""

_REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}
_HEADS = {
    status: f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\n"
    "Content-Type: application/json\r\n"
    + ("Retry-After: 1\r\n" if status == 429 else "")
    + "Content-Length: "
    for status in (200, 401, 404, 429, 500)
}
_AUTHORIZED = f"api-key {KEY}".encode()


class Connection(asyncio.Protocol):
    """One connection of HTTP/1.1, kept alive; requests have no body."""

    def __init__(self, app: App, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop
        self._read = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport if isinstance(transport, asyncio.Transport) else None
        transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (end := self._read.find(b"\r\n\r\n")) >= 0:
            request, self._read = self._read[:end], self._read[end + 4 :]
            self._serve(request)

    def _serve(self, request: bytes) -> None:
        target = request.split(b" ", 2)[1].decode()
        counts = self._app.counts
        counts.in_flight += 1
        counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
        is_ours = target.startswith("/bench/")
        latency = 0.0 if is_ours else self._app.mood.latency_ms / 1000
        if _AUTHORIZED not in request.lower() and not is_ours:
            status, body = 401, b'{"error":"key"}'
        else:
            status, body = self._app.answer(target)
        head = f"{_HEADS[status]}{len(body)}\r\n\r\n".encode()
        if latency:
            self._loop.call_later(latency, self._give, head, body)
        else:
            self._give(head, body)

    def _give(self, head: bytes, body: bytes) -> None:
        counts = self._app.counts
        counts.in_flight -= 1
        counts.bytes += len(body)
        if self._transport is not None:
            self._transport.write(head + body)


async def serve(app: App, port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(app, loop), "127.0.0.1", port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("documents", type=int)
    parser.add_argument("--traces", choices=("embedded", "none"), default="embedded")
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    today = datetime.now(UTC).date()
    world = World(given.file, given.documents, today, traces=given.traces == "embedded")
    asyncio.run(serve(App(world), given.port))


if __name__ == "__main__":
    main()
