"""The receiver: verifies, keeps, then answers 200. It asks nobody and opens no warehouse.

Answers carry no detail: whoever is not Tu Pana learns nothing from them, and Tu Pana only
looks at the status.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tupana_etl.domain import utcnow
from tupana_etl.errors import ConfigError, TupanaError
from tupana_etl.inbox import event as events
from tupana_etl.inbox.signature import HEADER, is_genuine
from tupana_etl.inbox.store import open_inbox

MOST_BYTES = 1 << 20
"""Of a body. A document of 60 lines is some 30 kB."""
MOST_SECONDS = 10.0
"""For a whole body to arrive."""

_log = logging.getLogger("tupana_etl.inbox")


def application(
    home: Path,
    secrets: tuple[str, ...],
    *,
    arrived: Callable[[], None] = lambda: None,
    refused: Callable[[], None] = lambda: None,
    most_seconds: float = MOST_SECONDS,
) -> Starlette:
    """The receiver of a home: ``POST /``, and ``GET /health`` for whoever watches it.

    ``arrived`` is called, from another thread, after an event was kept that was not known;
    ``refused`` after one came that no secret had signed.
    Raises ConfigError without a secret: unsigned events could be anybody's.
    """
    if not secrets:
        raise ConfigError(
            "No webhook secret. Set TUPANA_WEBHOOK_SECRET to the secret you gave Tu Pana (see "
            ".env.example): without it nobody can tell who sent an event."
        )

    def keep(body: bytes, headers: dict[str, str]) -> None:
        event = events.read(body, headers)
        with open_inbox(home) as inbox:
            is_new = inbox.keep(event, utcnow())
        _log.info("%s %s", event.event_type or "unreadable", "kept" if is_new else "known")
        if is_new:
            arrived()

    async def receive(request: Request) -> Response:
        try:
            async with asyncio.timeout(most_seconds):
                body = await _body(request)
        except TimeoutError:
            return Response(status_code=408, headers={"Connection": "close"})
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return Response(status_code=413, headers={"Connection": "close"})
        if not is_genuine(body, request.headers.get(HEADER, ""), secrets):
            _log.warning("an event without a valid signature was refused")
            refused()
            return Response(status_code=401)
        try:
            await asyncio.to_thread(keep, body, dict(request.headers))
        except (sqlite3.Error, OSError, TupanaError) as error:
            # Not kept, so not 200: Tu Pana delivers it again.
            _log.error("an event could not be kept: %s", error)
            return Response(status_code=503)
        return Response(status_code=200)

    async def health(_: Request) -> Response:
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/", receive, methods=["POST"]),
            Route("/health", health, methods=["GET"]),
        ]
    )


async def _body(request: Request) -> bytes | None:
    """The raw bytes as they came, never unpacked; None when they are too many."""
    told = request.headers.get("content-length", "0")
    if told.isascii() and told.isdigit() and int(told[:12]) > MOST_BYTES:
        return None
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)
