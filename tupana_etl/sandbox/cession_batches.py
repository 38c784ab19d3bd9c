"""Batches of cessions: stored, taken by SII when the clock says so, told in each contract."""

from __future__ import annotations

import sqlite3
import uuid
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tupana_etl.sandbox import clock, drafts, store
from tupana_etl.sandbox.fates import FIRST_CESSION
from tupana_etl.sandbox.model import Cession, Document, Event

_SII_ERROR = "Error al contribuyente. Código SII: 02.35.209.54.211.2"


@dataclass(frozen=True)
class Order:
    """A call that passed: whose invoices go to whom."""

    entity_id: int
    document_ids: list[int]
    assignee_rut: str
    assignee_name: str


def accept(
    connection: sqlite3.Connection,
    order: Order,
    failing: Collection[int],
    now: float,
    due: float,
) -> str:
    """Stores a batch whose documents at the positions ``failing`` SII will refuse."""
    batch_id = str(uuid.uuid4())
    with connection:
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO cession_batch VALUES (?, ?, ?, ?, ?, ?)",
            (batch_id, order.entity_id, order.assignee_rut, order.assignee_name, now, due),
        )
        connection.executemany(
            "INSERT INTO cession_item VALUES (?, ?, ?, 'processing', NULL, ?)",
            [
                (batch_id, position, document_id, _SII_ERROR if position in failing else None)
                for position, document_id in enumerate(order.document_ids)
            ],
        )
    return batch_id


def proceed(connection: sqlite3.Connection) -> None:
    """SII takes or refuses what is due by the clock."""
    rows = connection.execute(
        """SELECT i.*, b.assignee_rut, b.assignee_name, b.due FROM cession_item i
        JOIN cession_batch b ON b.id = i.batch_id
        WHERE i.status = 'processing' AND b.due <= ? ORDER BY b.due, i.batch_id, i.position""",
        (clock.now(connection),),
    ).fetchall()
    for row in rows:
        with connection:
            connection.execute("BEGIN")
            _take(connection, row)


def accepted(connection: sqlite3.Connection, batch_id: str) -> dict[str, Any]:
    """The 202 of 2026-08."""
    batch, items = _read(connection, batch_id)
    return {
        "success": True,
        "status": "processing",
        "ws_channel": f"cessions-{batch['entity_id']}",
        "total": len(items),
        "message": "Generando las cesiones y enviándolas al SII…",
        "cession_batch_id": batch_id,
    }


def polled(connection: sqlite3.Connection, batch_id: str) -> dict[str, Any] | None:
    """The state of a batch, None when there is none."""
    known = connection.execute("SELECT 1 FROM cession_batch WHERE id = ?", (batch_id,)).fetchone()
    if known is None:
        return None
    batch, items = _read(connection, batch_id)
    found = Counter(r["status"] for r in items)
    return {
        "id": batch_id,
        "status": _status(found),
        "total": len(items),
        "success_count": found["success"],
        "failed_count": found["failed"],
        "assignee_business_name": batch["assignee_name"],
        "assignee_rut": batch["assignee_rut"],
        "created_at": clock.zulu(batch["created_at"]),
        "error_message": None,
        "batch_cessions": [
            {
                **{name: r[name] for name in ("document_id", "folio", "status", "cession_id")},
                "error_message": r["error"] if r["status"] == "failed" else None,
            }
            for r in items
        ],
    }


def results(
    connection: sqlite3.Connection, batch_id: str, url: Callable[[int], str]
) -> dict[str, Any]:
    """The 200 of 2026-04: partial success is a success."""
    _, items = _read(connection, batch_id)
    taken = [r for r in items if r["status"] == "success"]
    failed = [r for r in items if r["status"] == "failed"]
    return {
        "success": True,
        "message": f"{len(taken)} assignment(s) generated successfully",
        "cessions": [
            {
                "cession_id": r["cession_id"],
                "document_id": r["document_id"],
                "folio": _number(r["folio"]),
                "file_name": f"AEC_{r['folio']}.xml",
                "presigned_url": url(r["document_id"]),
            }
            for r in taken
        ],
        "aec_results": [_sent(r) for r in items],
        "errors": [
            {
                "document_id": r["document_id"],
                "folio": _number(r["folio"]),
                "error": r["error"],
            }
            for r in failed
        ]
        or None,
        "total_processed": len(items),
        "total_errors": len(failed),
        "aec_sent": len(taken),
    }


