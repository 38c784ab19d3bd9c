"""POST /cessions/batch and what becomes of it, in both contracts.

No Idempotency-Key is documented, so each call is one of its own. 2026-04 answers 200 with
all results; since 2026-08 it is 202, and GET /cessions/batch/{id} tells of each document. A
cession is listed only once SII took it (DOCS-V1).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tupana_etl import domain
from tupana_etl.sandbox import cession_batches, clock, drafts, files, switches, web
from tupana_etl.sandbox.cession_batches import Order
from tupana_etl.sandbox.faults import Watched
from tupana_etl.sandbox.keys import Key

PATH = "/cessions/batch"
FAILS = "cession_fails"

_REQUIRED = (
    *("document_ids", "assignee_rut", "assignee_dv", "assignee_business_name"),
    *("assignee_address", "assignee_email"),
)
_CEDIBLE = frozenset({"33", "34"})
_PERSONAL = 70
"""Type of the SII credential that a cession needs: a person's."""


async def create(request: Request) -> Response:
    """POST /cessions/batch"""
    ctx, body = web.context(request), await request.body()
    key = web.find_key(request, ctx)
    if key is None:
        raise web.Refusal(401, web.NO_KEY)
    faults: list[Watched] = request.scope.get(web.FAULTS, [])
    batch_id = do(ctx, body, key, faults, clock.now(ctx.connection))
    if ctx.has_books:
        return web.as_json(cession_batches.accepted(ctx.connection, batch_id), 202)
    return web.as_json(
        cession_batches.results(
            ctx.connection, batch_id, lambda document_id: files.url(request, document_id, "xml")
        )
    )


async def poll(request: Request) -> Response:
    """GET /cessions/batch/{id}, since 2026-08."""
    ctx = web.context(request)
    batch_id = str(request.path_params["batch_id"])
    told = cession_batches.polled(ctx.connection, batch_id) if ctx.has_books else None
    if told is None:
        raise web.not_found()
    return web.as_json(told)


def do(ctx: web.Context, body: bytes, key: Key, faults: Sequence[Watched], now: float) -> str:
    """Stores the batch of a call; its id. Refuses with the API's answer."""
    if not key.can_issue:
        raise web.Refusal(403, {"error": "No tienes acceso a esta entidad"})
    order = _order(ctx.connection, body)
    failing: set[int] = set()
    for watched in faults:
        watched.hits += 1
        at = watched.fault.argument
        failing |= set(range(len(order.document_ids))) if at is None else {int(at)}
    wait = switches.of(ctx.connection).processing_seconds if ctx.has_books else 0.0
    batch_id = cession_batches.accept(ctx.connection, order, failing, now, now + wait)
    if not ctx.has_books:
        cession_batches.proceed(ctx.connection)
    return batch_id


def _order(connection: sqlite3.Connection, body: bytes) -> Order:
    try:
        asked = drafts.read(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise web.Refusal(400, {"error": "Invalid JSON"}) from None
    if not isinstance(asked, dict) or not isinstance(asked.get("master_entity_id"), int):
        raise web.Refusal(400, {"error": "master_entity_id is required in the request body"})
    missing = [name for name in _REQUIRED if not asked.get(name)]
    if missing:
        raise web.Refusal(400, {"error": f"Missing required fields: {', '.join(missing)}"})
    ids = asked["document_ids"]
    if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
        raise web.Refusal(400, {"error": "document_ids must be a list of integers"})
    rut = f"{asked['assignee_rut']}-{asked['assignee_dv']}"
    if not domain.valid_rut(rut):
        raise web.Refusal(400, {"error": "Invalid assignee RUT"})
    _check_company(connection, asked["master_entity_id"])
    _check_documents(connection, asked["master_entity_id"], ids)
    name = str(asked["assignee_business_name"])
    return Order(asked["master_entity_id"], ids, domain.canonical_rut(rut) or rut, name)


def _check_company(connection: sqlite3.Connection, entity_id: int) -> None:
    row = connection.execute(
        """SELECT own, EXISTS (
             SELECT 1 FROM credential c
             WHERE c.entity_id = e.id AND c.type_id = ? AND c.status = 'VALID'
           ) AS ready FROM entity e WHERE id = ?""",
        (_PERSONAL, entity_id),
    ).fetchone()
    if row is None or not row["own"]:
        raise web.Refusal(403, {"error": "No tienes acceso a esta entidad"})
    if not row["ready"]:
        message = (
            "No se encontraron credenciales SII válidas para esta entidad. "
            "La cesión requiere una credencial SII personal."
        )
        raise web.Refusal(400, {"error": message})


def _check_documents(connection: sqlite3.Connection, entity_id: int, ids: list[int]) -> None:
    marks = ", ".join("?" * len(ids))
    rows = connection.execute(
        f"SELECT id, folio, dte_type FROM document WHERE sender_id = ? AND id IN ({marks})",
        (entity_id, *ids),
    ).fetchall()
    if {r["id"] for r in rows} != set(ids):
        message = "Some documents were not found or don't belong to this entity"
        raise web.Refusal(404, {"error": message})
    invalid: list[dict[str, Any]] = [
        {"id": r["id"], "folio": r["folio"], "dte_code": r["dte_type"]}
        for r in rows
        if r["dte_type"] not in _CEDIBLE
    ]
    if invalid:
        message = "Only electronic invoices (DTE 33) or exempt invoices (DTE 34) can be assigned"
        raise web.Refusal(400, {"error": message, "invalid_documents": invalid})
