"""The small lists as the API's JSON: companies, credentials, cessions, schedules …"""

from __future__ import annotations

import base64
import sqlite3
from datetime import date, datetime
from typing import Any

import msgspec

from tupana_etl.domain import DTE_TYPES
from tupana_etl.sandbox import books
from tupana_etl.sandbox.model import EVENT_NAMES
from tupana_etl.sandbox.render import local, utc

_FREQUENCIES = {
    "daily": "Diaria",
    "weekly": "Semanal",
    "monthly": "Mensual",
    "quarterly": "Trimestral",
    "semiannual": "Semestral",
    "yearly": "Anual",
}
_STATUSES = {"active": "Activo", "inactive": "Inactivo", "completed": "Completado"}

CEDED = "cession c JOIN document d ON d.id = c.document_id"

CESSIONS = f"""
SELECT c.*, d.folio, d.date_issued, d.total, d.sender_id, d.sender_name, d.sender_rut,
       d.receiver_id, d.receiver_name, d.receiver_rut,
       a.name AS entity_name, a.rut AS entity_rut
FROM {CEDED}
LEFT JOIN entity a ON a.id = c.assignee_id"""

SCHEDULES = """
SELECT s.*, x.name AS sender_name, x.rut AS sender_rut, r.name AS receiver_name,
       r.rut AS receiver_rut
FROM schedule s JOIN entity x ON x.id = s.sender_id
LEFT JOIN entity r ON r.id = s.receiver_id"""


def dotted(rut: str) -> str:
    """``76.798.398-0``, as entities and credentials write it."""
    return f"{int(rut[:-2]):,}".replace(",", ".") + rut[-2:]


def opaque(entity_id: int) -> str:
    """The company's id in its opaque form, ``eid_…``."""
    return "eid_" + base64.urlsafe_b64encode(f"{entity_id}:sandbox".encode()).decode().rstrip("=")


def zulu(text: str | None) -> str | None:
    return None if text is None else utc(datetime.fromisoformat(text))


def entity(row: sqlite3.Row) -> dict[str, Any]:
    place = {"id": 7, "name": row["district"], "city": {"id": 3, "name": row["city"]}}
    return {
        "id": row["id"],
        "opaque_id": opaque(row["id"]),
        "tax_id": dotted(row["rut"]),
        "name": row["name"],
        "email": row["email"],
        "addresses": [
            {
                "id": row["id"] * 10,
                "address": row["address"],
                "district": place,
                "sii_branch_code": None,
                "phone": row["phone"],
            }
        ],
        "activities": [
            {
                "id": int(row["activity_code"]),
                "code": row["activity_code"],
                "name": row["activity_name"],
            }
        ],
    }


def credential(row: sqlite3.Row) -> dict[str, Any]:
    company = {"id": row["entity_id"], "name": row["name"], "tax_id": dotted(row["rut"])}
    return {
        "id": row["id"],
        "user": dotted(row["user_rut"]),
        "credential_type": {"id": row["type_id"], "name": row["type_name"]},
        "created_at": zulu(row["created_at"]),
        "status": row["status"],
        "master_entities": [company],
    }


_DISPLAY = {"document.issued": "Documento emitido", "document.paid": "Documento pagado"}


def webhook(row: sqlite3.Row) -> dict[str, Any]:
    """Shows the secret in clear, as the vendor does."""
    events = msgspec.json.decode(row["events"])
    delivery = {
        "id": row["id"] * 100,
        "event": "document.issued",
        "is_success": (row["last_status_code"] or 500) < 300,
        "status_code": row["last_status_code"],
        "sent_at": row["last_sent_at"] and zulu(row["last_sent_at"]),
        "document_id": 480_001,
    }
    return {
        "id": row["id"],
        "url": row["url"],
        "events": events,
        "events_display": [_DISPLAY.get(e, e) for e in events],
        "secret": row["secret"],
        "is_active": bool(row["is_active"]),
        "last_status_code": row["last_status_code"],
        "last_sent_at": row["last_sent_at"] and zulu(row["last_sent_at"]),
        "success_rate": float(row["success_rate"]),
        "last_delivery": delivery if row["last_sent_at"] else None,
        "created_at": zulu(row["created_at"]),
        "updated_at": zulu(row["updated_at"]),
    }