def ceded(connection: sqlite3.Connection) -> dict[str, Any]:
    """For the oracle: what SII took, and how often each document."""
    rows = connection.execute(
        """SELECT i.document_id, i.cession_id, i.batch_id, b.assignee_rut, b.due
        FROM cession_item i JOIN cession_batch b ON b.id = i.batch_id
        WHERE i.status = 'success' ORDER BY i.cession_id"""
    ).fetchall()
    same = ("document_id", "cession_id", "batch_id", "assignee_rut")
    told = [{**{n: r[n] for n in same}, "at": clock.zulu(r["due"])} for r in rows]
    counts = Counter(str(r["document_id"]) for r in rows)
    (batches,) = connection.execute("SELECT count(*) FROM cession_batch").fetchone()
    return {"batches": batches, "ceded": told, "counts": dict(counts)}


def undo(connection: sqlite3.Connection) -> None:
    """Nothing was ever ceded here."""
    for row in connection.execute(
        "SELECT c.id, c.document_id, c.sent_at FROM cession c "
        "JOIN cession_item i ON i.cession_id = c.id"
    ).fetchall():
        connection.execute("DELETE FROM cession WHERE id = ?", (row["id"],))
        document = store.read_document(connection, row["document_id"])
        if document is not None:
            document.events = [
                e for e in document.events if (e.code, e.at.isoformat()) != ("CED", row["sent_at"])
            ]
            store.replace_document(connection, document)
    connection.execute("DELETE FROM cession_item")
    connection.execute("DELETE FROM cession_batch")


def _take(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    document = store.read_document(connection, row["document_id"])
    error = row["error"] or _refusal(connection, document)
    cession_id = None
    if error is None and document is not None:
        cession_id = _cede(connection, document, row)
    connection.execute(
        "UPDATE cession_item SET status = ?, cession_id = ?, error = ? "
        "WHERE batch_id = ? AND position = ?",
        (
            *("failed" if cession_id is None else "success", cession_id, error),
            *(row["batch_id"], row["position"]),
        ),
    )


def _refusal(connection: sqlite3.Connection, document: Document | None) -> str | None:
    """Why SII does not take a cession (Ley 19.983), None when it does."""
    if document is None or not document.has_trace:
        return "El documento no está vigente en el SII"
    if document.is_paid_cash:
        return "El documento es al contado"
    if document.has_claims:
        return "El documento fue reclamado"
    taken = "SELECT 1 FROM cession WHERE document_id = ? AND status = 'success'"
    if connection.execute(taken, (document.id,)).fetchone() is not None:
        return "El documento ya fue cedido"
    return None


def _cede(connection: sqlite3.Connection, document: Document, row: sqlite3.Row) -> int:
    if document.received_at is None:
        raise ValueError(f"document {document.id} was never received")
    moment = drafts.moment(store.today(connection), clock.at(row["due"])).replace(microsecond=0)
    last = max([document.received_at, *(e.at for e in document.events)])
    at = max(moment, last.replace(microsecond=0) + timedelta(seconds=1))
    document.events.append(Event("CED", at, *document.sender.rut.split("-")))
    store.replace_document(connection, document)
    (highest,) = connection.execute("SELECT max(id) FROM cession").fetchone()
    known = connection.execute(
        "SELECT id FROM entity WHERE rut = ?", (row["assignee_rut"],)
    ).fetchone()
    cession = Cession(
        id=FIRST_CESSION if highest is None else highest + 1,
        document_id=document.id,
        assignee_rut=row["assignee_rut"],
        assignee_name=row["assignee_name"],
        assignee_id=None if known is None else known["id"],
        amount=document.total,
        status="success",
        status_message=None,
        source="internal",
        sent_at=at,
        created_at=at + timedelta(seconds=5),
    )
    store.insert_records(connection, "cession", [cession])
    return cession.id


def _read(connection: sqlite3.Connection, batch_id: str) -> tuple[sqlite3.Row, list[sqlite3.Row]]:
    batch: sqlite3.Row = connection.execute(
        "SELECT * FROM cession_batch WHERE id = ?", (batch_id,)
    ).fetchone()
    items = connection.execute(
        "SELECT i.*, d.folio FROM cession_item i LEFT JOIN document d ON d.id = i.document_id "
        "WHERE i.batch_id = ? ORDER BY i.position",
        (batch_id,),
    ).fetchall()
    return batch, items


def _status(found: Counter[str]) -> str:
    if found["processing"]:
        return "processing"
    if not found["failed"]:
        return "completed"
    return "partial" if found["success"] else "failed"


def _sent(row: sqlite3.Row) -> dict[str, Any]:
    told = {
        "folio": _number(row["folio"]),
        "sii_identifier": f"AEC-{row['document_id']}",
        "sii_file_name": f"AEC_{row['folio']}.xml",
    }
    if row["status"] == "failed":
        return {**told, "status": "failed", "error": row["error"]}
    return {**told, "status": "sent_to_sii"}


def _number(folio: str | None) -> int | str | None:
    return int(folio) if folio is not None and folio.isdigit() else folio
