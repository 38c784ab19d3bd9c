"""What registered webhooks are told of: each event of a document as one delivery a webhook.

Document events go to the issuer's webhooks, ``document.trace_updated`` to both parties'
with ``role`` (source: the vendor's webhook pages).
"""

from __future__ import annotations

import copy
import json
import sqlite3
import uuid
from typing import Any

import msgspec

from tupana_etl.sandbox import clock, lists, postman, store, switches, web
from tupana_etl.sandbox.model import Document
from tupana_etl.sandbox.postman import Delivery
from tupana_etl.sandbox.switches import Switches


def announce(ctx: web.Context, event: str, documents: list[Document], **more: Any) -> None:
    """Tells every webhook that wants to hear of it."""
    if not documents:
        return
    how = switches.of(ctx.connection)
    now = clock.now(ctx.connection)
    new = []
    for document in documents:
        for role, hook in _listeners(ctx.connection, event, document):
            told = dict(more)
            if event == "document.trace_updated":
                told["role"] = role
            body = _body(event, document, clock.zulu(now), told, how.webhook_body)
            new.append(_delivery(hook, event, body, now, how))
    _post(ctx, new, how)


def announce_issued(ctx: web.Context, document_ids: list[int]) -> None:
    """``document.issued`` of what batches have just issued."""
    found = [store.read_document(ctx.connection, id_) for id_ in document_ids]
    announce(ctx, "document.issued", [d for d in found if d is not None])


def announce_failed(ctx: web.Context, batch_ids: list[str]) -> None:
    """``batch.intake_failed`` of batches that issued nothing. The SDK knows the event; no page
    shows its body: ``data`` has the batch's id and status here."""
    event = "batch.intake_failed"
    how = switches.of(ctx.connection)
    now = clock.now(ctx.connection)
    new = []
    for batch_id in batch_ids:
        query = "SELECT document_id FROM batch_document WHERE batch_id = ? ORDER BY position"
        for (document_id,) in ctx.connection.execute(query, (batch_id,)).fetchall()[:1]:
            document = store.read_document(ctx.connection, document_id)
            data = {"id": batch_id, "status": "failed"}
            body = msgspec.json.encode(
                {"event": event, "created_at": clock.zulu(now), "data": data}
            )
            for _, hook in _listeners(ctx.connection, event, document) if document else ():
                new.append(_delivery(hook, event, body, now, how))
    _post(ctx, new, how)


def _delivery(hook: sqlite3.Row, event: str, body: bytes, now: float, how: Switches) -> Delivery:
    return Delivery(
        number=0,
        webhook_id=hook["id"],
        url=hook["url"],
        secret=hook["secret"],
        event=event,
        body=body,
        due=now + how.webhook_seconds,
        spelling=how.webhook_signature,
        type_header=how.webhook_header,
    )


def _post(ctx: web.Context, new: list[Delivery], how: Switches) -> None:
    if how.webhook_order == "reversed":
        new.reverse()
    copies = [copy.copy(d) for d in new for _ in range(how.webhook_copies - 1)]
    ctx.postman.take(ctx.connection, [*new, *copies])


def _listeners(
    connection: sqlite3.Connection, event: str, document: Document
) -> list[tuple[str, sqlite3.Row]]:
    parties = [("issuer", document.sender.id)]
    if event == "document.trace_updated":
        parties.append(("receiver", document.receiver.id))
    query = "SELECT * FROM webhook WHERE is_active AND entity_id = ? ORDER BY id"
    return [
        (role, hook)
        for role, entity in parties
        for hook in connection.execute(query, (entity,))
        if postman.is_local(hook["url"]) and event in json.loads(hook["events"])
    ]


def _body(event: str, d: Document, at: str, more: dict[str, Any], generation: str) -> bytes:
    if generation == "old":
        old = {"document_id": d.id, "folio": d.folio, **more}
        return msgspec.json.encode(
            {"event": event, "timestamp": at, "delivery_id": str(uuid.uuid4()), "data": old}
        )
    data = {
        "id": d.id,
        "folio": d.folio,
        "date_issued": d.date_issued.isoformat(),
        "amount_with_iva": float(d.total),
        "is_sandbox": d.is_sandbox,
        "dte_type": {"code": d.dte_type},
        "sender": {"id": d.sender.id, "name": d.sender.name, "tax_id": lists.dotted(d.sender.rut)},
        "receiver": {
            "id": d.receiver.id,
            "name": d.receiver.name,
            "tax_id": lists.dotted(d.receiver.rut),
        },
        "document_total": {"total_amount": float(d.total), "net_amount": float(d.net)},
        **more,
    }
    return msgspec.json.encode({"event": event, "created_at": at, "data": data})
