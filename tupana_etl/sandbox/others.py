"""Routes of everything that is not a document."""

from __future__ import annotations

import re
import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tupana_etl import domain
from tupana_etl.sandbox import books, files, lists, store, web
from tupana_etl.sandbox.model import Entity

_RUT = re.compile(r"[0-9]{7,8}-[0-9Kk]")
_PERIOD = re.compile(r"[0-9]{4}(0[1-9]|1[0-2])")
_FREE_PAGE_SIZE = 25


async def credentials(request: Request) -> Response:
    """GET /credentials: a bare array."""
    rows = web.context(request).connection.execute(
        "SELECT c.*, e.name, e.rut FROM credential c JOIN entity e ON e.id = c.entity_id "
        "ORDER BY c.id"
    )
    return web.as_json([lists.credential(r) for r in rows])


async def master_entities(request: Request) -> Response:
    """GET /master-entities?rut=: one object. An unknown RUT **creates** an entity."""
    rut = request.query_params.get("rut", "")
    if not _RUT.fullmatch(rut):
        raise web.Refusal(
            400, {"error": "VALIDATION_ERROR", "message": "Parámetro 'rut' faltante o inválido"}
        )
    connection, rut = web.context(request).connection, rut.upper()
    found = _entity(connection, rut)
    if found is None:
        if not domain.valid_rut(rut):
            raise web.not_found()
        (last,) = connection.execute("SELECT max(id) FROM entity").fetchone()
        new = Entity((last or 0) + 1, rut, f"CONTRIBUYENTE {rut}", looked_up=True)
        store.insert_records(connection, "entity", [new])
        found = _entity(connection, rut)
    if found is None:
        raise web.not_found()
    answer = lists.entity(found)
    if not web.context(request).has_books:
        del answer["opaque_id"]
    return web.as_json(answer)


async def cessions(request: Request) -> Response:
    """GET /cessions: newest first, without links; the older contract knows one side."""
    company = _field_company(request)
    asked, ctx = request.query_params, web.context(request)
    side = asked.get("document_type", "issued") if ctx.has_books else "issued"
    if side not in {"issued", "received"}:
        raise web.Refusal(400, {"document_type": ["Use issued o received."]})
    mine, other = ("sender", "receiver") if side == "issued" else ("receiver", "sender")
    terms = [f"d.{mine}_id = :company"]
    found: dict[str, Any] = {"company": company}
    for name, term in (
        ("date_from", "substr(c.created_at, 1, 10) >= :date_from"),
        ("date_to", "substr(c.created_at, 1, 10) <= :date_to"),
        ("status", "c.status = :status"),
    ):
        if asked.get(name):
            terms.append(term)
            found[name] = asked[name]
    if asked.get("search"):
        terms.append(f"(d.{other}_name LIKE :search OR d.folio LIKE :search)")
        found["search"] = f"%{asked['search']}%"
    condition = " AND ".join(terms)
    query = f"SELECT c.id FROM {lists.CEDED} WHERE {condition} ORDER BY c.id DESC"
    ids = ctx.memory.ids(ctx.connection, query, found)
    part = web.page(request, len(ids), default_size=_FREE_PAGE_SIZE)
    shown = ", ".join(map(str, ids[part.offset : part.offset + part.size]))
    rows = ctx.connection.execute(
        f"{lists.CESSIONS} WHERE c.id IN ({shown}) ORDER BY c.id DESC"
    ).fetchall()
    results = [lists.cession(r, _aec_url(request, r)) for r in rows]
    return web.as_json({"count": part.count, "total_pages": part.total, "results": results})


async def cession(request: Request) -> Response:
    """GET /cessions/{id}"""
    connection = web.context(request).connection
    query = f"{lists.CESSIONS} WHERE c.id = ?"
    row = connection.execute(query, (int(request.path_params["cession_id"]),)).fetchone()
    if row is None:
        raise web.not_found()
    if not _is_own(connection, row["sender_id"], row["receiver_id"]):
        raise web.Refusal(403, {"detail": "No tienes acceso a esta cesión."})
    return web.as_json(lists.cession_detail(row, _aec_url(request, row)))


