"""The world's own truth, stream by stream, read from its tables and never from its JSON.

Rows carry the canonical column names of ``streams.py``: ids as text, RUTs canonical,
money and quantities as exact decimal text, dates ISO, times ISO in UTC. Documents, their
children and cessions come once per company and side. Columns of kind JSON are left out,
as are those the API never says: presigned URLs, and SII's CodRef of documents that have
no XML. Streams that are not read per company carry no ``master_entity_id``.

It is what a client can know that reads everything the served contract shows: of 2026-04
no books and no sync status, cessions of the issuer's side alone, and no opaque ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from tupana_etl.domain import DTE_TYPES
from tupana_etl.sandbox import truth_lists
from tupana_etl.sandbox.deviations import SANDBOX
from tupana_etl.sandbox.lists import CESSIONS
from tupana_etl.sandbox.model import (
    ACKNOWLEDGE_CODES,
    CLAIM_CODES,
    EVENT_NAMES,
    TRACED_TYPES,
    UNDATED,
    World,
)
from tupana_etl.sandbox.truth_lists import plain_id

Row = dict[str, Any]

SIDES = """
SELECT CAST(e.id AS TEXT) AS master_entity_id, 'issued' AS document_type, d.*
FROM document d JOIN entity e ON e.id = d.sender_id AND e.own
UNION ALL
SELECT CAST(e.id AS TEXT), 'received', d.*
FROM document d JOIN entity e ON e.id = d.receiver_id AND e.own"""


_SINCE_JULY = frozenset({"book_summaries", "sync_status"})


def rows(connection: sqlite3.Connection, world: World, stream: str) -> Iterator[Row]:
    """Rows of a stream, in a fixed order. KeyError for a name that is no stream."""
    found = _TABLES[stream](connection)
    if world.contract == "2026-04":
        found = iter(()) if stream in _SINCE_JULY else filter(None, map(_older, found))
    if "sandbox_folios" in world.deviations:
        found = map(_sandbox, found)
    return found


def _older(row: Row) -> Row | None:
    """A row as the contract of 2026-04 shows it, None when it does not."""
    if "assignee_rut" in row and row["document_type"] == "received":
        return None
    return {**row, "opaque_id": None} if "opaque_id" in row else row


def _sandbox(row: Row) -> Row:
    """A row as a key of the sandbox sees it."""
    if "document_folio" in row:
        return {**row, "document_folio": SANDBOX + row["document_id"]}
    if "is_paid" in row:
        folio = None if row["folio"] is None else SANDBOX + row["id"]
        return {**row, "folio": folio, "is_sandbox": True}
    return row


def _sides(connection: sqlite3.Connection) -> Iterator[sqlite3.Row]:
    yield from connection.execute(f"{SIDES} ORDER BY 1, 2, 3")


def _codes(connection: sqlite3.Connection) -> dict[int, set[str]]:
    """Event codes of each document."""
    found: dict[int, set[str]] = {}
    for document_id, code in connection.execute("SELECT document_id, code FROM event"):
        found.setdefault(document_id, set()).add(code)
    return found


def _documents(connection: sqlite3.Connection) -> Iterator[Row]:
    codes = _codes(connection)
    for r in _sides(connection):
        kind = DTE_TYPES.get(r["dte_type"])
        yield {
            "master_entity_id": r["master_entity_id"],
            "document_type": r["document_type"],
            "id": str(r["id"]),
            "folio": r["folio"],
            "date_issued": None if r["date_issued"] == str(UNDATED) else r["date_issued"],
            "dte_type_code": r["dte_type"],
            "dte_type_description": kind.name if kind else None,
            "amount_with_iva": r["total"],
            "amount_without_iva": r["net"],
            "amount_iva": r["iva"],
            "amount_exempt": r["exempt"],
            "currency": r["currency"],
            "exchange_rate": r["exchange_rate"],
            "original_amount": r["total"] if r["exchange_rate"] else None,
            "sender_id": plain_id(r["sender_id"]),
            "sender_name": r["sender_name"],
            "sender_tax_id": r["sender_rut"],
            "receiver_id": plain_id(r["receiver_id"]),
            "receiver_name": r["receiver_name"],
            "receiver_tax_id": r["receiver_rut"],
            "state": r["state"],
            "is_paid": bool(r["is_paid"]),
            "has_credit_note": bool(r["has_credit_note"]),
            "vat_withheld": None if r["vat_withheld"] is None else bool(r["vat_withheld"]),
            "payment_method": r["payment_method"],
            "due_date": r["due_date"],
            "retention_type": r["retention_type"],
            **_register(r, codes.get(r["source"], set())),
            "created_at": r["created_at"],
            "updated_at": r["updated_at"],
            "is_sandbox": True if r["is_sandbox"] else None,
        }


def _register(r: sqlite3.Row, codes: set[str]) -> Row:
    """What SII's claim register says of a document, None where it does not know it."""
    traced = r["dte_type"] in TRACED_TYPES and r["state"] == "issued" and bool(r["received_at"])
    claimed = bool(codes & CLAIM_CODES)
    return {
        "has_trace": traced,
        "date_reception": r["received_at"] if traced else None,
        "has_claims": claimed if traced else None,
        "has_acknowledgments": bool(codes & ACKNOWLEDGE_CODES) if traced else None,
        "is_rejected": claimed if traced else None,
        "is_paid_cash": r["payment_method"] == "1" if traced else None,
    }


