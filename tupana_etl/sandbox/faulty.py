"""Puts the script of faults in front of the API's routes."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tupana_etl.sandbox import ceding, clock, desk, kinds, pages, population, web
from tupana_etl.sandbox.faults import Fault, Script, Watched
from tupana_etl.sandbox.lists import opaque
from tupana_etl.sandbox.shape import path_of
from tupana_etl.sandbox.strikes import Call, strike

_LISTS = frozenset(
    {
        *("/documents", "/cessions", "/scheduled-documents", "/book-summaries"),
        *("/sync-status", "/webhooks"),
    }
)
_ON_ROWS = frozenset({"empty", "unknown_fields", "wrong_types"})


@dataclass(frozen=True)
class Ask:
    """What a fault is matched with."""

    method: str
    path: str
    companies: frozenset[str]


def faulty(inner: ASGIApp, script: Script, context: web.Context) -> ASGIApp:
    """The application with the script's faults; a wrong key is told before any of them."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if not script.watched or web.find_key(request, context) is None:
            await inner(scope, receive, send)
            return
        desk.catch_up(context)
        due = _due(script, _ask(request, context.connection), clock.now(context.connection))
        holding = [w for w in due if w.fault.kind in kinds.ORDERS]
        struck = next((w for w in due if w.fault.kind not in kinds.ORDERS), None)
        scope = {**scope, web.FAULTS: holding}
        if struck is None:
            await inner(scope, receive, send)
            return
        # Taken before the first await: two requests at once cannot both have the last one.
        struck.hits += 1
        if not await strike(struck.fault, Call(inner, context, scope, receive, send)):
            struck.hits -= 1

    return app


def _due(script: Script, ask: Ask, now: float) -> list[Watched]:
    """The faults due; every matching one counts the request."""
    return [w for w in script.watched if _matches(w.fault, ask) and w.strikes(now)]


def _matches(fault: Fault, ask: Ask) -> bool:
    if not ask.path.startswith(fault.path) or "/files/" in ask.path:
        return False
    if fault.method not in {"", ask.method} or not _concerns(fault.kind, ask):
        return False
    if fault.kind == "hide_company" and ask.path == "/credentials":
        return True
    if fault.kind == "hide_company" and len(ask.companies) > 1:
        return False  # the other party of the document still opens it
    return not fault.company or str(fault.company) in ask.companies


def _concerns(kind: str, ask: Ask) -> bool:
    """Whether a kind of fault can strike such a request at all."""
    if kind in kinds.ORDERS:
        path = ceding.PATH if kind == ceding.FAILS else desk.BATCH
        return (ask.method, ask.path) == ("POST", path)
    if kind in pages.KINDS:
        return ask.path == "/documents"
    return kind not in _ON_ROWS | {"403_company"} or ask.path in _LISTS


def _ask(request: Request, connection: sqlite3.Connection) -> Ask:
    """A request's path and the user's companies it is about: a detail may be of two."""
    path = path_of(request.scope)
    asked = request.query_params
    own = population.own_companies(connection)
    wanted = asked.get("master_entity_id")
    if wanted is not None:
        ids = {str(e.id) for e in own if wanted in {str(e.id), opaque(e.id)}}
    elif "rut" in asked:
        ids = {str(e.id) for e in own if e.rut == asked["rut"].upper()}
    else:
        parties = _parties(connection, path)
        ids = {str(e.id) for e in own if e.id in parties}
    return Ask(request.method, path, frozenset(ids))


def _parties(connection: sqlite3.Connection, path: str) -> set[int | None]:
    parts = path.split("/")
    if len(parts) < 3 or parts[1] not in {"documents", "cessions"} or not parts[2].isdigit():
        return set()
    joined = "" if parts[1] == "documents" else "JOIN cession c ON c.document_id = d.id"
    row = connection.execute(
        f"SELECT sender_id, receiver_id FROM document d {joined} "
        f"WHERE {'d' if not joined else 'c'}.id = ?",
        (int(parts[2]),),
    ).fetchone()
    return set(row) if row else set()
