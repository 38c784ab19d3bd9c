"""Reads the body of POST /documents/batch, and refuses what is wrong with the whole of it."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from tupana_etl.sandbox import clock, drafts, folios, issue, store, validation, web
from tupana_etl.sandbox.notes import ANNULS
from tupana_etl.sandbox.switches import Switches
from tupana_etl.sandbox.validation import Unknown

Node = dict[str, Any]

_TAKEN = "El folio ya fue usado."


def read(
    ctx: web.Context, body: bytes, how: Switches, defaults: bool
) -> tuple[list[Node], list[Node]]:
    """Documents to issue, and warnings. Refuses all or none: 413, 422, 400, 403."""
    if len(body) > how.max_body_bytes:
        raise web.Refusal(413, {"error": "Request Entity Too Large"})
    documents = _documents(body)
    if len(documents) > how.max_documents:
        message = f"El lote supera el máximo de {how.max_documents} documentos."
        raise web.Refusal(413, {"error": message, "code": "too_many_documents"})
    if how.poison and how.poison.encode() in body:
        raise web.Refusal(422, {"error": "VALIDATION_ERROR", "message": "Lote no procesable."})
    by_contract: Unknown = "ignore" if ctx.world.contract == "2026-04" else "strict"
    unknown = how.unknown_fields or by_contract
    rules = validation.Rules(ctx.world.contract, defaults, unknown)
    found = [validation.check(d, rules) for d in documents]
    connection = ctx.connection
    if defaults:
        today = store.today(connection)
        documents = [
            d if f.errors else drafts.filled(d, today)
            for d, f in zip(documents, found, strict=True)
        ]
    for asked, checked in zip(documents, found, strict=True):
        if not checked.errors:
            _against_the_world(connection, asked, checked)
    _same_folios(documents, found)
    errors = {str(i): f.errors for i, f in enumerate(found) if f.errors}
    if errors:
        raise web.Refusal(422, {"documents": errors})
    for rut in {d["document_issuer"]["rut"] for d in documents}:
        _may_issue(connection, rut)
    warnings = [{"document_index": i, **w} for i, f in enumerate(found) for w in f.warnings]
    return documents, warnings


def _documents(body: bytes) -> list[Node]:
    """The documents of ``{"documents": [...]}`` or of the bare array (LLMS-FULL)."""
    try:
        asked = drafts.read(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise web.Refusal(422, {"error": "El cuerpo no es JSON válido."}) from None
    documents = asked.get("documents") if isinstance(asked, dict) else asked
    if not isinstance(documents, list) or not documents:
        raise web.Refusal(422, {"error": "Se esperaba una lista de documentos no vacía."})
    return documents


def _against_the_world(
    connection: sqlite3.Connection, asked: Node, found: validation.Found
) -> None:
    """What only the world can tell: a folio that is taken, a credit note's reason."""
    draft = drafts.made(connection, asked, 0, clock.at(clock.now(connection)))
    folio = asked.get("folio")
    if folio and folios.is_taken(connection, draft.sender.rut, draft.dte_type, folio):
        found.refuse("folio", _TAKEN)
    if draft.dte_type != "61":
        return
    for at, reference in enumerate(draft.references):
        original = issue.referenced(connection, draft.sender.rut, reference)
        whole = original is not None and original.total == draft.total
        if whole and reference.reference_reason != ANNULS:
            found.refuse(
                f"references.{at}.reference_reason",
                f"Para notas de crédito totales debe ser '{ANNULS}'.",
            )


def _same_folios(documents: list[Node], found: list[validation.Found]) -> None:
    """A batch that asks for a folio twice is refused for the second one."""
    seen = set()
    for asked, checked in zip(documents, found, strict=True):
        if checked.errors or not asked.get("folio"):
            continue
        key = (asked["document_issuer"]["rut"], asked["dte_type"]["code"], asked["folio"])
        if key in seen:
            checked.refuse("folio", _TAKEN)
        seen.add(key)


def _may_issue(connection: sqlite3.Connection, rut: str) -> None:
    """403 for a company of somebody else, 400 for one without valid credentials at SII."""
    row = connection.execute(
        """SELECT e.own, EXISTS (
             SELECT 1 FROM credential c WHERE c.entity_id = e.id AND c.status = 'VALID'
           ) AS ready FROM entity e WHERE e.rut = ?""",
        (rut,),
    ).fetchone()
    if row is None or not row["own"]:
        raise web.Refusal(403, {"error": "Sin acceso a la entidad emisora."})
    if not row["ready"]:
        raise web.Refusal(
            400, {"error": "Esta entidad no tiene credenciales SII válidas configuradas"}
        )
