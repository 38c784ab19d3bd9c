"""The world's SQLite file: writing and reading whole records."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tupana_etl.errors import ConfigError
from tupana_etl.sandbox import dates, render
from tupana_etl.sandbox.model import Content, Document, Event, Line, Party, Reference
from tupana_etl.sandbox.schema import INDEXES, SCHEMA, VERSION

LEAN = """CASE WHEN d.source = d.id THEN b.lean ELSE
  '"id":' || d.id || ',"folio":' || json_quote(d.folio)
  || substr(b.lean, instr(b.lean, ',"date_issued"')) END AS lean"""
"""A document's own lean JSON, of document ``d`` and the body ``b`` of its source.

``document.source`` is the document whose lines, events and JSON these are: itself, or in
a world made in bulk a template (a negative number) that many share and none changes.
"""

_PARTS = {"sender", "receiver", "lines", "references", "events"}
_PLAIN = tuple(f.name for f in dataclasses.fields(Document) if f.name not in _PARTS)
_DOCUMENT_INTEGERS = {"is_paid", "has_credit_note", "vat_withheld", "is_sandbox"}
_AMOUNTS = {"net", "exempt", "iva", "total", "exchange_rate", "retention"}
_TIMES = {"received_at", "created_at", "updated_at"}


def connect(database: Path) -> sqlite3.Connection:
    """A connection for the server's one thread; several readers may look meanwhile."""
    connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
    connection.row_factory = sqlite3.Row
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        connection.close()
        raise ConfigError(
            f"{database} is a sandbox world of another version of tupana. Delete it; a new "
            "one is made on the next start."
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def create(database: Path, content: Content, meta: Mapping[str, str]) -> None:
    """Writes a whole world into a new file."""
    connection = sqlite3.connect(database)
    try:
        connection.executescript(SCHEMA + INDEXES)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        for table, records in (
            ("entity", content.entities),
            ("cession", content.cessions),
            ("schedule", content.schedules),
            ("credential", content.credentials),
            ("webhook", content.webhooks),
            ("sync", content.syncs),
        ):
            insert_records(connection, table, records)
        insert_documents(connection, content.documents, content.today)
        connection.commit()
    finally:
        connection.close()


def meta(connection: sqlite3.Connection, name: str) -> str:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return str(row[0])


def find_meta(connection: sqlite3.Connection, name: str) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def next_ids(connection: sqlite3.Connection, count: int) -> int:
    """Takes ids for ``count`` documents; the first of them."""
    first = int(meta(connection, "next_id"))
    set_meta(connection, "next_id", str(first + count))
    return first


def today(connection: sqlite3.Connection) -> date:
    return date.fromisoformat(meta(connection, "today"))


def insert_records(connection: sqlite3.Connection, table: str, records: Iterable[Any]) -> None:
    """Inserts flat dataclasses whose fields are the table's columns."""
    rows = [
        {f.name: plain(getattr(record, f.name)) for f in dataclasses.fields(record)}
        for record in records
    ]
    if rows:
        names = ", ".join(rows[0])
        marks = ", ".join(f":{name}" for name in rows[0])
        connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)


def insert_documents(
    connection: sqlite3.Connection,
    documents: list[Document],
    day: date,
    *,
    searchable_at: float = 0.0,
) -> None:
    """Inserts documents with their children and their JSON, rendered once.

    ``searchable_at``: from when on, in seconds since 1970, their json_param is found.
    """
    _write(connection, documents, day)
    _insert(
        connection,
        "json_param",
        ((k, v, d.id, searchable_at) for d in documents for k, v in _strings(d.json_param)),
    )