def cession(row: sqlite3.Row, aec_url: str | None) -> dict[str, Any]:
    return {
        "id": row["id"],
        "document_id": row["document_id"],
        "document_folio": row["folio"],
        "document_date_issued": row["date_issued"],
        "document_amount": float(row["total"]),
        "supplier_id": row["sender_id"],
        "supplier_name": row["sender_name"],
        "supplier_rut": row["sender_rut"],
        "receiver_id": row["receiver_id"],
        "receiver_name": row["receiver_name"],
        "receiver_rut": row["receiver_rut"],
        "assignee_rut": row["assignee_rut"],
        "assignee_business_name": row["assignee_name"],
        "assignee_entity_id": row["assignee_id"],
        "assignee_entity_name": row["entity_name"],
        "assignee_entity_tax_id": row["entity_rut"],
        "assignment_amount": float(row["amount"]),
        "status": row["status"],
        "status_message": row["status_message"],
        "source": row["source"],
        "sii_date_sent": zulu(row["sent_at"]),
        "aec_url": aec_url,
        "created_at": zulu(row["created_at"]),
    }


def cession_detail(row: sqlite3.Row, aec_url: str | None) -> dict[str, Any]:
    events = []
    if row["status"] == "success":
        events.append(
            {
                "id": row["id"] * 10,
                "event_code": "CED",
                "event_description": EVENT_NAMES["CED"],
                "event_date": local(datetime.fromisoformat(row["sent_at"])),
            }
        )
    errors = [{"message": row["status_message"]}] if row["status_message"] else []
    extra = {"events": events, "errors": errors, "certificate_pdf_url": None}
    return {**cession(row, aec_url), **extra}


def schedule(row: sqlite3.Row) -> dict[str, Any]:
    receiver = {
        "id": row["receiver_id"],
        "name": row["receiver_name"],
        "rut": row["receiver_rut"],
    }
    kind = row["dte_type"]
    return {
        "id": row["id"],
        "sender": {"id": row["sender_id"], "name": row["sender_name"], "rut": row["sender_rut"]},
        "receiver": None if row["receiver_id"] is None else receiver,
        "dte_type": {"id": int(kind), "code": kind, "description": DTE_TYPES[kind].name},
        "frequency": row["frequency"],
        "frequency_display": _FREQUENCIES[row["frequency"]],
        "day_of_month": row["day_of_month"],
        "day_of_week": row["day_of_week"],
        "next_execution": zulu(row["next_execution"]),
        "status": row["status"],
        "status_display": _STATUSES[row["status"]],
        "amount": float(row["amount"]),
        "currency": row["currency"],
        "currency_day": row["currency_day"],
        "completed_occurrences": row["completed_occurrences"],
        "max_occurrences": row["max_occurrences"],
        "start_date": row["start_date"],
        "emission_day_adjustment": row["adjustment"],
        "end_type": row["end_type"],
        "end_date": row["end_date"],
        "details": _schedule_lines(row),
        "references": msgspec.json.decode(row["refs"]),
        "created_at": zulu(row["created_at"]),
        "updated_at": zulu(row["updated_at"]),
    }


def _schedule_lines(row: sqlite3.Row) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = [{"item_name": row["item_name"], "unit_price": row["amount"]}]
    if row["details"]:
        asked = msgspec.json.decode(row["details"])
    return [
        {
            "id": row["id"] * 10 + position,
            "item_name": line["item_name"],
            "item_description": line.get("item_description", ""),
            "quantity": float(line.get("quantity", 1)),
            "unit_price": float(line["unit_price"]),
            "unit_of_measurement": line.get("unit", "UN"),
            "item_code": line.get("item_code"),
            "item_type_code": line.get("item_type_code"),
        }
        for position, line in enumerate(asked)
    ]


def book_row(row: books.Row, today: date) -> dict[str, Any]:
    return {
        "id": row.id,
        "period": row.period,
        "operation": row.operation,
        "dte_type_code": int(row.dte_type),
        "dte_type_name": books.type_name(row.dte_type),
        "total_docs": row.documents,
        "net_amount": row.net,
        "exempt_amount": row.exempt,
        "vat_amount": row.iva,
        "total_amount": row.total,
        "scraped_at": f"{today.isoformat()}T06:12:41Z",
    }


def sync_status(company_id: int, rows: list[sqlite3.Row]) -> dict[str, Any]:
    types = [
        {
            "scrape_type": r["scrape_type"],
            "last_success_at": zulu(r["last_success_at"]),
            "last_status": r["last_status"],
        }
        for r in rows
    ]
    frequency = rows[0]["frequency_hours"] if rows else 24
    return {"master_entity_id": company_id, "sync_frequency_hours": frequency, "types": types}
