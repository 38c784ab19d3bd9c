"""Faults of the connection itself, real on the wire.

An ASGI application cannot close its connection, so uvicorn's is reached through the
``send`` it hands over: a method of the request's cycle, which knows its transport. Both
of uvicorn's HTTP implementations have it (h11 and httptools, 0.30 to 0.54).
"""

from __future__ import annotations

import asyncio
import socket
import struct

from starlette.types import Receive, Scope, Send

from tupana_etl.sandbox import answers

SEND = "tupana.send"
"""Where the scope keeps uvicorn's own ``send``, under whatever middleware wraps it."""

_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER on, no time: closing resets the connection instead of saying goodbye."""


async def drain(receive: Receive) -> None:
    """Reads the rest of the request's body."""
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        continue


async def hang(receive: Receive) -> None:
    """No answer, until the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        continue


async def close(scope: Scope, receive: Receive) -> None:
    """The connection ends without a word, as one kept alive too long does."""
    _transport(scope).close()
    await hang(receive)


async def reset(scope: Scope, receive: Receive, *, after: int = 0) -> None:
    """The connection is reset before a byte of an answer, and after so many of the body."""
    read, more = 0, after > 0
    while more and read < after:
        message = await receive()
        read += len(message.get("body", b""))
        more = message.get("more_body", False)
    transport = _transport(scope)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    await _abort(transport, receive)


async def cut(answer: answers.Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Headers that promise the whole body, half of it, then a closed connection."""
    await send(answers.start(answer, len(answer.body)))
    half = answer.body[: len(answer.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    await _abort(_transport(scope), receive)


async def drip(
    answer: answers.Answer, receive: Receive, send: Send, seconds: float, pieces: int = 10
) -> None:
    """The whole answer, in pieces over the seconds, or until the client leaves."""
    await send(answers.start(answer, len(answer.body)))
    size = max(1, -(-len(answer.body) // pieces))
    gone = asyncio.ensure_future(hang(receive))
    try:
        for at in range(0, len(answer.body), size):
            await asyncio.wait({gone}, timeout=seconds / pieces)
            if gone.done():
                return
            piece = answer.body[at : at + size]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _abort(transport: asyncio.Transport, receive: Receive) -> None:
    transport.abort()
    # Until uvicorn has noticed, so that it does not complain of a missing answer.
    await hang(receive)


def _transport(scope: Scope) -> asyncio.Transport:
    cycle = getattr(scope[SEND], "__self__", None)
    transport = getattr(cycle, "transport", None)
    if transport is None:
        raise RuntimeError("faults of the connection need uvicorn's own send")
    found: asyncio.Transport = transport
    return found
