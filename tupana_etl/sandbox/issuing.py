"""Routes of batches: POST /documents/batch and GET /documents/batch/{id}."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import clock, desk, entries, idempotency, switches, web
from tupana_etl.sandbox.faults import Watched
from tupana_etl.sandbox.switches import Switches


@dataclass
class AtWork:
    """Idempotency-Keys whose first POST is not answered yet."""

    keys: dict[tuple[str, str], asyncio.Event] = field(default_factory=dict)


async def create(request: Request) -> Response:
    """POST /documents/batch"""
    ctx = web.context(request)
    submission = await submitted(request, ctx)
    how = switches.of(ctx.connection)
    faults: list[Watched] = request.scope.get(web.FAULTS, [])
    async with _alone(request.app.state.at_work, submission, how):
        if how.intake_ms:
            await asyncio.sleep(how.intake_ms / 1000)
        receipt = desk.submit(ctx, submission, faults, clock.now(ctx.connection))
        status = how.accepted_status
        if receipt.is_replay:
            status = how.replay_status or status
        return web.as_json(entries.accepted(request, receipt.batch_id), status)


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


async def submitted(request: Request, ctx: web.Context) -> desk.Submission:
    """The request as a submission, once its key may issue."""
    key = web.find_key(request, ctx)
    if key is None:
        raise web.Refusal(401, web.NO_KEY)
    if not key.can_issue:
        raise web.Refusal(403, {"error": "La API Key no tiene el permiso 'document:create'."})
    asked = request.headers.get("idempotency-key")
    if asked is not None and not 0 < len(asked) <= idempotency.LONGEST:
        message = f"Idempotency-Key: de 1 a {idempotency.LONGEST} caracteres."
        raise web.Refusal(400, {"error": "VALIDATION_ERROR", "message": message})
    defaults = request.headers.get("x-use-defaults", "").lower() == "true"
    return desk.Submission(await request.body(), asked, defaults, key)


@asynccontextmanager
async def _alone(
    at_work: AtWork, submission: desk.Submission, how: Switches
) -> AsyncIterator[None]:
    """Waits until no other POST with the key is in work, or refuses, or takes no notice."""
    used = submission.use(how)
    if used is None or how.same_key_at_once == "both":
        yield
        return
    place = (used.scope, used.key)
    while place in at_work.keys:
        if how.same_key_at_once == "conflict":
            raise web.Refusal(409, desk.IN_PROGRESS)
        await at_work.keys[place].wait()
    at_work.keys[place] = asyncio.Event()
    try:
        yield
    finally:
        at_work.keys.pop(place).set()
