"""What a stream's truth adds up to, for worlds whose rows are too many to hand over."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from tupana_etl.sandbox import truth
from tupana_etl.sandbox.model import World

_CHILDREN = {
    "document_lines": "line",
    "document_references": "reference",
    "document_states": "event",
}


def of(connection: sqlite3.Connection, world: World, stream: str) -> dict[str, Any]:
    """``rows``, ``ids`` (distinct) and ``amount_with_iva`` (exact sum, documents only).

    Documents and their children are added up by SQL, the rest row by row.
    """
    if stream == "documents":
        return _documents(connection)
    if stream in _CHILDREN:
        return _children(connection, _CHILDREN[stream])
    return _counted(truth.rows(connection, world, stream))


def _documents(connection: sqlite3.Connection) -> dict[str, Any]:
    rows = connection.execute(
        f"""SELECT count(*), count(DISTINCT id), sum(CAST(round(total * 100) AS INTEGER))
        FROM ({truth.SIDES})"""
    )
    count, ids, cents = rows.fetchone()
    return {"rows": count, "ids": ids, "amount_with_iva": str(Decimal(cents or 0).scaleb(-2))}


def _children(connection: sqlite3.Connection, table: str) -> dict[str, Any]:
    count, ids = connection.execute(
        f"""SELECT coalesce(sum(n), 0), count(DISTINCT id) FROM ({truth.SIDES}) AS side
        JOIN (SELECT document_id, count(*) AS n FROM {table} GROUP BY document_id) AS child
        ON child.document_id = side.source"""
    ).fetchone()
    return {"rows": count, "ids": ids, "amount_with_iva": None}


def _counted(rows: Iterable[truth.Row]) -> dict[str, Any]:
    ids = [row.get("id") for row in rows]
    return {"rows": len(ids), "ids": len(set(ids)), "amount_with_iva": None}
