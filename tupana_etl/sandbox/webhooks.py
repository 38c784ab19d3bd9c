"""POST /webhooks, and the levers that deliver an event again, forged or altered."""

from __future__ import annotations

import copy
import json
import uuid
from decimal import Decimal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import admin, clock, lists, postman, store, web
from tupana_etl.sandbox.model import Webhook
from tupana_etl.sandbox.postman import Delivery

EVENTS = (
    *("document.issued", "document.issue_failed", "document.updated", "document.delivered"),
    *("document.rejected", "document.paid", "document.unpaid", "document.cancelled"),
    *("document.trace_updated", "batch.intake_failed", "webhook.test"),
    *("credential.validated", "credential.invalid"),
)


async def create(request: Request) -> Response:
    """POST /webhooks"""
    body = await admin.body_of(request)
    connection = web.context(request).connection
    wrong: dict[str, list[str]] = {}
    company = body.get("master_entity_id")
    own = "SELECT id FROM entity WHERE own AND CAST(id AS TEXT) = ?"
    owner = connection.execute(own, (str(company),)).fetchone()
    if company is None:
        wrong["master_entity_id"] = ["Este campo es requerido."]
    elif owner is None:
        raise web.Refusal(403, {"detail": "No tienes acceso a esta entidad."})
    url, events, secret = body.get("url"), body.get("events"), body.get("secret") or ""
    if not isinstance(url, str) or urlsplit(url).scheme not in {"http", "https"}:
        wrong["url"] = ["Introduzca una URL válida."]
    if not isinstance(events, list) or not events or not set(events) <= set(EVENTS):
        wrong["events"] = [f"Debe ser una lista de: {', '.join(EVENTS)}."]
    if not isinstance(secret, str) or len(secret) > 255:
        wrong["secret"] = ["Asegúrese de que este campo no tenga más de 255 caracteres."]
    same = "SELECT 1 FROM webhook WHERE entity_id = ? AND url = ?"
    if not wrong and connection.execute(same, (owner["id"], url)).fetchone():
        wrong["url"] = ["Ya existe un webhook con esta URL."]
    if wrong:
        raise web.Refusal(400, wrong)
    (last,) = connection.execute("SELECT max(id) FROM webhook").fetchone()
    now = clock.at(clock.now(connection))
    made = Webhook(
        id=(last or 40) + 1,
        entity_id=owner["id"],
        url=str(url),
        secret=str(secret),
        events=json.dumps(events),
        is_active=bool(body.get("is_active", True)),
        last_status_code=None,
        last_sent_at=None,
        success_rate=Decimal(100),
        created_at=now,
        updated_at=now,
    )
    store.insert_records(connection, "webhook", [made])
    row = connection.execute("SELECT * FROM webhook WHERE id = ?", (made.id,)).fetchone()
    return web.as_json(lists.webhook(row), 201)


async def show_deliveries(request: Request) -> Response:
    """GET: every delivery with what its attempts were answered (0: no answer)."""
    found = web.context(request).postman.deliveries
    return web.as_json({"deliveries": [d.told() for d in found]})


async def deliver(request: Request) -> Response:
    """POST {number, how}: an earlier delivery once more, now: `again` (same ids), `replay` (a
    new event id), `forge` (signed with another secret), `unsigned`, `altered` (one byte) or
    `reserialised`."""
    ctx, body = web.context(request), await admin.body_of(request)
    number, how = body.get("number"), body.get("how", "again")
    known = ctx.postman.deliveries
    if not isinstance(number, int) or not 0 <= number < len(known):
        raise web.Refusal(400, {"error": "number must be a delivery's."})
    if how not in _WAYS:
        raise web.Refusal(400, {"error": f"how must be one of {', '.join(_WAYS)}."})
    made = copy.copy(known[number])
    made.statuses, made.due = [], clock.now(ctx.connection)
    _WAYS[how](made)
    (taken,) = ctx.postman.take(ctx.connection, [made])
    return web.as_json(taken.told())


def _replay(d: Delivery) -> None:
    d.event_id, d.delivery_id = (str(uuid.uuid4()) for _ in range(2))


def _forge(d: Delivery) -> None:
    _replay(d)
    d.body = d.body.replace(b'"created_at":"', b'"created_at":"9', 1)
    d.signature = postman.sign(d.body, "a guess")


def _unsigned(d: Delivery) -> None:
    d.signature = ""


def _altered(d: Delivery) -> None:
    d.signature, d.body = postman.sign(d.body, d.secret), d.body[:-1] + b" }"


def _reserialised(d: Delivery) -> None:
    d.signature = postman.sign(d.body, d.secret)
    d.body = json.dumps(json.loads(d.body), indent=1).encode()


_WAYS = {
    "again": lambda d: None,
    "replay": _replay,
    "forge": _forge,
    "unsigned": _unsigned,
    "altered": _altered,
    "reserialised": _reserialised,
}