def _write(connection: sqlite3.Connection, documents: list[Document], day: date) -> None:
    _insert(connection, "document", (_document_row(d) for d in documents))
    _insert(
        connection,
        "line",
        ((d.id, i, *_fields(x)) for d in documents for i, x in enumerate(d.lines, 1)),
    )
    _insert(
        connection,
        "reference",
        ((d.id, i, *_fields(x)) for d in documents for i, x in enumerate(d.references, 1)),
    )
    _insert(connection, "event", ((d.id, *_fields(x)) for d in documents for x in d.events))
    _insert(connection, "body", ((d.id, *render.bodies(d, day)) for d in documents))


def delete_document(connection: sqlite3.Connection, document_id: int) -> None:
    """Removes a document, its own children and its cessions; a shared template stays."""
    connection.execute("DELETE FROM document WHERE id = ?", (document_id,))
    connection.execute("DELETE FROM json_param WHERE document_id = ?", (document_id,))
    for table in ("line", "reference", "event", "body", "cession"):
        connection.execute(f"DELETE FROM {table} WHERE document_id = ?", (document_id,))


def replace_document(connection: sqlite3.Connection, document: Document) -> None:
    """Writes a changed document and its JSON again; its cessions and json_param stay."""
    connection.execute("DELETE FROM document WHERE id = ?", (document.id,))
    for table in ("line", "reference", "event", "body"):
        connection.execute(f"DELETE FROM {table} WHERE document_id = ?", (document.id,))
    _write(connection, [document], today(connection))


def read_document(connection: sqlite3.Connection, document_id: int) -> Document | None:
    row = connection.execute("SELECT * FROM document WHERE id = ?", (document_id,)).fetchone()
    if row is None:
        return None
    fields: dict[str, Any] = {name: _native(name, row[name]) for name in _PLAIN}
    return Document(
        **fields,
        sender=Party(row["sender_id"], row["sender_rut"], row["sender_name"]),
        receiver=Party(row["receiver_id"], row["receiver_rut"], row["receiver_name"]),
        lines=[
            Line(**{name: r[name] for name in Line.__slots__} | {"is_exempt": bool(r["is_exempt"])})
            for r in _children(connection, "line", "position", row["source"])
        ],
        references=[
            Reference(*r[2:]) for r in _children(connection, "reference", "position", row["source"])
        ],
        events=[
            Event(r["code"], datetime.fromisoformat(r["at"]), *r[3:])
            for r in _children(connection, "event", "at", row["source"])
        ],
    )


def _children(
    connection: sqlite3.Connection, table: str, order: str, document_id: int
) -> list[Any]:
    query = f"SELECT * FROM {table} WHERE document_id = ? ORDER BY {order}"
    return connection.execute(query, (document_id,)).fetchall()


def plain(value: object) -> object:
    """A value as SQLite holds it: amounts, dates and times as text."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value


def _native(name: str, value: Any) -> Any:
    if value is None or name in {"id"}:
        return value
    if name in _AMOUNTS:
        return Decimal(value)
    if name in _TIMES:
        return datetime.fromisoformat(value)
    if name in {"date_issued", "due_date"}:
        return date.fromisoformat(value)
    return bool(value) if name in _DOCUMENT_INTEGERS else value


def _fields(record: Line | Reference | Event) -> list[object]:
    return [plain(getattr(record, name)) for name in record.__slots__]


def _strings(json_param: str | None) -> list[tuple[str, str]]:
    """What the json_param filter can find: only values that are strings."""
    if json_param is None:
        return []
    return [(k, v) for k, v in msgspec.json.decode(json_param).items() if isinstance(v, str)]


def _document_row(d: Document) -> tuple[object, ...]:
    received_on = dates.local_day(d.received_at).isoformat() if d.received_at else None
    sender = (d.sender.id, d.sender.rut, d.sender.name)
    receiver = (d.receiver.id, d.receiver.rut, d.receiver.name)
    before = [plain(getattr(d, name)) for name in _PLAIN[:4]]
    after = [plain(getattr(d, name)) for name in _PLAIN[4:]]
    return (*before, *sender, *receiver, *after, received_on, d.id)


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    listed = list(rows)
    if listed:
        marks = ", ".join("?" * len(listed[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", listed)
