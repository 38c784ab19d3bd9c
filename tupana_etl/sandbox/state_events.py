"""POST /documents/{id}/states: payments by the issuer, legal events by the receiver.

PAID and UNPAID make an accounting entry each and say neither amount nor date; the others
are SII's, inside eight days of reception (Ley 19.983; SII, registro de reclamos). A repeated
PAID is booked again unless a switch says otherwise: nobody documents what happens.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import announce, clock, drafts, register, render, store, switches, web
from tupana_etl.sandbox.keys import Key
from tupana_etl.sandbox.model import EVENT_NAMES, Document

PAYMENTS = {"PAID": "Documento marcado como pagado", "UNPAID": "Documento marcado como no pagado"}
_SII = ("ERM", "ACD", "RCD", "RFT", "RFP")
_PAYABLE = frozenset({"33", "34", "39", "41"})
_READER = {"error": "La API Key no tiene permiso para registrar eventos."}


@dataclass(frozen=True)
class Registration:
    document_id: int
    body: bytes
    key: Key


async def create(request: Request) -> Response:
    """POST /documents/{id}/states"""
    ctx = web.context(request)
    document_id = int(web.own_document(request)["id"])
    key = web.find_key(request, ctx)
    if key is None:
        raise web.Refusal(401, web.NO_KEY)
    asked = Registration(document_id, await request.body(), key)
    return web.as_json(do(ctx, asked, clock.now(ctx.connection)))


def do(ctx: web.Context, asked: Registration, now: float) -> dict[str, Any]:
    """Registers the event. Refuses with the API's answer."""
    if not asked.key.can_issue:
        raise web.Refusal(403, _READER)
    code = _code(asked.body)
    document = store.read_document(ctx.connection, asked.document_id)
    if document is None:
        raise web.not_found()
    if code in PAYMENTS:
        registered = _pay(ctx.connection, document, code, now)
    else:
        _tell_sii(ctx.connection, document, code, now)
        registered = True
    event = {"PAID": "document.paid", "UNPAID": "document.unpaid"}.get(code)
    if registered:
        announce.announce(ctx, event or "document.trace_updated", [document])
    return _answer(document, code, registered)


def entries(connection: sqlite3.Connection, document_id: int) -> list[dict[str, Any]]:
    """Payments of a document as its history shows them, newest first."""
    rows = connection.execute(
        "SELECT e.*, d.sender_rut FROM entry e JOIN document d ON d.id = e.document_id "
        "WHERE e.document_id = ? AND e.event_code IN ('PAID', 'UNPAID') ORDER BY e.number DESC",
        (document_id,),
    )
    return [
        {
            "event_code": r["event_code"],
            "event_description": PAYMENTS[r["event_code"]],
            "event_date": render.local(clock.at(r["at"])),
            "responsable_rut": int(r["sender_rut"][:-2]),
            "responsable_dv": r["sender_rut"][-1],
            "rejected_by_user": None,
            "accepted_by_user": None,
        }
        for r in rows
    ]


def _code(body: bytes) -> str:
    try:
        asked = drafts.read(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        asked = None
    code = asked.get("event_code") if isinstance(asked, dict) else None
    if not code:
        raise web.Refusal(400, {"error": "Se requiere el código del evento (event_code)"})
    if code not in {*_SII, *PAYMENTS}:
        known = ", ".join((*_SII, *PAYMENTS))
        raise web.Refusal(400, {"error": f"Código de evento inválido. Debe ser uno de: {known}"})
    return str(code)


def _pay(connection: sqlite3.Connection, document: Document, code: str, now: float) -> bool:
    """Books a payment or its undoing; whether it was booked."""
    if not _is_own(connection, document.sender.id):
        raise web.Refusal(403, {"error": "Solo el emisor puede marcar el documento como pagado"})
    if not document.is_issued or document.dte_type not in _PAYABLE:
        raise web.Refusal(400, {"error": "El documento no admite este evento"})
    wanted, how = code == "PAID", switches.of(connection).repeated_payment
    if document.is_paid == wanted and how != "again":
        if how == "refused":
            raise web.Refusal(400, {"error": "El documento ya tiene ese estado de pago"})
        return False
    _book(connection, document, code, now)
    document.is_paid = wanted
    with connection:
        connection.execute("BEGIN")
        store.replace_document(connection, document)
    return True


def _tell_sii(connection: sqlite3.Connection, document: Document, code: str, now: float) -> None:
    if not _is_own(connection, document.receiver.id):
        raise web.Refusal(403, {"error": "Solo el receptor puede registrar este evento"})
    at = _world_moment(connection, now)
    refusal = register.refusal(document, code, at)
    if refusal is not None:
        message = f"Error al registrar evento en el SII: {refusal}"
        raise web.Refusal(400, {"success": False, "error": message, "error_code": "SII_ERROR"})
    register.add(document, code, at)
    _book(connection, document, code, now)
    with connection:
        connection.execute("BEGIN")
        store.replace_document(connection, document)


def _world_moment(connection: sqlite3.Connection, now: float) -> datetime:
    return drafts.moment(store.today(connection), clock.at(now))


def _book(connection: sqlite3.Connection, document: Document, code: str, now: float) -> None:
    connection.execute(
        "INSERT INTO entry (document_id, event_code, at, was_paid) VALUES (?, ?, ?, ?)",
        (document.id, code, now, document.is_paid),
    )


def _is_own(connection: sqlite3.Connection, entity_id: int | None) -> bool:
    query = "SELECT 1 FROM entity WHERE own AND id = ?"
    return connection.execute(query, (entity_id,)).fetchone() is not None


def _answer(document: Document, code: str, registered: bool) -> dict[str, Any]:
    paid = {"PAID": "PAID", "UNPAID": "NOT_PAID"}.get(code)
    told: dict[str, Any] = msgspec.json.decode("{" + render.lean(document) + "}")
    if paid is not None:
        told["document_status"] = {"paid_status": paid}
    return {
        "success": True,
        "event_registered": registered,
        "message": PAYMENTS.get(code) or f"{EVENT_NAMES[code]}: registrado.",
        "event_data": {},
        "document": told,
        "email_preview_data": {},
    }
