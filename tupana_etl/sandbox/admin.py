"""Local levers of the world: pay, claim, add, delete, and its own truth to compare with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import store, truth, web
from tupana_etl.sandbox.model import (
    ACKNOWLEDGE_CODES,
    CLAIM_CODES,
    EVENT_NAMES,
    Document,
    Entity,
    Event,
)
from tupana_etl.sandbox.parties import Cast
from tupana_etl.sandbox.world import fresh


@dataclass
class Stats:
    """What the server was asked, admin routes apart."""

    requests: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    by_path: Counter[str] = field(default_factory=Counter)


async def pay(request: Request) -> Response:
    """POST {document_id}: marks it paid; ``updated_at`` does not move."""
    return await _change(request, lambda d, _: setattr(d, "is_paid", True))


async def unpay(request: Request) -> Response:
    """POST {document_id}: the payment is undone; ``updated_at`` does not move."""
    return await _change(request, lambda d, _: setattr(d, "is_paid", False))


async def claim(request: Request) -> Response:
    """POST {document_id, event_code=RCD}: the receiver claims it."""
    return await _change(
        request, lambda d, b: _register(d, b.get("event_code", "RCD"), CLAIM_CODES)
    )


async def acknowledge(request: Request) -> Response:
    """POST {document_id, event_code=ERM}: the receiver accepts it."""
    return await _change(
        request, lambda d, b: _register(d, b.get("event_code", "ERM"), ACKNOWLEDGE_CODES)
    )


async def delete(request: Request) -> Response:
    """POST {document_id}: it was never there; its cessions go with it."""
    body = await _body(request)
    document = _document(request, body)
    connection = web.context(request).connection
    with connection:
        connection.execute("BEGIN")
        store.delete_document(connection, document.id)
    return web.as_json({"deleted": document.id})


async def add(request: Request) -> Response:
    """POST {company, n=1, date=today}: fresh invoices of one company; answers their ids."""
    body = await _body(request)
    connection = web.context(request).connection
    today = store.today(connection)
    cast = _cast(request)
    company = next((e for e in cast.own if str(e.id) == str(body.get("company"))), None)
    if company is None:
        raise web.Refusal(400, {"error": "company must be the id of an own company."})
    day, count = _day(body.get("date"), today), body.get("n", 1)
    if not isinstance(count, int) or not 1 <= count <= 1000:
        raise web.Refusal(400, {"error": "n must be a whole number from 1 to 1000."})
    first = int(store.meta(connection, "next_id"))
    rng = Random(f"{store.meta(connection, 'seed')}/{first}")
    made = [fresh(rng, "33", company, day, cast) for _ in range(count)]
    for number, document in enumerate(made, first):
        document.id = number
        document.folio = str(9_000_000 + number)
    with connection:
        connection.execute("BEGIN")
        store.insert_documents(connection, made, today)
        store.set_meta(connection, "next_id", str(first + len(made)))
    return web.as_json({"document_ids": [d.id for d in made]})


async def show_truth(request: Request) -> Response:
    """GET: the world's own rows of a stream."""
    try:
        rows = truth.table(web.context(request).connection, str(request.path_params["table"]))
    except KeyError:
        raise web.not_found() from None
    return web.as_json({"rows": rows})


async def show_stats(request: Request) -> Response:
    """GET: what was asked so far, and how many entities look-ups created."""
    stats: Stats = request.app.state.stats
    query = "SELECT count(*) FROM entity WHERE looked_up"
    (created,) = web.context(request).connection.execute(query).fetchone()
    return web.as_json(
        {
            "requests": stats.requests,
            "by_path": dict(stats.by_path),
            "max_in_flight": stats.max_in_flight,
            "entities_created": created,
        }
    )


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except ValueError:
        raise web.Refusal(400, {"error": "The body is not JSON."}) from None
    if not isinstance(body, dict):
        raise web.Refusal(400, {"error": "The body is not an object."})
    return body


def _day(text: object, default: date) -> date:
    if text is None:
        return default
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise web.Refusal(400, {"error": f"date is {text!r}; write YYYY-MM-DD."}) from None


def _document(request: Request, body: dict[str, Any]) -> Document:
    asked = str(body.get("document_id", ""))
    found = (
        store.read_document(web.context(request).connection, int(asked))
        if asked.isdigit()
        else None
    )
    if found is None:
        raise web.not_found()
    return found


async def _change(
    request: Request, change: Callable[[Document, dict[str, Any]], object]
) -> Response:
    body = await _body(request)
    document = _document(request, body)
    change(document, body)
    connection = web.context(request).connection
    with connection:
        connection.execute("BEGIN")
        store.replace_document(connection, document)
    return web.as_json({"document_id": document.id, "is_paid": document.is_paid})


def _register(document: Document, code: str, allowed: frozenset[str]) -> None:
    if code not in allowed or code not in EVENT_NAMES:
        raise web.Refusal(400, {"error": f"event_code must be one of {sorted(allowed)}."})
    if not document.has_trace or document.received_at is None:
        raise web.Refusal(400, {"error": "SII's claim register does not know the document."})
    # One second after whatever happened last: two events never share a moment.
    last = max([document.received_at, *(e.at for e in document.events)])
    at = last + timedelta(seconds=1)
    body, digit = document.receiver.rut.split("-")
    document.events.append(Event(code, at, body, digit))
    document.updated_at = max(document.updated_at, at) + timedelta(seconds=1)


def _cast(request: Request) -> Cast:
    rows = web.context(request).connection.execute("SELECT * FROM entity ORDER BY id").fetchall()
    own = [_entity(r) for r in rows if r["own"]]
    others = [_entity(r) for r in rows if not r["own"] and not r["looked_up"]]
    today = store.today(web.context(request).connection)
    return Cast(own, others or own, others or own, [], today)


def _entity(row: Any) -> Entity:
    return Entity(row["id"], row["rut"], row["name"], own=bool(row["own"]))
