"""Puts the script of faults in front of the API's routes."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import date

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tupana_etl.sandbox import answers, damage, documents, population, store, web, wire
from tupana_etl.sandbox.faults import Fault, Script, Watched
from tupana_etl.sandbox.lists import opaque
from tupana_etl.sandbox.shape import path_of

_LISTS = frozenset(
    {
        *("/documents", "/cessions", "/scheduled-documents", "/book-summaries"),
        *("/sync-status", "/webhooks"),
    }
)
_ON_ROWS = frozenset({"empty", "unknown_fields", "wrong_types"})
_ON_PAGES = frozenset({"insert_while_paging", "delete_while_paging"})


@dataclass(frozen=True)
class Call:
    """One request on its way to the routes."""

    inner: ASGIApp
    context: web.Context
    scope: Scope
    receive: Receive
    send: Send


@dataclass(frozen=True)
class Ask:
    """What a fault is matched with."""

    path: str
    companies: frozenset[str]


def faulty(inner: ASGIApp, script: Script, context: web.Context) -> ASGIApp:
    """The application with the script's faults; a wrong key is told before any of them."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if not script.watched or web.find_key(request, context) is None:
            await inner(scope, receive, send)
            return
        due = _due(script, _ask(request, context.connection))
        if due is None:
            await inner(scope, receive, send)
            return
        # Taken before the first await: two requests at once cannot both have the last one.
        due.hits += 1
        if not await _strike(due.fault, Call(inner, context, scope, receive, send)):
            due.hits -= 1

    return app


def _due(script: Script, ask: Ask) -> Watched | None:
    """The first fault due; every matching one counts the request."""
    due = [w for w in script.watched if _matches(w.fault, ask) and w.strikes()]
    return due[0] if due else None


def _matches(fault: Fault, ask: Ask) -> bool:
    if not ask.path.startswith(fault.path) or "/files/" in ask.path:
        return False
    if fault.kind in _ON_PAGES and ask.path != "/documents":
        return False
    if fault.kind in _ON_ROWS | {"403_company"} and ask.path not in _LISTS:
        return False
    if fault.kind == "hide_company" and ask.path == "/credentials":
        return True
    if fault.kind == "hide_company" and len(ask.companies) > 1:
        return False  # the other party of the document still opens it
    return not fault.company or str(fault.company) in ask.companies


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
    return Ask(path, frozenset(ids))


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


async def _strike(fault: Fault, call: Call) -> bool:
    """Answers the request, badly; whether the fault had an effect."""
    ready = damage.ready(fault, path_of(call.scope))
    if ready is not None:
        await answers.give(ready, call.send)
        return True
    if fault.kind == "reset":
        await wire.reset(call.scope, call.receive)
        return True
    if fault.kind in _ON_PAGES:
        touched = _touch(fault, Request(call.scope), call.context)
        await call.inner(call.scope, call.receive, call.send)
        return touched
    answer = await answers.held(call.inner, call.scope, call.receive)
    if fault.kind == "reset_body":
        await wire.cut(answer, call.scope, call.receive, call.send)
        return True
    if fault.kind == "slow":
        await wire.drip(answer, call.send, int(fault.argument or 1000) / 1000)
        return True
    damaged = damage.done(fault, answer)
    await answers.give(damaged, call.send)
    return damaged.body != answer.body


def _touch(fault: Fault, request: Request, context: web.Context) -> bool:
    """Inserts a document at the front of the list asked for, or deletes one of it."""
    asked = request.query_params
    company = next(
        (
            e
            for e in population.own_companies(context.connection)
            if asked.get("master_entity_id") in {str(e.id), opaque(e.id)}
        ),
        None,
    )
    if company is None:
        return False
    if fault.kind == "insert_while_paging":
        today = store.today(context.connection).isoformat()
        day = str(fault.argument or min(today, asked.get("issue_date_lte", today)))
        side = asked.get("document_type", "issued")
        population.add(context.connection, company, 1, date.fromisoformat(day), side=side)
        return True
    try:
        where, values = documents.filters(request, context, company.id)
    except web.Refusal:
        return False  # the routes will say why
    row = context.connection.execute(
        f"SELECT d.id FROM document d WHERE {where} ORDER BY d.date_issued DESC, d.id DESC LIMIT 1",
        values,
    ).fetchone()
    if fault.argument is not None:
        row = (int(fault.argument),)
    if row is None:
        return False
    with context.connection:
        context.connection.execute("BEGIN")
        store.delete_document(context.connection, row[0])
    return True
