"""POST /scheduled-documents and GET /scheduled-documents/{id}. The sandbox runs no schedule."""

from __future__ import annotations

import calendar
import json
import sqlite3
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tupana_etl import domain
from tupana_etl.sandbox import admin, clock, lists, store, web
from tupana_etl.sandbox.model import Entity, Schedule

_MONTHS = {"monthly": 1, "quarterly": 3, "semiannual": 6, "yearly": 12}
_ENDS = {"never": (), "on_date": ("end_date",), "after_occurrences": ("max_occurrences",)}
_NEEDED = ("sender", "dte_type", "frequency", "details", "receiver_tax_id")


async def create(request: Request) -> Response:
    """POST /scheduled-documents: made each time it is asked for."""
    ctx, body = web.context(request), await admin.body_of(request)
    connection, key = ctx.connection, web.find_key(request, ctx)
    if key is None or not key.can_issue:
        raise web.Refusal(403, {"error": "La API Key no tiene permiso para programar documentos."})
    sender = connection.execute(
        "SELECT id FROM entity WHERE own AND CAST(id AS TEXT) = ?", (str(body.get("sender")),)
    ).fetchone()
    wrong = _wrong(body)
    if wrong:
        raise web.Refusal(400, wrong)
    if sender is None:
        raise web.Refusal(403, {"detail": "No tienes acceso a esta entidad."})
    made = _schedule(connection, sender["id"], body)
    store.insert_records(connection, "schedule", [made])
    row = _row(connection, made.id)
    if row is None:
        raise web.not_found()
    return web.as_json(lists.schedule(row), 201)


async def show(request: Request) -> Response:
    """GET /scheduled-documents/{id}?master_entity_id="""
    connection = web.context(request).connection
    row = _row(connection, int(request.path_params["schedule_id"]))
    if row is None or str(row["sender_id"]) != request.query_params.get("master_entity_id"):
        raise web.not_found()
    return web.as_json(lists.schedule(row))


def _wrong(body: dict[str, Any]) -> dict[str, list[str]]:
    """What the API says of fields, by their name."""
    wrong = {name: ["Este campo es requerido."] for name in _NEEDED if not body.get(name)}
    often = body.get("frequency")
    if often not in {"daily", "weekly", *_MONTHS}:
        wrong.setdefault("frequency", ["No es una opción válida."])
    for name, needed, last in (
        ("day_of_month", often in _MONTHS, 31),
        ("day_of_week", often == "weekly", 7),
    ):
        if needed and not _is_whole(body.get(name), last):
            wrong[name] = [f"Debe ser de 1 a {last} para la frecuencia {often}."]
    ends = body.get("end_type", "never")
    if ends not in _ENDS or any(not body.get(name) for name in _ENDS[ends]):
        wrong["end_type"] = ["No es una opción válida."]
    if str(body.get("dte_type")) not in domain.DTE_TYPES:
        wrong.setdefault("dte_type", ["No es una opción válida."])
    if not domain.valid_rut(str(body.get("receiver_tax_id", ""))):
        wrong.setdefault("receiver_tax_id", ["RUT inválido."])
    if not isinstance(body.get("details"), list) or not all(map(_is_line, body["details"])):
        wrong.setdefault("details", ["item_name, quantity y unit_price son requeridos."])
    if len(body.get("references", ())) > 3:
        wrong["references"] = ["Máximo 3 referencias."]
    return wrong


def _is_whole(value: Any, last: int) -> bool:
    return isinstance(value, int) and 1 <= value <= last


def _is_line(line: Any) -> bool:
    try:
        quantity, price = Decimal(str(line["quantity"])), Decimal(str(line["unit_price"]))
    except (TypeError, KeyError, InvalidOperation):
        return False
    return bool(line.get("item_name")) and quantity >= Decimal("0.01") and price >= 0


def _schedule(connection: sqlite3.Connection, sender: int, body: dict[str, Any]) -> Schedule:
    (last,) = connection.execute("SELECT max(id) FROM schedule").fetchone()
    now, today = clock.at(clock.now(connection)), store.today(connection)
    start = date.fromisoformat(body["start_date"]) if body.get("start_date") else today
    amount = sum(
        Decimal(str(line["quantity"])) * Decimal(str(line["unit_price"]))
        for line in body["details"]
    )
    end = body.get("end_date")
    return Schedule(
        id=(last or 700) + 1,
        sender_id=sender,
        receiver_id=_receiver(connection, str(body["receiver_tax_id"])),
        dte_type=str(body["dte_type"]),
        frequency=body["frequency"],
        day_of_month=body.get("day_of_month"),
        day_of_week=body.get("day_of_week"),
        next_execution=datetime.combine(_next(body, max(start, today)), time(10), domain.SANTIAGO),
        status=body.get("status", "active"),
        amount=Decimal(amount),
        currency=body.get("currency", "CLP"),
        currency_day=body.get("currency_day"),
        completed_occurrences=0,
        max_occurrences=body.get("max_occurrences"),
        start_date=start,
        end_date=date.fromisoformat(end) if end else None,
        end_type=body.get("end_type", "never"),
        item_name=body["details"][0]["item_name"],
        created_at=now,
        updated_at=now,
        details=json.dumps(body["details"]),
        refs=json.dumps(body.get("references", [])),
        adjustment=body.get("emission_day_adjustment", "none"),
    )


def _next(body: dict[str, Any], day: date) -> date:
    """The first day from ``day`` on that fits; the month's last where it has no such day."""
    often = body["frequency"]
    if often == "weekly":
        return day + timedelta(days=(body["day_of_week"] - day.isoweekday()) % 7)
    if often == "daily":
        return day
    here = _in_month(day, 0, body["day_of_month"])
    return here if here >= day else _in_month(day, 1, body["day_of_month"])


def _in_month(day: date, later: int, of_month: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + later, 12)
    return date(year, month + 1, min(of_month, calendar.monthrange(year, month + 1)[1]))


def _receiver(connection: sqlite3.Connection, rut: str) -> int:
    """The customer with that RUT; a new one where there is none."""
    rut = domain.canonical_rut(rut) or rut
    found = connection.execute("SELECT id FROM entity WHERE rut = ?", (rut,)).fetchone()
    if found is not None:
        return int(found["id"])
    (last,) = connection.execute("SELECT max(id) FROM entity").fetchone()
    new = Entity((last or 0) + 1, rut, f"CONTRIBUYENTE {rut}", looked_up=True)
    store.insert_records(connection, "entity", [new])
    return new.id


def _row(connection: sqlite3.Connection, number: int) -> sqlite3.Row | None:
    found: sqlite3.Row | None = connection.execute(
        f"{lists.SCHEDULES} WHERE s.id = ?", (number,)
    ).fetchone()
    return found
