"""Batches of documents on their way: accepted, proceeding by the clock, issued at last.

Nothing runs in the background. Whoever asks the server anything makes it catch up first
(``proceed``), so what a client sees depends on the clock alone, and a server that was
stopped goes on where it was.
"""

from __future__ import annotations

import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any

import msgspec

from tupana_etl.sandbox import clock, drafts, entries, idempotency, issue, orders, store, switches
from tupana_etl.sandbox.orders import Orders
from tupana_etl.sandbox.switches import Switches

Node = dict[str, Any]

PROCESSING = "processing"
_ERRORS = {
    "invalid": {"non_field_errors": ["El documento no es válido."]},
    "permanent_error": {"non_field_errors": ["El SII rechazó la emisión."]},
    "temporary_error": {"non_field_errors": ["El SII no responde. Se reintentará."]},
    "incomplete": {"non_field_errors": ["El documento quedó incompleto."]},
}


@dataclass(frozen=True)
class Intake:
    """A batch that passed validation, ready to be stored."""

    documents: list[Node]
    warnings: list[Node]
    orders: list[Orders]
    is_sandbox: bool
    used: idempotency.Use | None
    now: float


def accept(connection: sqlite3.Connection, intake: Intake) -> str:
    """Stores a batch with its key in one transaction; its id."""
    batch_id, how = str(uuid.uuid4()), switches.of(connection)
    key = None if intake.used is None else intake.used.key
    warnings = msgspec.json.encode(intake.warnings).decode()
    with connection:
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)",
            (batch_id, intake.is_sandbox, key, intake.now, intake.now, warnings),
        )
        _insert(connection, batch_id, intake, how)
        if intake.used is not None:
            idempotency.keep(connection, intake.used, intake.now, batch_id=batch_id)
    return batch_id


@dataclass(frozen=True)
class Proceeded:
    """What happened by the clock."""

    issued: list[int]
    """Ids of documents."""
    failed: list[str]
    """Ids of batches that ended without a single document."""


def proceed(connection: sqlite3.Connection) -> Proceeded:
    """Whatever is due by the clock happens now."""
    now = clock.now(connection)
    if not _due(connection, now, limit=1):
        return Proceeded([], [])
    issued: list[int] = []
    touched: set[str] = set()
    how = switches.of(connection)
    with connection:
        connection.execute("BEGIN")
        while rows := _due(connection, now):
            issued += _step(connection, rows, how)
            touched |= {row["batch_id"] for row in rows}
    return Proceeded(issued, [b for b in sorted(touched) if _failed_whole(connection, b)])


def _failed_whole(connection: sqlite3.Connection, batch_id: str) -> bool:
    query = """SELECT min(status = 'permanent_error' AND due IS NULL) FROM batch_document
        WHERE batch_id = ?"""
    (failed,) = connection.execute(query, (batch_id,)).fetchone()
    return bool(failed)


def _due(connection: sqlite3.Connection, now: float, limit: int = -1) -> list[sqlite3.Row]:
    return connection.execute(
        """SELECT d.*, b.is_sandbox FROM batch_document d JOIN batch b ON b.id = d.batch_id
        WHERE d.due <= ? ORDER BY d.due, b.created_at, d.batch_id, d.position LIMIT ?""",
        (now, limit),
    ).fetchall()


def _insert(connection: sqlite3.Connection, batch_id: str, intake: Intake, how: Switches) -> None:
    first = store.next_ids(connection, len(intake.documents))
    due = intake.now + how.processing_seconds / 2
    rows = []
    for position, (asked, order) in enumerate(zip(intake.documents, intake.orders, strict=True)):
        document = drafts.made(connection, asked, first + position, clock.at(intake.now))
        document.is_sandbox = intake.is_sandbox
        if order.without_json_param:
            document.json_param = None
        if how.drafts_first:
            issue.leave(connection, document, "draft")
        steps = ">".join((PROCESSING, *order.steps, *order.afterwards))
        told = entries.told(document, asked)
        rows.append(
            (
                *(batch_id, position, drafts.as_text(asked), orders.as_text(order)),
                *(document.id, "created", steps, due, told, None, None),
            )
        )
    marks = ", ".join("?" * len(rows[0]))
    connection.executemany(f"INSERT INTO batch_document VALUES ({marks})", rows)


def _step(connection: sqlite3.Connection, rows: list[sqlite3.Row], how: Switches) -> list[int]:
    """Each document takes its next step, those that are issued all at once; their ids."""
    issued = issue.issue(connection, [r for r in rows if _next(r) == orders.SUCCESS], how)
    for row in rows:
        status, rest = _next(row), row["steps"].partition(">")[2]
        place = (row["batch_id"], row["position"])
        due = row["due"] + _wait(row, status, rest, how) if rest else None
        if status == orders.REJECTION:
            issue.reject(connection, row["document_id"], clock.at(row["due"]))
            status = orders.SUCCESS
        elif status in issue.LEAVES:
            _leave(connection, row, status)
        elif status == "invalid":
            issue.withdraw(connection, row["document_id"])
        errors = _ERRORS.get(status)
        connection.execute(
            "UPDATE batch_document SET status = ?, steps = ?, due = ?, errors = ?, "
            "told = coalesce(?, told), issued_at = coalesce(?, issued_at) "
            "WHERE batch_id = ? AND position = ?",
            (
                *(status, rest, due, None if errors is None else drafts.as_text(errors)),
                *(issued.get(place), row["due"] if place in issued else None, *place),
            ),
        )
    connection.executemany(
        "UPDATE batch SET updated_at = max(updated_at, ?) WHERE id = ?",
        {(r["due"], r["batch_id"]) for r in rows},
    )
    return [r["document_id"] for r in rows if (r["batch_id"], r["position"]) in issued]


def _next(row: sqlite3.Row) -> str:
    return str(row["steps"].partition(">")[0])


def _wait(row: sqlite3.Row, status: str, rest: str, how: Switches) -> float:
    """Seconds from a step to the one after it."""
    if rest.partition(">")[0] == orders.REJECTION:
        return orders.read(row["orders"]).rejected_after or 0.0
    return how.processing_seconds / 2 if status == PROCESSING else how.step_seconds


def _leave(connection: sqlite3.Connection, row: sqlite3.Row, status: str) -> None:
    asked, at = drafts.read(row["asked"]), clock.at(row["due"])
    document = drafts.made(connection, asked, row["document_id"], at)
    document.is_sandbox = bool(row["is_sandbox"])
    issue.leave(connection, document, issue.LEAVES[status])
