"""An answer held in the hand between the routes and the wire, to be changed on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    @property
    def is_json(self) -> bool:
        return 200 <= self.status < 300 and dict(self.headers).get(b"content-type") == JSON.encode()


def made(status: int, body: object, *, kind: str = JSON, **headers: str) -> Answer:
    """A new answer; ``retry_after="3"`` becomes the header ``retry-after``."""
    content = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
    named = {"content-type": kind, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return Answer(status, tuple((k.encode(), v.encode()) for k, v in named.items()), content)


async def held(inner: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """What the inner application answers, in full."""
    head: list[Message] = []
    body = bytearray()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            head.append(message)
        else:
            body.extend(message.get("body", b""))

    await inner(scope, receive, keep)
    return Answer(head[0]["status"], tuple(head[0]["headers"]), bytes(body))


async def give(answer: Answer, send: Send) -> None:
    await send(start(answer, len(answer.body)))
    await send({"type": "http.response.body", "body": answer.body})


def start(answer: Answer, length: int) -> Message:
    """The status line and headers, with the length said and no other."""
    kept = [h for h in answer.headers if h[0] != b"content-length"]
    headers = [*kept, (b"content-length", str(length).encode())]
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


def changed(answer: Answer, change: Callable[[Any], Any]) -> Answer:
    """The same answer with its JSON changed; an answer that is no JSON stays."""
    if not answer.is_json:
        return answer
    body = change(msgspec.json.decode(answer.body))
    return replace(answer, body=msgspec.json.encode(body))


def rows_of(body: Any) -> list[dict[str, Any]]:
    """The rows of an answer: a bare array's, an envelope's, or the one object it is."""
    if isinstance(body, list):
        return body
    found: list[dict[str, Any]] = body.get("results", [body])
    return found
