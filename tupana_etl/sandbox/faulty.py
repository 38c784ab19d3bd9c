"""Puts the script of faults in front of the API's routes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tupana_etl.sandbox import answers, documents, population, store, web, wire
from tupana_etl.sandbox.answers import Answer
from tupana_etl.sandbox.faults import Fault, Script, Watched
from tupana_etl.sandbox.lists import opaque
from tupana_etl.sandbox.shape import path_of

_HTML = "text/html; charset=utf-8"
_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
_LISTS = frozenset(
    {
        *("/documents", "/cessions", "/scheduled-documents", "/book-summaries"),
        *("/sync-status", "/webhooks"),
    }
)
_ON_ROWS = frozenset({"empty", "unknown_fields", "wrong_types"})
_ON_PAGES = frozenset({"insert_while_paging", "delete_while_paging"})
_SPOILED = ("amount_with_iva", "date_issued", "updated_at", "assignment_amount", "amount")


@dataclass(frozen=True)
class Ask:
    """What a fault is matched with."""

    path: str
    companies: frozenset[str]


def faulty(inner: ASGIApp, script: Script, context: web.Context) -> ASGIApp:
    """The application with the script's faults; a wrong key is told before any of them."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if not script.watched or not web.knows_key(request, context.key):
            await inner(scope, receive, send)
            return
        due = _due(script, _ask(request, context.connection))
        if due is None:
            await inner(scope, receive, send)
            return
        # Taken before the first await: two requests at once cannot both have the last one.
        due.hits += 1
        if not await _strike(due.fault, inner, context, scope, receive, send):
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


async def _strike(
    fault: Fault, inner: ASGIApp, context: web.Context, scope: Scope, receive: Receive, send: Send
) -> bool:
    """Answers the request, badly; whether the fault had an effect."""
    ready = _ready(fault, path_of(scope))
    if ready is not None:
        await answers.give(ready, send)
        return True
    if fault.kind == "reset":
        await wire.reset(scope, receive)
        return True
    if fault.kind in _ON_PAGES:
        touched = _touch(fault, Request(scope), context)
        await inner(scope, receive, send)
        return touched
    answer = await answers.held(inner, scope, receive)
    if fault.kind == "reset_body":
        await wire.cut(answer, scope, receive, send)
        return True
    if fault.kind == "slow":
        await wire.drip(answer, send, int(fault.argument or 1000) / 1000)
        return True
    if fault.kind == "truncated":
        half = Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2])
        await answers.give(half, send)
        return True
    spoiled = answers.changed(answer, lambda body: _CHANGES[fault.kind](body, fault))
    await answers.give(spoiled, send)
    return spoiled.body != answer.body


def _ready(fault: Fault, path: str) -> Answer | None:
    """The answer of a fault that needs no routes, None for the other kinds."""
    match fault.kind:
        case "429":
            body = {"error": "Demasiadas solicitudes", "code": "rate_limited"}
            return answers.made(429, body, **_retry_after(fault))
        case "503":
            return answers.made(
                503, {"error": "Servidor ocupado", "code": "server_busy"}, **_retry_after(fault)
            )
        case "500":
            return answers.made(
                500, {"error": "INTERNAL_ERROR", "message": "Error interno del servidor"}
            )
        case "502_html":
            return answers.made(502, _PAGE.format("502 Bad Gateway"), kind=_HTML)
        case "not_json":
            return answers.made(200, _PAGE.format("Estamos en mantención"), kind=_HTML)
        case "401":
            return answers.made(
                401, {"error_code": "INVALID_API_KEY", "message": "API Key inválida o faltante"}
            )
        case "403_company":
            return answers.made(403, {"detail": "No tienes acceso a esta entidad."})
        case "hide_company" if path != "/credentials":
            return answers.made(403, {"detail": "No tienes acceso a esta entidad."})
    return None


def _retry_after(fault: Fault) -> dict[str, str]:
    if fault.argument is None:
        return {}
    if fault.argument == "date":
        soon = datetime.now(UTC) + timedelta(seconds=1)
        return {"retry_after": format_datetime(soon, usegmt=True)}
    return {"retry_after": str(fault.argument)}


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
        day = fault.argument or asked.get("issue_date_lte") or store.today(context.connection)
        side = asked.get("document_type", "issued")
        population.add(context.connection, company, 1, date.fromisoformat(str(day)), side=side)
        return True
    where, values = documents.filters(request, context, company.id)
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


def _without_company(body: Any, fault: Fault) -> Any:
    """/credentials without those of a company, whichever envelope it comes in."""
    gone = str(fault.company)
    rows = answers.rows_of(body)
    kept = [r for r in rows if gone not in {str(e["id"]) for e in r["master_entities"]}]
    return kept if isinstance(body, list) else {**body, "count": len(kept), "results": kept}


def _emptied(body: Any, _: Fault) -> Any:
    if isinstance(body, list):
        return []
    if "results" not in body:
        return {**body, "types": []}
    none = {"count": 0, "total_pages": 1, "next": None, "previous": None, "results": []}
    return {key: none.get(key, value) for key, value in body.items()}


def _with_unknown(body: Any, _: Fault) -> Any:
    for row in answers.rows_of(body)[::2]:
        row["campo_nuevo"] = {"desde": "2026-11", "valor": 1}
    return body


def _with_wrong_type(body: Any, fault: Fault) -> Any:
    rows = answers.rows_of(body)
    names = [str(fault.argument)] if fault.argument else list(_SPOILED)
    row = rows[len(rows) // 2] if rows else {}
    name = next((n for n in names if n in row), None)
    if name is not None:
        row[name] = {"unexpected": row[name]}
    return body


_CHANGES: dict[str, Callable[[Any, Fault], Any]] = {
    "hide_company": _without_company,
    "empty": _emptied,
    "unknown_fields": _with_unknown,
    "wrong_types": _with_wrong_type,
}
