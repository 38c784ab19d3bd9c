"""Local levers of the issuing side: switches, keys, credentials, a fresh start, the oracle."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import (
    admin,
    announce,
    cession_batches,
    clock,
    issue,
    keys,
    oracle,
    store,
    switches,
    web,
)

_MADE = (
    "batch",
    "batch_document",
    "idempotency",
    "postponed",
    "entry",
    "folio",
    "issued",
    "enrollment",
)
"""Tables that are empty until something is issued or registered."""


async def show_issued(request: Request) -> Response:
    """GET ?after=ID: what was really issued, whatever the API answered."""
    after = request.query_params.get("after", "0")
    if not after.isascii() or not after.isdigit():
        raise web.Refusal(400, {"error": "after must be the id of a document."})
    return web.as_json(oracle.issued(web.context(request).connection, int(after)))


async def show_entries(request: Request) -> Response:
    """GET: payments and legal events that were really registered, whatever the API answered."""
    return web.as_json(oracle.entries(web.context(request).connection))


async def show_ceded(request: Request) -> Response:
    """GET: cessions that SII really took, whatever the API answered."""
    return web.as_json(cession_batches.ceded(web.context(request).connection))


async def show_switches(request: Request) -> Response:
    """GET: how the issuing side behaves."""
    return web.as_json(asdict(switches.of(web.context(request).connection)))


async def set_switches(request: Request) -> Response:
    """POST {switch=value, …}: the named ones change, the others stay."""
    body = await admin.body_of(request)
    try:
        found = switches.change(web.context(request).connection, body)
    except ValueError as wrong:
        raise web.Refusal(400, {"error": str(wrong)}) from None
    return web.as_json(asdict(found))


async def set_key(request: Request) -> Response:
    """POST {key, environment?, can_issue?, is_valid?}: makes, changes or withdraws a key."""
    body, ctx = await admin.body_of(request), web.context(request)
    text = body.pop("key", None)
    if not isinstance(text, str) or not text:
        raise web.Refusal(400, {"error": "key must be the API key's text."})
    try:
        return web.as_json(asdict(keys.change(ctx.connection, ctx.key, text, body)))
    except ValueError as wrong:
        raise web.Refusal(400, {"error": str(wrong)}) from None


async def set_credentials(request: Request) -> Response:
    """POST {company, status}: all SII credentials of a company are VALID, INVALID or EXPIRED."""
    body = await admin.body_of(request)
    if body.get("status") not in {"VALID", "INVALID", "EXPIRED"}:
        raise web.Refusal(400, {"error": "status must be VALID, INVALID or EXPIRED."})
    changed = web.context(request).connection.execute(
        "UPDATE credential SET status = ? WHERE CAST(entity_id AS TEXT) = ?",
        (body["status"], str(body.get("company"))),
    )
    if not changed.rowcount:
        raise web.Refusal(400, {"error": "company must be the id of an own company."})
    return web.as_json({"changed": changed.rowcount})


async def reject(request: Request) -> Response:
    """POST {document_id | document_ids}: SII refuses documents that were issued."""
    documents = admin.documents_of(request, await admin.body_of(request))
    connection = web.context(request).connection
    with connection:
        connection.execute("BEGIN")
        for document in documents:
            issue.reject(connection, document.id, clock.at(clock.now(connection)))
    announce.announce(web.context(request), "document.rejected", documents)
    return web.as_json({"document_ids": [d.id for d in documents]})


async def reset(request: Request) -> Response:
    """POST {}: nothing was ever issued, paid, ceded, accepted, claimed or scheduled through the API
    here; switches, keys and faults are gone, the clock is this machine's and today the world's
    first. Documents of the world keep marks of credit notes and of what levers did."""
    connection = web.context(request).connection
    with connection:
        connection.execute("BEGIN")
        made = connection.execute(
            "SELECT document_id FROM batch_document UNION SELECT document_id FROM issued"
        ).fetchall()
        cession_batches.undo(connection)
        _undo_entries(connection)
        for (document_id,) in made:
            store.delete_document(connection, document_id)
        for table in _MADE:
            connection.execute(f"DELETE FROM {table}")
        connection.execute("DELETE FROM schedule WHERE details IS NOT NULL")
        connection.execute("DELETE FROM meta WHERE name IN ('switches', 'keys')")
        clock.rewind(connection)
    request.app.state.script.replace([])
    return web.as_json({"documents": len(made)})


def _undo_entries(connection: sqlite3.Connection) -> None:
    """What was paid, unpaid, accepted or claimed here is again as it was before."""
    booked = connection.execute(
        "SELECT document_id, group_concat(event_code) AS codes, "
        "(SELECT was_paid FROM entry f WHERE f.document_id = e.document_id ORDER BY number LIMIT 1)"
        " AS was_paid FROM entry e GROUP BY document_id"
    ).fetchall()
    for row in booked:
        document = store.read_document(connection, row["document_id"])
        if document is not None:
            document.is_paid = bool(row["was_paid"])
            codes = set(row["codes"].split(","))
            document.events = [e for e in document.events if e.code not in codes]
            store.replace_document(connection, document)
