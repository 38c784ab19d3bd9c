"""A batch as the API's JSON: its entries, its status, what it says of each document."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
from starlette.requests import Request

from tupana_etl.domain import DTE_TYPES
from tupana_etl.sandbox import clock, files, render, switches, web
from tupana_etl.sandbox.model import Document, Line, Party

_OPEN = frozenset({"created", "processing", "temporary_error"})
_FAILED = frozenset({"invalid", "permanent_error"})

Node = dict[str, Any]


def told(d: Document, asked: Node) -> str:
    """What a batch says of a document, but for its URLs: the inside of a JSON object."""
    return render.fragment(
        {
            "id": d.id,
            "folio": d.folio,
            "date_issued": d.issued_on,
            "amount_with_iva": render.number(d.total),
            "receiver_id": d.receiver.id,
            "is_draft": d.folio is None,
            "can_be_issued": d.folio is None,
            "dte_type": {"code": d.dte_type, "description": DTE_TYPES[d.dte_type].name},
            "sender": _party(d.sender),
            "receiver": _party(d.receiver),
            "items": [_item(line) for line in d.lines],
            "document_total": render.totals(d),
            "retention_type": d.retention_type,
            "export_data": asked.get("export_data"),
        }
    )[1:]


def accepted(request: Request, batch_id: str) -> dict[str, Any]:
    """The answer to POST /documents/batch."""
    connection = web.context(request).connection
    batch = _batch(connection, batch_id)
    if batch is None:
        raise KeyError(batch_id)
    rows = _rows(connection, batch_id)
    status = _status(rows)
    if switches.of(connection).accepted_body == "summary":
        message = f"Se recibieron {len(rows)} documentos."
        told = {"batch_id": batch_id, "status": status}
        return {**told, "total_documents": len(rows), "message": message}
    warnings = msgspec.json.decode(batch["warnings"])
    return {
        "batch_id": batch_id,
        "status": status,
        "created_at": clock.zulu(batch["created_at"]),
        "documents": _entries(request, rows),
        **({"warnings": warnings} if warnings else {}),
    }


def polled(request: Request, batch_id: str) -> dict[str, Any] | None:
    """The answer to GET /documents/batch/{id}, None when there is no such batch."""
    connection = web.context(request).connection
    batch = _batch(connection, batch_id)
    if batch is None:
        return None
    rows = _rows(connection, batch_id)
    return {
        "id": batch_id,
        "status": _status(rows),
        "idempotency_key": batch["idempotency_key"],
        "created_at": clock.zulu(batch["created_at"]),
        "updated_at": clock.zulu(batch["updated_at"]),
        "documents": _entries(request, rows),
    }


def _batch(connection: sqlite3.Connection, batch_id: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM batch WHERE id = ?", (batch_id,)
    ).fetchone()
    return row


def _rows(connection: sqlite3.Connection, batch_id: str) -> list[sqlite3.Row]:
    query = "SELECT * FROM batch_document WHERE batch_id = ? ORDER BY position"
    return connection.execute(query, (batch_id,)).fetchall()


def _status(rows: list[sqlite3.Row]) -> str:
    """A completed batch may hold failed documents; a failed one holds nothing else."""
    found = {r["status"] for r in rows}
    if found & _OPEN:
        return "processing"
    return "failed" if found <= _FAILED else "completed"


def _entries(request: Request, rows: list[sqlite3.Row]) -> list[dict[str, Any]]:
    connection = web.context(request).connection
    pending, now = switches.of(connection).confirmation_seconds, clock.now(connection)
    entries = []
    for row in rows:
        entry = {
            "index": row["position"],
            "status": row["status"],
            "document": _document(request, row),
            "errors": None if row["errors"] is None else msgspec.Raw(row["errors"].encode()),
        }
        if pending is not None:
            issued_at = row["issued_at"]
            entry["confirmation_pending"] = issued_at is not None and now < issued_at + pending
        entries.append(entry)
    return entries


def _document(request: Request, row: sqlite3.Row) -> msgspec.Raw | None:
    if row["status"] in _FAILED:
        return None
    document_id, is_issued = row["document_id"], row["issued_at"] is not None
    links = {
        "pdf_url": files.url(request, document_id, "pdf") if is_issued else None,
        "pdf_download_url": f"/v1/documents/{document_id}/files/pdf" if is_issued else None,
    }
    return msgspec.Raw(("{" + row["told"] + render.fragment(links) + "}").encode())


def _party(party: Party) -> dict[str, Any] | None:
    if party.id is None:
        return None
    return {"id": party.id, "name": party.name, "tax_id": party.rut}


def _item(line: Line) -> dict[str, Any]:
    told = render.line(line)
    shown = (
        *("item_name", "item_description", "quantity", "unit_price", "unit", "item_code"),
        *("item_type_code", "discount_percent", "other_tax"),
    )
    return {name: told[name] for name in shown}
