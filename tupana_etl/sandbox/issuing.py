"""Routes of batches: POST /documents/batch and GET /documents/batch/{id}."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import (
    batches,
    clock,
    drafts,
    entries,
    idempotency,
    intake,
    orders,
    switches,
    web,
)
from tupana_etl.sandbox.faults import Watched
from tupana_etl.sandbox.switches import Switches

ORDERS = "tupana.orders"
"""Where the scope keeps the faults that take hold of an accepted batch."""

_REFUSED = {"error": "VALIDATION_ERROR"}


@dataclass
class AtWork:
    """Idempotency-Keys whose first POST is not answered yet."""

    keys: dict[tuple[str, str], asyncio.Event] = field(default_factory=dict)


async def create(request: Request) -> Response:
    """POST /documents/batch"""
    key = web.api_key(request)
    if not key.can_issue:
        raise web.Refusal(403, {"error": "La API Key no tiene el permiso 'document:create'."})
    body = await request.body()
    connection = web.context(request).connection
    how = switches.of(connection)
    asked = request.headers.get("idempotency-key")
    if asked is not None and not 0 < len(asked) <= idempotency.LONGEST:
        message = f"Idempotency-Key: de 1 a {idempotency.LONGEST} caracteres."
        raise web.Refusal(400, {**_REFUSED, "message": message})
    scope = "user" if how.key_scope == "user" else key.name
    used = idempotency.use(scope, asked, body)
    at_work: AtWork = request.app.state.at_work
    mine = await _turn(at_work, used, how)
    try:
        if how.intake_ms:
            await asyncio.sleep(how.intake_ms / 1000)
        return _created(request, body, used, how)
    finally:
        if mine is not None:
            mine.set()
            at_work.keys.pop((scope, asked or ""), None)


async def poll(request: Request) -> Response:
    """GET /documents/batch/{id}, in contracts that have it."""
    ctx = web.context(request)
    there = switches.of(ctx.connection).batch_get
    if not (ctx.has_books if there is None else there):
        raise web.not_found()
    found = entries.polled(request, str(request.path_params["batch_id"]))
    if found is None:
        raise web.not_found()
    return web.as_json(found)


async def _turn(
    at_work: AtWork, used: idempotency.Use | None, how: Switches
) -> asyncio.Event | None:
    """Waits until no other POST with the key is in work, or refuses, or takes no notice."""
    if used is None or how.same_key_at_once == "both":
        return None
    place = (used.scope, used.key)
    while place in at_work.keys:
        if how.same_key_at_once == "conflict":
            raise web.Refusal(
                409,
                {
                    "error": "La solicitud original aún se está procesando.",
                    "code": "idempotency_key_in_progress",
                },
            )
        await at_work.keys[place].wait()
    at_work.keys[place] = asyncio.Event()
    return at_work.keys[place]


def _created(
    request: Request, body: bytes, used: idempotency.Use | None, how: Switches
) -> Response:
    connection = web.context(request).connection
    now = clock.now(connection)
    due = _orders(request)
    forgetful = any(w.fault.kind == "forget_key" for w in due)
    known = None
    if used is not None and not forgetful and how.same_key_at_once != "both":
        known = idempotency.find(connection, used, now - how.key_hours * 3600)
    if known is not None and used is not None:
        return _replayed(request, known, used, how)
    try:
        documents, warnings = intake.read(request, body, how)
    except web.Refusal as refusal:
        if how.keys_burnt_by_422 and refusal.status == 422 and used is not None:
            told = msgspec.json.encode(refusal.body).decode()
            idempotency.keep(connection, used, now, refusal=told)
        raise
    for watched in due:
        watched.hits += 1
    found = batches.Intake(
        documents,
        warnings,
        orders.give([w.fault for w in due], len(documents)),
        web.api_key(request).environment == "sandbox",
        used,
        now,
    )
    batch_id = batches.accept(connection, found)
    return web.as_json(entries.accepted(request, batch_id), how.accepted_status)


def _replayed(request: Request, known: Any, used: idempotency.Use, how: Switches) -> Response:
    """The original batch as it stands now, or the refusal the key was burnt by."""
    other = known["body_hash"] != used.body_hash
    if other and how.same_key_other_body == "conflict":
        raise web.Refusal(
            409,
            {
                "error": "Idempotency-Key ya fue usada con otro contenido.",
                "code": "idempotency_key_reused",
            },
        )
    if known["batch_id"] is None:
        raise web.Refusal(422, drafts.read(known["refusal"]))
    status = how.replay_status or how.accepted_status
    return web.as_json(entries.accepted(request, known["batch_id"]), status)


def _orders(request: Request) -> list[Watched]:
    found: list[Watched] = request.scope.get(ORDERS, [])
    return found
