"""The ASGI application: routes with and without trailing slash, key, latency, counting."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from functools import lru_cache

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tupana_etl.sandbox import (
    admin,
    admin_issuing,
    ceding,
    clock,
    desk,
    documents,
    draws,
    enrolling,
    faults,
    faulty,
    files,
    issuing,
    others,
    population,
    scheduling,
    shape,
    state_events,
    web,
    webhooks,
    wire,
)

Endpoint = Callable[[Request], Awaitable[Response]]

_LOOPBACK = {"127.0.0.1", "::1"}
_ID = re.compile(r"/([0-9]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=/|$)")

_READS: dict[str, Endpoint] = {
    "/v1/credentials": others.credentials,
    "/v1/credentials/enrollments/{enrollment_id:str}": enrolling.poll,
    "/v1/master-entities": others.master_entities,
    "/v1/documents": documents.listing,
    "/v1/documents/{document_id:int}": documents.detail,
    "/v1/documents/{document_id:int}/states": documents.states,
    "/v1/documents/batch/{batch_id:str}": issuing.poll,
    "/v1/cessions": others.cessions,
    "/v1/cessions/batch/{batch_id:str}": ceding.poll,
    "/v1/cessions/batches/{batch_id:str}": ceding.poll,
    "/v1/cessions/{cession_id:int}": others.cession,
    "/v1/scheduled-documents": others.scheduled_documents,
    "/v1/scheduled-documents/{schedule_id:int}": scheduling.show,
    "/v1/webhooks": others.webhooks,
    "/v1/book-summaries": others.book_summaries,
    "/v1/sync-status": others.sync_status,
}
_WRITES: dict[str, Endpoint] = {
    "/v1/credentials": enrolling.create,
    "/v1/scheduled-documents": scheduling.create,
    "/v1/webhooks": webhooks.create,
    "/v1/documents/batch": issuing.create,
    "/v1/documents/{document_id:int}/states": state_events.create,
    "/v1/cessions/batch": ceding.create,
}
ADMIN_READS: dict[str, Endpoint] = {
    "/truth/{table}": admin.show_truth,
    "/stats": admin.show_stats,
    "/faults": admin.show_script,
    "/issued": admin_issuing.show_issued,
    "/entries": admin_issuing.show_entries,
    "/ceded": admin_issuing.show_ceded,
    "/switches": admin_issuing.show_switches,
    "/deliveries": webhooks.show_deliveries,
}
ADMIN_WRITES: dict[str, Endpoint] = {
    "/pay": admin.pay,
    "/unpay": admin.unpay,
    "/claim": admin.claim,
    "/acknowledge": admin.acknowledge,
    "/add": admin.add,
    "/delete": admin.delete,
    "/clock": admin.move_clock,
    "/faults": admin.script,
    "/switches": admin_issuing.set_switches,
    "/keys": admin_issuing.set_key,
    "/credentials": admin_issuing.set_credentials,
    "/reject": admin_issuing.reject,
    "/reset": admin_issuing.reset,
    "/deliver": webhooks.deliver,
}
_ADMIN_PREFIXES = ("/_admin", "/v1/_admin")


def application(context: web.Context) -> ASGIApp:
    """The whole server around one open world."""
    inner = Starlette(
        routes=_routes(),
        exception_handlers={web.Refusal: _refuse, 404: _nowhere, 405: _nowhere},
    )
    inner.router.redirect_slashes = False
    stats, script = admin.Stats(), faults.Script(_first_faults(context))
    inner.state.context, inner.state.stats, inner.state.script = context, stats, script
    inner.state.at_work = issuing.AtWork()
    api: ASGIApp = inner
    if context.world.deviations:
        api = shape.shaped(api, context.world.deviations)
    api = faulty.faulty(api, script, context)
    return _counted(inner, api, context)


def _first_faults(context: web.Context) -> list[faults.Fault]:
    wanted = context.world.faults
    if not isinstance(wanted, int):
        return list(wanted or ())
    own = [str(e.id) for e in population.own_companies(context.connection)]
    return draws.reading(wanted, own)


def _routes() -> list[Route]:
    routes: list[Route] = []
    for path, endpoint in _READS.items():
        routes += _both(path, _keyed(endpoint), "GET")
    for path, endpoint in _WRITES.items():
        routes += _both(path, _keyed(endpoint), "POST")
    routes += _both("/v1/documents/{document_id:int}/files/{kind:str}", files.fetch, "GET")
    for prefix in _ADMIN_PREFIXES:
        for path, endpoint in ADMIN_READS.items():
            routes += _both(prefix + path, _keyed(_local(endpoint)), "GET")
        for path, endpoint in ADMIN_WRITES.items():
            routes += _both(prefix + path, _keyed(_local(endpoint)), "POST")
    return routes


def _both(path: str, endpoint: Endpoint, method: str) -> list[Route]:
    return [Route(p, endpoint, methods=[method]) for p in (path, f"{path}/")]


def _keyed(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        if not web.has_key(request):
            raise web.Refusal(401, web.NO_KEY)
        desk.catch_up(web.context(request))
        return await endpoint(request)

    return guarded


def _local(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        if request.client is None or request.client.host not in _LOOPBACK:
            raise web.not_found()
        return await endpoint(request)

    return guarded


def _refuse(_: Request, refusal: Exception) -> Response:
    if not isinstance(refusal, web.Refusal):
        raise refusal
    return web.as_json(refusal.body, refusal.status)


def _nowhere(_: Request, __: Exception) -> Response:
    return web.as_json({"detail": "No encontrado."}, 404)


@lru_cache(maxsize=1)
def _http_date(seconds: int) -> bytes:
    return format_datetime(clock.at(seconds), usegmt=True).encode()


def _counted(inner: Starlette, api: ASGIApp, context: web.Context) -> ASGIApp:
    """Counts the API's requests, waits the latency, and names each answer.

    The levers go straight to the inner application: they are never counted, never faulty.
    """
    numbers = itertools.count(1)
    stats: admin.Stats = inner.state.stats
    connection, latency = context.connection, context.world.latency_ms / 1000

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
            return
        name = f"req_{next(numbers):08x}".encode()

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(b"x-request-id", name), (b"date", _http_date(int(clock.now(connection))))]
                known = {header for header, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in more if header[0] not in known),
                ]
            await send(message)

        path: str = scope["path"]
        if path.startswith(_ADMIN_PREFIXES):
            await inner(scope, receive, named)
            return
        stats.requests += 1
        stats.by_path[_ID.sub("/{id}", path.removeprefix("/v1").rstrip("/"))] += 1
        stats.in_flight += 1
        stats.max_in_flight = max(stats.max_in_flight, stats.in_flight)
        try:
            if latency:
                await asyncio.sleep(latency)
            await api({**scope, wire.SEND: send}, receive, named)
        finally:
            stats.in_flight -= 1

    return app