def _children(connection: sqlite3.Connection, name: str) -> Iterator[tuple[Row, sqlite3.Row]]:
    """Each child row with the key of its document, once per side."""
    by_document: dict[int, list[sqlite3.Row]] = {}
    for child in connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2, 3"):
        by_document.setdefault(child["document_id"], []).append(child)
    for r in _sides(connection):
        for child in by_document.get(r["source"], []):
            key = {
                "master_entity_id": r["master_entity_id"],
                "document_type": r["document_type"],
                "document_id": str(r["id"]),
            }
            yield key, child


def _lines(connection: sqlite3.Connection) -> Iterator[Row]:
    for key, r in _children(connection, "line"):
        yield {
            **key,
            "position": r["position"],
            "line_number": None if r["line_number"] is None else int(r["line_number"]),
            "item_name": r["item_name"],
            "item_description": r["item_description"],
            "item_code": r["item_code"],
            "item_type_code": r["item_type_code"],
            "quantity": r["quantity"],
            "unit": r["unit"],
            "unit_price": r["unit_price"],
            "discount_percent": r["discount_percent"],
            "is_exempt": bool(r["is_exempt"]),
            "item_total": r["item_total"],
        }


def _references(connection: sqlite3.Connection) -> Iterator[Row]:
    loaded = {r[0] for r in connection.execute("SELECT id FROM document WHERE xml IS NOT NULL")}
    for key, r in _children(connection, "reference"):
        yield {
            **key,
            "position": r["position"],
            "reference_folio": r["reference_folio"],
            "reference_date": r["reference_date"],
            "reference_code": r["reference_code"] if r["document_id"] in loaded else None,
            "reference_reason": r["reference_reason"],
            "dte_type_code": r["dte_type_code"],
        }


def _states(connection: sqlite3.Connection) -> Iterator[Row]:
    for key, r in _children(connection, "event"):
        yield {
            **key,
            "event_code": r["code"],
            "event_date": r["at"],
            "event_description": EVENT_NAMES[r["code"]],
            "responsable_rut": r["responsable_rut"],
            "responsable_dv": r["responsable_dv"],
        }


def _cessions(connection: sqlite3.Connection) -> Iterator[Row]:
    own = {r[0] for r in connection.execute("SELECT id FROM entity WHERE own")}
    for r in connection.execute(f"{CESSIONS} ORDER BY c.id"):
        for company, side in ((r["sender_id"], "issued"), (r["receiver_id"], "received")):
            if company in own:
                yield {"master_entity_id": str(company), "document_type": side, **_cession(r)}


def _cession(r: sqlite3.Row) -> Row:
    return {
        "id": str(r["id"]),
        "document_id": str(r["document_id"]),
        "document_folio": r["folio"],
        "document_date_issued": r["date_issued"],
        "document_amount": r["total"],
        "supplier_id": plain_id(r["sender_id"]),
        "supplier_name": r["sender_name"],
        "supplier_rut": r["sender_rut"],
        "receiver_id": plain_id(r["receiver_id"]),
        "receiver_name": r["receiver_name"],
        "receiver_rut": r["receiver_rut"],
        "assignee_rut": r["assignee_rut"],
        "assignee_business_name": r["assignee_name"],
        "assignee_entity_id": plain_id(r["assignee_id"]),
        "assignee_entity_name": r["entity_name"],
        "assignee_entity_tax_id": r["entity_rut"],
        "assignment_amount": r["amount"],
        "status": r["status"],
        "status_message": r["status_message"],
        "source": r["source"],
        "sii_date_sent": r["sent_at"],
        "created_at": r["created_at"],
    }


_TABLES: dict[str, Callable[[sqlite3.Connection], Iterator[Row]]] = {
    "credentials": truth_lists.credentials,
    "master_entities": truth_lists.entities,
    "documents": _documents,
    "document_lines": _lines,
    "document_references": _references,
    "document_states": _states,
    "cessions": _cessions,
    "scheduled_documents": truth_lists.schedules,
    "webhooks": truth_lists.webhooks,
    "book_summaries": truth_lists.book_summaries,
    "sync_status": truth_lists.syncs,
}
