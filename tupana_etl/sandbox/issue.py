"""Issuing: the moment a document gets its folio and becomes one of the world's."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import Any

from tupana_etl import domain
from tupana_etl.sandbox import clock, drafts, entries, folios, notes, orders, store
from tupana_etl.sandbox.model import Document, Entity, Event, Reference
from tupana_etl.sandbox.switches import Switches

LEAVES = {"permanent_error": "failed", "incomplete": "draft"}
"""Statuses that leave a document without folio in the lists, and its state there."""

_NOBODY = frozenset({domain.FOREIGN_RECEIVER, domain.UNIDENTIFIED_RECEIVER})


def issue(
    connection: sqlite3.Connection, rows: list[sqlite3.Row], how: Switches
) -> dict[tuple[str, int], str]:
    """Issues documents of batches; by batch and position, what the batch tells of each."""
    told: dict[tuple[str, int], str] = {}
    made: list[Document] = []
    for row in rows:
        withdraw(connection, row["document_id"])
        asked = drafts.read(row["asked"])
        documents = _made(connection, row, asked)
        made += documents
        for document in documents:
            _remember(connection, row, document)
        told[row["batch_id"], row["position"]] = entries.told(documents[0], asked)
    if made:
        found_at = max(r["due"] for r in rows) + how.search_seconds
        day = store.today(connection)
        store.insert_documents(connection, made, day, searchable_at=found_at)
    for document in made:
        if document.dte_type == "61":
            _adjust(connection, document)
    return told


def referenced(
    connection: sqlite3.Connection, issuer_rut: str, reference: Reference
) -> Document | None:
    """The issuer's own document that a reference names."""
    row = connection.execute(
        "SELECT id FROM document WHERE sender_rut = ? AND dte_type = ? AND folio = ?",
        (issuer_rut, reference.dte_type_code, reference.reference_folio),
    ).fetchone()
    return None if row is None else store.read_document(connection, row["id"])


def leave(connection: sqlite3.Connection, document: Document, state: str) -> None:
    """A document that has no folio, in the lists."""
    document.state, document.folio, document.received_at = state, None, None
    withdraw(connection, document.id)
    store.insert_documents(connection, [document], store.today(connection))


def withdraw(connection: sqlite3.Connection, document_id: int) -> None:
    """What a document left in the lists before it got where it is now."""
    known = connection.execute("SELECT 1 FROM document WHERE id = ?", (document_id,)).fetchone()
    if known is not None:
        store.delete_document(connection, document_id)


def reject(connection: sqlite3.Connection, document_id: int, at: datetime) -> None:
    """SII refuses a document that was issued."""
    document = store.read_document(connection, document_id)
    if document is None:
        return
    document.state, document.received_at = "rejected", None
    document.updated_at = max(document.updated_at, at)
    store.replace_document(connection, document)


def _made(connection: sqlite3.Connection, row: sqlite3.Row, asked: Any) -> list[Document]:
    """The document, and its twin when a fault orders one."""
    order = orders.read(row["orders"])
    _meet(connection, asked["document_receiver"])
    ids = [row["document_id"]] + ([store.next_ids(connection, 1)] if order.twice else [])
    made = []
    for document_id in ids:
        document = drafts.made(connection, asked, document_id, clock.at(row["due"]))
        document.is_sandbox = bool(row["is_sandbox"])
        wanted = asked.get("folio") if document_id == row["document_id"] else None
        document.folio = folios.next_one(connection, document, wanted)
        if order.without_json_param:
            document.json_param = None
        document.net += order.more
        document.total += order.more
        made.append(document)
    return made


def _meet(connection: sqlite3.Connection, receiver: dict[str, Any]) -> None:
    """A receiver nobody knows yet gets an entity of its own."""
    rut = receiver["rut"]
    known = connection.execute("SELECT 1 FROM entity WHERE rut = ?", (rut,)).fetchone()
    if known is not None or rut in _NOBODY:
        return
    (last,) = connection.execute("SELECT max(id) FROM entity").fetchone()
    name = receiver.get("business_name") or f"CONTRIBUYENTE {rut}"
    new = Entity(last + 1, rut, name, looked_up=True)
    store.insert_records(connection, "entity", [new])


def _remember(connection: sqlite3.Connection, row: sqlite3.Row, d: Document) -> None:
    """The oracle's own note of what was issued, which nothing changes later."""
    connection.execute(
        "INSERT INTO issued VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(d.id, row["batch_id"], row["position"], row["asked"], d.dte_type, d.folio),
            *(d.sender.rut, d.receiver.rut, d.date_issued.isoformat(), str(d.net)),
            *(str(d.exempt), str(d.iva), str(d.total), d.is_sandbox, row["due"]),
        ),
    )


def _adjust(connection: sqlite3.Connection, note: Document) -> None:
    """SII tells the referenced document of its credit note: NCA voids it, ENC does not."""
    for reference in note.references:
        original = referenced(connection, note.sender.rut, reference)
        if original is None or original.has_credit_note:
            continue
        original.has_credit_note = True
        if original.has_trace and note.received_at is not None:
            body, digit = note.sender.rut.split("-")
            code = "NCA" if reference.reference_reason == notes.ANNULS else "ENC"
            last = max([note.received_at, *(e.at for e in original.events)])
            original.events.append(Event(code, last + timedelta(seconds=1), body, digit))
        store.replace_document(connection, original)
