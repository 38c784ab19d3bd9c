"""A receiver over real HTTP, and bodies as Tu Pana would send them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from tupana_etl.inbox.receiver import application
from tupana_etl.inbox.signature import sign
from tupana_etl.inbox.store import open_inbox

SECRET, OLDER = "canary-secret-new", "canary-secret-old"


@dataclass(frozen=True)
class Receiver:
    url: str
    home: Path
    http: httpx.Client

    def post(self, body: bytes, signature: str | None = None, **headers: str) -> int:
        """The status for a body; signed with the secret unless told otherwise."""
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        given = sign(body, SECRET) if signature is None else signature
        signed = {"X-Pana-Signature": given} if given else {}
        return self.http.post(self.url, content=body, headers={**signed, **named}).status_code

    def rows(self, what: str = "event_type, document_id, state, copies") -> list[tuple[Any, ...]]:
        with open_inbox(self.home) as inbox:
            return inbox.con.execute(f"SELECT {what} FROM events ORDER BY number").fetchall()


def event(document: object = 7, what: str = "document.paid", **more: Any) -> bytes:
    body = {"event": what, "created_at": "2026-11-24T10:00:00Z", "data": {"id": document, **more}}
    return json.dumps(body).encode()


@contextmanager
def receiving(home: Path, **options: Any) -> Iterator[Receiver]:
    app = application(home, (SECRET, OLDER), **options)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        with httpx.Client(timeout=20) as http:
            yield Receiver(f"http://127.0.0.1:{port}/", home, http)
    finally:
        server.should_exit = True
        thread.join()


def until(what: Callable[[], Any], seconds: float = 15) -> Any:
    ends = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < ends, "it did not happen in time"
        time.sleep(0.05)
    return found
