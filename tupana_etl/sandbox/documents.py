"""Routes of documents: list, detail, states and files."""

from __future__ import annotations

import re
import sqlite3
from datetime import date, datetime
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import clock, files, paging, render, state_events, store, switches, web
from tupana_etl.sandbox.deviations import SANDBOX
from tupana_etl.sandbox.model import UNDATED

_KEY = re.compile(r"[A-Za-z0-9_]{1,64}")
_LABELLED = """d.id IN (
    SELECT document_id FROM json_param
    WHERE key = :json_key_{key} AND value = :json_{key} AND searchable_at <= :json_now)"""
_SHOWN = """NOT EXISTS (
    SELECT 1 FROM issued i WHERE i.document_id = d.id AND i.issued_at > :shown_since)"""
NEVER = 1e12
"""Seconds since 1970 that no clock reaches."""
_TRUE = {"true", "1", "True"}


async def listing(request: Request) -> Response:
    """GET /documents: newest issue date first, then highest id."""
    company = web.company(
        request,
        missing={"error": "VALIDATION_ERROR", "message": "master_entity_id es requerido."},
        stranger={"error": "AUTHORIZATION_ERROR", "message": "Sin acceso a esta entidad"},
    )
    ctx = web.context(request)
    where, values = filters(request, ctx, company)
    listed = ctx.memory.of(ctx.connection, where, values)
    asked = web.page(request, listed.count)
    rows = _page(ctx.connection, listed, asked, where, values)
    parts = _parts(request)
    results = ",".join("{" + "".join(row[p] for p in parts) + "}" for row in rows)
    envelope = {"count": asked.count, "total_pages": asked.total, **web.links(request, asked)}
    opened = msgspec.json.encode(envelope).decode()[:-1]
    return web.raw_json(f'{opened},"results":[{results}]}}')


def _page(
    connection: sqlite3.Connection,
    listed: paging.List,
    asked: web.Page,
    where: str,
    values: dict[str, Any],
) -> list[sqlite3.Row]:
    """JSON fragments of a page's documents, found from the nearest page read before."""
    border, skipped = listed.nearest(asked.offset)
    if border is not None:
        where = f"{where} AND (d.date_issued, d.id) < (:border_date, :border_id)"
        values = {**values, "border_date": border[0], "border_id": border[1]}
    rows = connection.execute(
        f"""
        WITH listed AS (
          SELECT d.id, d.date_issued FROM document d WHERE {where}
          ORDER BY d.date_issued DESC, d.id DESC LIMIT :size OFFSET :skipped)
        SELECT listed.date_issued, listed.id, {store.LEAN},
               b.trace_info, b.rest, b.log, b.traces, b.book
        FROM listed JOIN document d ON d.id = listed.id JOIN body b ON b.document_id = d.source
        ORDER BY listed.date_issued DESC, listed.id DESC""",
        {**values, "size": asked.size, "skipped": skipped},
    ).fetchall()
    if rows:
        listed.remember(asked.offset + len(rows), (rows[-1]["date_issued"], rows[-1]["id"]))
    return rows


async def detail(request: Request) -> Response:
    """GET /documents/{id}: everything, with a URL of the PDF that dies in an hour."""
    row = web.own_document(request)
    body = _body(request, row["id"])
    extra = {"pdf": files.url(request, row["id"], "pdf"), "xml": row["xml"]}
    old = web.context(request).world.contract == "2026-04"
    names = ["lean", "rest", "log", "trace_info", "traces"] + ([] if old else ["book"])
    inside = "".join(body[name] for name in names)
    return web.raw_json("{" + inside + render.fragment(extra) + "}")


async def states(request: Request) -> Response:
    """GET /documents/{id}/states: events of the claim register, newest first."""
    row = web.own_document(request)
    connection = web.context(request).connection
    document = store.read_document(connection, row["id"])
    if document is None:
        raise web.not_found()
    body = _body(request, row["id"])
    old = web.context(request).world.contract == "2026-04"
    inside = body["lean"] + ("" if old else body["trace_info"])
    events = [
        {**event, "rejected_by_user": None, "accepted_by_user": None}
        for event in render.events(document)
    ]
    if switches.of(connection).payments_in_states:
        events += state_events.entries(connection, row["id"])
        events.sort(key=lambda e: datetime.fromisoformat(e["event_date"]), reverse=True)
    return web.as_json(
        {
            "success": True,
            "document_id": row["id"],
            "folio": row["folio"],
            "states": events,
            "document": msgspec.Raw(("{" + inside + "}").encode()),
        }
    )


def _body(request: Request, document_id: int) -> sqlite3.Row:
    query = f"""
        SELECT {store.LEAN}, b.trace_info, b.rest, b.log, b.traces, b.book
        FROM document d JOIN body b ON b.document_id = d.source WHERE d.id = ?"""
    row: sqlite3.Row = web.context(request).connection.execute(query, (document_id,)).fetchone()
    return row