async def scheduled_documents(request: Request) -> Response:
    """GET /scheduled-documents"""
    company, asked = _error_company(request), request.query_params
    connection = web.context(request).connection
    terms = ["s.sender_id = :company"]
    found: dict[str, Any] = {"company": company}
    for name in ("status", "frequency", "dte_type"):
        if asked.get(name):
            terms.append(f"s.{name} = :{name}")
            found[name] = asked[name]
    query = f"{lists.SCHEDULES} WHERE {' AND '.join(terms)}"
    (count,) = connection.execute(f"SELECT count(*) FROM ({query})", found).fetchone()
    part = web.page(request, count)
    rows = connection.execute(
        f"{query} ORDER BY s.id LIMIT :size OFFSET :offset",
        {**found, "size": part.size, "offset": part.offset},
    )
    envelope: dict[str, Any] = {"count": part.count, "total_pages": part.total}
    envelope |= web.links(request, part)
    return web.as_json({**envelope, "results": [lists.schedule(r) for r in rows]})


async def webhooks(request: Request) -> Response:
    """GET /webhooks: a bare array, of all companies or of one."""
    company = _error_company(request) if "master_entity_id" in request.query_params else None
    rows = web.context(request).connection.execute(
        "SELECT * FROM webhook WHERE ?1 IS NULL OR entity_id = ?1 ORDER BY id", (company,)
    )
    return web.as_json([lists.webhook(r) for r in rows])


async def book_summaries(request: Request) -> Response:
    """GET /book-summaries, since 2026-07."""
    _need_new_contract(request)
    company, asked = _error_company(request), request.query_params
    period, operation = asked.get("period", ""), asked.get("operation")
    if not _PERIOD.fullmatch(period):
        raise web.Refusal(400, {"error": "period is required in YYYYMM format."})
    if operation not in {None, "COMPRA", "VENTA"}:
        raise web.Refusal(400, {"error": "operation must be COMPRA or VENTA."})
    connection = web.context(request).connection
    today = store.today(connection)
    rows = books.rows(connection, company, period, operation)
    results = [lists.book_row(r, today) for r in rows]
    return web.as_json({"count": len(results), "is_enabled": True, "results": results})


async def sync_status(request: Request) -> Response:
    """GET /sync-status, since 2026-07."""
    _need_new_contract(request)
    company = _error_company(request)
    query = "SELECT * FROM sync WHERE entity_id = ? ORDER BY scrape_type"
    rows = web.context(request).connection.execute(query, (company,)).fetchall()
    return web.as_json(lists.sync_status(company, rows))


def _need_new_contract(request: Request) -> None:
    if not web.context(request).has_books:
        raise web.not_found()


def _field_company(request: Request) -> int:
    return web.company(
        request,
        missing={"master_entity_id": ["Este campo es requerido."]},
        stranger={"detail": "No tienes acceso a esta entidad."},
    )


def _error_company(request: Request) -> int:
    return web.company(
        request,
        missing={"error": "master_entity_id es requerido."},
        stranger={"detail": "No tienes acceso a esta entidad."},
    )


def _entity(connection: sqlite3.Connection, rut: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM entity WHERE rut = ?", (rut,)
    ).fetchone()
    return row


def _is_own(connection: sqlite3.Connection, *entity_ids: int | None) -> bool:
    query = "SELECT 1 FROM entity WHERE own AND id IN (?, ?)"
    return connection.execute(query, entity_ids).fetchone() is not None


def _aec_url(request: Request, row: sqlite3.Row) -> str | None:
    if row["status"] != "success" or row["source"] != "internal":
        return None
    return files.url(request, row["document_id"], "xml")
