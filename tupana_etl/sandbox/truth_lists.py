"""The truth of the small lists: what ``truth`` is for documents and cessions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from tupana_etl.sandbox import books, store
from tupana_etl.sandbox.lists import SCHEDULES, opaque

Row = dict[str, Any]


def plain_id(value: int | None) -> str | None:
    return None if value is None else str(value)


def credentials(connection: sqlite3.Connection) -> Iterator[Row]:
    for r in connection.execute("SELECT * FROM credential ORDER BY id"):
        yield {
            "id": str(r["id"]),
            "user": r["user_rut"],
            "status": r["status"],
            "created_at": r["created_at"],
        }


def entities(connection: sqlite3.Connection) -> Iterator[Row]:
    for r in connection.execute("SELECT * FROM entity WHERE own ORDER BY id"):
        yield {
            "master_entity_id": str(r["id"]),
            "id": str(r["id"]),
            "opaque_id": opaque(r["id"]),
            "tax_id": r["rut"],
            "name": r["name"],
            "email": r["email"],
        }


def schedules(connection: sqlite3.Connection) -> Iterator[Row]:
    same = (
        *("sender_rut", "receiver_name", "receiver_rut", "frequency", "day_of_month"),
        *("day_of_week", "next_execution", "status", "amount", "currency", "currency_day"),
        *("completed_occurrences", "max_occurrences", "start_date", "end_date", "end_type"),
        *("created_at", "updated_at"),
    )
    for r in connection.execute(f"{SCHEDULES} ORDER BY s.id"):
        yield {
            "master_entity_id": str(r["sender_id"]),
            "id": str(r["id"]),
            "sender_id": str(r["sender_id"]),
            "receiver_id": plain_id(r["receiver_id"]),
            "dte_type_code": r["dte_type"],
            "emission_day_adjustment": r["adjustment"],
            **{name: r[name] for name in same},
        }


def webhooks(connection: sqlite3.Connection) -> Iterator[Row]:
    same = ("url", "last_status_code", "last_sent_at", "success_rate", "created_at", "updated_at")
    for r in connection.execute("SELECT * FROM webhook ORDER BY id"):
        yield {
            "id": str(r["id"]),
            "is_active": bool(r["is_active"]),
            **{name: r[name] for name in same},
        }


def book_summaries(connection: sqlite3.Connection) -> Iterator[Row]:
    scraped = f"{store.today(connection).isoformat()}T06:12:41+00:00"
    for (company,) in connection.execute("SELECT id FROM entity WHERE own ORDER BY id").fetchall():
        for row in books.rows(connection, company):
            yield {
                "master_entity_id": str(company),
                "period": row.period,
                "operation": row.operation,
                "dte_type_code": row.dte_type,
                "id": str(row.id),
                "dte_type_name": books.type_name(row.dte_type),
                "total_docs": row.documents,
                "net_amount": str(row.net),
                "exempt_amount": str(row.exempt),
                "vat_amount": str(row.iva),
                "total_amount": str(row.total),
                "scraped_at": scraped,
            }


def syncs(connection: sqlite3.Connection) -> Iterator[Row]:
    for r in connection.execute("SELECT * FROM sync ORDER BY entity_id, scrape_type"):
        yield {
            "master_entity_id": str(r["entity_id"]),
            "scrape_type": r["scrape_type"],
            "sync_frequency_hours": r["frequency_hours"],
            "last_success_at": r["last_success_at"],
            "last_status": r["last_status"],
        }