def _parts(request: Request) -> list[str]:
    """Which fragments a list row is made of."""
    world, asked = web.context(request).world, request.query_params
    new = world.contract != "2026-04"
    parts = ["lean"]
    if new:
        parts.append("trace_info")
    if world.list_rows == "rich":
        parts += ["rest", "log"]
    if new and asked.get("include_trace_events") in _TRUE:
        parts.append("traces")
    if new and asked.get("include_book_metadata") in _TRUE:
        parts.append("book")
    return parts


def filters(request: Request, context: web.Context, company: int) -> tuple[str, dict[str, Any]]:
    """SQL condition and its values. A folio makes every other filter void."""
    asked = request.query_params
    received = _side(asked.get("document_type", "issued")) == "received"
    mine, other = ("receiver", "sender") if received else ("sender", "receiver")
    terms = [_whose(mine, context.world.deviations)]
    found: dict[str, Any] = {"company": company}
    if "folio" in asked:
        sandbox = "sandbox_folios" in context.world.deviations
        folio = f"'{SANDBOX}' || d.id" if sandbox else "d.folio"
        terms.append(f"d.folio IS NOT NULL AND {folio} = :folio")
        found["folio"] = asked["folio"]
        return " AND ".join(terms), found
    if asked.get("search"):
        terms.append(f"(d.{other}_name LIKE :search OR d.{other}_rut LIKE :search)")
        found["search"] = f"%{asked['search']}%"
    if asked.get("dte_type__code__in"):
        codes = asked["dte_type__code__in"].split(",")
        terms.append(f"d.dte_type IN ({', '.join(f':type{i}' for i in range(len(codes)))})")
        found |= {f"type{i}": code.strip() for i, code in enumerate(codes)}
    if received and asked.get("issuer_tax_id"):
        terms.append("d.sender_rut = :issuer")
        found["issuer"] = asked["issuer_tax_id"].replace(".", "")
    if context.world.contract != "2026-04":
        _newer_filters(request, terms, found)
    how = switches.of(context.connection)
    if how.list_seconds:
        terms.append(_SHOWN)
        found["shown_since"] = clock.now(context.connection) - how.list_seconds
    by_contract = "ignored" if context.world.contract == "2026-04" else "on"
    _metadata_filters(request, context, how.json_param_filter or by_contract, (terms, found))
    return " AND ".join(terms), found


def _whose(mine: str, deviations: frozenset[str]) -> str:
    if "company_ignored" in deviations:
        return f"d.{mine}_id IN (SELECT id FROM entity WHERE own AND :company > 0)"
    if "side_ignored" in deviations:
        return ":company IN (d.sender_id, d.receiver_id)"
    return "d.sender_id = :company" if "only_issued" in deviations else f"d.{mine}_id = :company"


def _newer_filters(request: Request, terms: list[str], found: dict[str, Any]) -> None:
    """Filters documented since 2026-05; the older contract ignores them without a word."""
    conditions = {
        "issue_date_gte": "d.date_issued >= :issue_date_gte",
        "issue_date_lte": "d.date_issued <= :issue_date_lte",
        "reception_date_from": "d.received_on >= :reception_date_from",
        "reception_date_to": "d.received_on <= :reception_date_to",
    }
    for name, text in request.query_params.multi_items():
        if name in conditions:
            # A null is on neither side of any day.
            terms += [conditions[name], f"d.date_issued <> '{UNDATED}'"]
            found[name] = _day(name, text)


def _metadata_filters(
    request: Request, context: web.Context, how: str, terms: tuple[list[str], dict[str, Any]]
) -> None:
    """``json_param__KEY=VALUE``: exact, ANDed, and only of values stored as strings."""
    asked = [
        (name.removeprefix("json_param__"), text)
        for name, text in request.query_params.multi_items()
        if name.startswith("json_param__")
    ]
    if not asked or how == "ignored":
        return
    if how == "empty":
        terms[0].append("false")
    for key, text in asked:
        if not _KEY.fullmatch(key):
            raise web.Refusal(
                400, {"error": "VALIDATION_ERROR", "message": f"Clave inválida: {key}"}
            )
        terms[0].append(_LABELLED.format(key=key))
        terms[1].update({f"json_key_{key}": key, f"json_{key}": text})
    # The moment is only told when it matters: lists are remembered by their values.
    now = clock.now(context.connection)
    (latest,) = context.connection.execute("SELECT max(searchable_at) FROM json_param").fetchone()
    terms[1]["json_now"] = now if latest and latest > now else NEVER


def _side(text: str) -> str:
    if text not in {"issued", "received"}:
        raise web.Refusal(
            400, {"error": "VALIDATION_ERROR", "message": "document_type: issued o received"}
        )
    return text


def _day(name: str, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise web.Refusal(400, {name: ["Introduzca una fecha válida."]}) from None
