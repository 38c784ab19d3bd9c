"""A real HTTP server on this machine that answers from a script."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KEY = "sk-canary-0123456789abcdef"
WEBHOOK_SECRET = "whsec-canary-fedcba"

Answer = Callable[[Request], Awaitable[Response]]


@dataclass
class Seen:
    """What reached the server."""

    url: str
    headers: dict[str, str]


@dataclass
class Server:
    """``handle`` may be set by a test at any time; everything that arrives is kept."""

    base_url: str = ""
    handle: Answer | None = None
    seen: list[Seen] = field(default_factory=list)
    flying: int = 0
    most: int = 0

    async def answer(self, request: Request) -> Response:
        self.seen.append(Seen(str(request.url), dict(request.headers)))
        self.flying += 1
        self.most = max(self.most, self.flying)
        try:
            assert self.handle is not None
            return await self.handle(request)
        finally:
            self.flying -= 1


@contextmanager
def serving(host: str = "127.0.0.1") -> Iterator[Server]:
    server = Server()
    app = Starlette(routes=[Route("/{path:path}", server.answer)])
    config = uvicorn.Config(app, log_level="error", lifespan="off", access_log=False)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        server.base_url = f"http://{host}:{sock.getsockname()[1]}/v1"
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [sock]}, daemon=True)
        thread.start()
        while not running.started:
            time.sleep(0.005)
        yield server
        running.should_exit = True
        thread.join(5)


def script(*answers: Response) -> Answer:
    """These answers one after the other; the last for ever."""
    left = list(answers)

    async def handle(request: Request) -> Response:
        return left.pop(0) if len(left) > 1 else left[0]

    return handle


@contextmanager
def raw_server(*chunks: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A socket that answers each connection with the next bytes and hangs up.

    Yields its base URL and the list of requests received; the last bytes repeat.
    """
    left, got = list(chunks), []
    sock = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = sock.accept()
            except OSError:
                return
            with connection:
                got.append(connection.recv(65536))
                connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/v1", got
    finally:
        sock.shutdown(socket.SHUT_RDWR)
        sock.close()
        thread.join(5)


def json(body: str | bytes, status: int = 200, **headers: str) -> Response:
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return Response(body, status, named, "application/json")


class Naps:
    """A sleep that does not wait, and remembers how long it was asked to."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)
