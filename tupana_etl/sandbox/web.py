"""What every route shares: its context, errors as the vendor words them, pages."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import keys
from tupana_etl.sandbox.keys import Key
from tupana_etl.sandbox.lists import opaque
from tupana_etl.sandbox.model import World
from tupana_etl.sandbox.paging import Memory
from tupana_etl.sandbox.postman import Postman

FAULTS = "tupana.faults"
"""Where the scope keeps the faults that the route itself commits."""

NO_KEY = {"error_code": "INVALID_API_KEY", "message": "API Key inválida o faltante"}


class Refusal(Exception):
    """An answer other than 2xx, raised from anywhere in a route."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Context:
    """What a server serves: the world's file, how to serve it, and its key."""

    connection: sqlite3.Connection
    world: World
    key: str
    memory: Memory = field(default_factory=Memory)
    postman: Postman = field(default_factory=Postman)

    @property
    def has_books(self) -> bool:
        """Since 2026-07: books, sync status, opaque ids, cessions of both sides."""
        return self.world.contract != "2026-04"


def context(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


def as_json(body: object, status: int = 200) -> Response:
    return raw_json(msgspec.json.encode(body), status)


def raw_json(body: bytes | str, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")


def not_found() -> Refusal:
    return Refusal(404, {"detail": "No encontrado."})


def whole(request: Request, name: str, default: int) -> int:
    """A positive whole number of the query; the list's own 404 for a page that is none."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        if name == "page":
            raise Refusal(404, {"detail": "Invalid page."})
        return default
    return int(text)


def company(request: Request, *, missing: dict[str, Any], stranger: dict[str, Any]) -> int:
    """The user's own company the call is about.

    400 ``missing`` without a usable id, 404 for an id nobody has, 403 ``stranger`` for a
    company of somebody else.
    """
    text = request.query_params.get("master_entity_id", "")
    connection = context(request).connection
    is_opaque = text.startswith("eid_") and context(request).has_books
    entity_id = _opaque_id(connection, text) if is_opaque else _int(text)
    if entity_id is None:
        raise Refusal(400, missing)
    row = connection.execute("SELECT own FROM entity WHERE id = ?", (entity_id,)).fetchone()
    if row is None:
        raise Refusal(404, {"error": "NOT_FOUND", "message": "Entidad no encontrada"})
    if not row["own"]:
        raise Refusal(403, stranger)
    return entity_id


def page_count(count: int, size: int) -> int:
    """Pages of a list; an empty list has one, empty."""
    return max(1, math.ceil(count / size))


@dataclass(frozen=True)
class Page:
    """Which part of a list was asked for."""

    number: int
    size: int
    count: int

    @property
    def total(self) -> int:
        return page_count(self.count, self.size)

    @property
    def offset(self) -> int:
        return (self.number - 1) * self.size


def page(request: Request, count: int, *, default_size: int = 20) -> Page:
    """The page asked for; sizes above 100 are cut, a page past the end is a 404 (or, as
    the deviation has it, empty)."""
    names = context(request).world.deviations
    largest = 50 if "page_cap" in names else 100
    size = min(largest, whole(request, "page_size", default_size))
    asked = Page(whole(request, "page", 1), size, count)
    if asked.number > asked.total and "past_end_empty" not in names:
        raise Refusal(404, {"detail": "Invalid page."})
    return asked


def links(request: Request, asked: Page) -> dict[str, str | None]:
    """Absolute URLs of the neighbouring pages, keeping every other parameter."""

    def url(number: int) -> str:
        return str(request.url.include_query_params(page=number))

    return {
        "next": url(asked.number + 1) if asked.number < asked.total else None,
        "previous": url(asked.number - 1) if asked.number > 1 else None,
    }


def document_id(request: Request) -> int:
    return int(request.path_params["document_id"])


def own_document(request: Request) -> sqlite3.Row:
    """The document of the path: 404 for none, 403 when no own company is a party."""
    row: sqlite3.Row | None = (
        context(request)
        .connection.execute(
            """SELECT d.id, d.folio, d.xml, EXISTS (
                 SELECT 1 FROM entity e WHERE e.own AND e.id IN (d.sender_id, d.receiver_id)
               ) AS mine FROM document d WHERE d.id = ?""",
            (document_id(request),),
        )
        .fetchone()
    )
    if row is None:
        raise not_found()
    if not row["mine"]:
        raise Refusal(403, {"error": "No tienes acceso a este documento"})
    return row


def _int(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _opaque_id(connection: sqlite3.Connection, text: str) -> int | None:
    for (entity_id,) in connection.execute("SELECT id FROM entity"):
        if opaque(entity_id) == text:
            return int(entity_id)
    return None


def has_key(request: Request) -> bool:
    return find_key(request, context(request)) is not None


def find_key(request: Request, ctx: Context) -> Key | None:
    return keys.find(ctx.connection, ctx.key, request.headers.get("authorization", ""))
