"""Local levers of the world: pay, claim, add, delete, and its own truth to compare with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import (
    announce,
    clock,
    digest,
    draws,
    faults,
    population,
    register,
    store,
    truth,
    web,
)
from tupana_etl.sandbox.model import ACKNOWLEDGE_CODES, CLAIM_CODES, EVENT_NAMES, Document

MOST_ADDED = 10_000
"""Documents that one call adds: all of them are in memory at once."""


@dataclass
class Stats:
    """What the server was asked, admin routes apart."""

    requests: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    by_path: Counter[str] = field(default_factory=Counter)


async def pay(request: Request) -> Response:
    """POST {document_id | document_ids}: marks it paid; ``updated_at`` does not move."""
    return await _change(request, lambda d, _: setattr(d, "is_paid", True), "document.paid")


async def unpay(request: Request) -> Response:
    """POST {document_id | document_ids}: payment undone; ``updated_at`` does not move."""
    return await _change(request, lambda d, _: setattr(d, "is_paid", False), "document.unpaid")


async def claim(request: Request) -> Response:
    """POST {document_id | document_ids, event_code=RCD}: the receiver claims it."""
    return await _change(
        request,
        lambda d, b: _register(d, b.get("event_code", "RCD"), CLAIM_CODES),
        "document.trace_updated",
    )


async def acknowledge(request: Request) -> Response:
    """POST {document_id | document_ids, event_code=ERM}: the receiver accepts it."""
    return await _change(
        request,
        lambda d, b: _register(d, b.get("event_code", "ERM"), ACKNOWLEDGE_CODES),
        "document.trace_updated",
    )


async def delete(request: Request) -> Response:
    """POST {document_id | document_ids}: never there; their cessions go with them."""
    documents = documents_of(request, await body_of(request))
    connection = web.context(request).connection
    with connection:
        connection.execute("BEGIN")
        for document in documents:
            store.delete_document(connection, document.id)
    return web.as_json({"document_ids": [d.id for d in documents]})


async def add(request: Request) -> Response:
    """POST {company, n=1, date=today, document_type?}: fresh invoices; answers their ids."""
    body = await body_of(request)
    connection = web.context(request).connection
    own = population.own_companies(connection)
    company = next((e for e in own if str(e.id) == str(body.get("company"))), None)
    if company is None:
        raise web.Refusal(400, {"error": "company must be the id of an own company."})
    day, count = _day(body.get("date"), store.today(connection)), body.get("n", 1)
    if not isinstance(count, int) or not 1 <= count <= MOST_ADDED:
        raise web.Refusal(400, {"error": f"n must be a whole number from 1 to {MOST_ADDED}."})
    side = body.get("document_type")
    if side not in {None, "issued", "received"}:
        raise web.Refusal(400, {"error": "document_type must be issued or received."})
    made = population.add(connection, company, count, day, side=side)
    return web.as_json({"document_ids": made})


async def move_clock(request: Request) -> Response:
    """POST {days} or {hours} or {seconds}: the clock moves on, and the world's today with
    every midnight it passes; only what the calendar changes changes. Hours and seconds may
    be negative: the clock goes back, today never does."""
    body, connection = await body_of(request), web.context(request).connection
    days, hours, seconds = (body.get(name, 0) for name in ("days", "hours", "seconds"))
    if "days" in body and not (isinstance(days, int) and 1 <= days <= 3650):
        raise web.Refusal(400, {"error": "days must be a whole number from 1 to 3650."})
    if not body or not all(isinstance(x, int | float) for x in (hours, seconds)):
        raise web.Refusal(400, {"error": "hours and seconds must be numbers."})
    today = clock.move(connection, days=days, seconds=hours * 3600 + seconds)
    now = clock.zulu(clock.now(connection))
    return web.as_json({"today": today.isoformat(), "now": now})


async def script(request: Request) -> Response:
    """POST {faults} or {seed, n=6, of=reading|writing}: replaces the script; an empty list
    clears it."""
    body = await body_of(request)
    running: faults.Script = request.app.state.script
    if "seed" in body:
        own = population.own_companies(web.context(request).connection)
        seed, count = body["seed"], body.get("n", draws.SOME)
        if not isinstance(seed, int) or not isinstance(count, int):
            raise web.Refusal(400, {"error": "seed and n must be whole numbers."})
        if body.get("of") == "writing":
            running.replace(draws.writing(seed, count))
        else:
            running.replace(draws.reading(seed, [str(e.id) for e in own], count))
    else:
        try:
            running.replace(faults.parse(body.get("faults")))
        except ValueError as wrong:
            raise web.Refusal(400, {"error": str(wrong)}) from None
    return await show_script(request)


async def show_script(request: Request) -> Response:
    """GET: each fault with how many requests it saw (``seen``) and hit (``hits``)."""
    running: faults.Script = request.app.state.script
    return web.as_json({"faults": running.told()})


async def show_truth(request: Request) -> Response:
    """GET: the world's own rows of a stream; with ``digest`` what they add up to."""
    ctx, stream = web.context(request), str(request.path_params["table"])
    try:
        if "digest" in request.query_params:
            return web.as_json(digest.of(ctx.connection, ctx.world, stream))
        return web.as_json({"rows": list(truth.rows(ctx.connection, ctx.world, stream))})
    except KeyError:
        raise web.not_found() from None


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


async def body_of(request: Request) -> dict[str, Any]:
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


def documents_of(request: Request, body: dict[str, Any]) -> list[Document]:
    """The documents named by ``document_id`` or ``document_ids``; one unknown, none done."""
    asked = body.get("document_ids", [body.get("document_id", "")])
    if not isinstance(asked, list):
        raise web.Refusal(400, {"error": "document_ids must be a list."})
    connection = web.context(request).connection
    found = [
        store.read_document(connection, int(i)) if i.isdigit() else None for i in map(str, asked)
    ]
    documents = [d for d in found if d is not None]
    if len(documents) < len(found):
        raise web.not_found()
    return documents


async def _change(
    request: Request, change: Callable[[Document, dict[str, Any]], object], event: str
) -> Response:
    body = await body_of(request)
    documents = documents_of(request, body)
    for document in documents:
        change(document, body)
    connection = web.context(request).connection
    with connection:
        connection.execute("BEGIN")
        for document in documents:
            store.replace_document(connection, document)
    announce.announce(web.context(request), event, documents)
    return web.as_json({"document_ids": [d.id for d in documents]})


def _register(document: Document, code: str, allowed: frozenset[str]) -> None:
    if code not in allowed or code not in EVENT_NAMES:
        raise web.Refusal(400, {"error": f"event_code must be one of {sorted(allowed)}."})
    if not document.has_trace or document.received_at is None:
        raise web.Refusal(400, {"error": "SII's claim register does not know the document."})
    register.add(document, code)
