"""What was really issued: the sandbox's own notes, whatever its API answered."""

from __future__ import annotations

import sqlite3
from collections import Counter
from typing import Any

from tupana_etl.sandbox import clock, drafts

_ISSUED = """
SELECT i.*, b.idempotency_key, d.state, d.folio AS folio_now
FROM issued i JOIN batch b ON b.id = i.batch_id LEFT JOIN document d ON d.id = i.document_id
WHERE i.document_id > ? ORDER BY i.document_id"""

_WAITING = """
SELECT batch_id, position, status, due, asked FROM batch_document
WHERE issued_at IS NULL ORDER BY batch_id, position"""


def issued(connection: sqlite3.Connection, after: int = 0) -> dict[str, Any]:
    """Documents issued with an id above ``after``, how often each json_param value was,
    and the entries of batches that issued none."""
    rows = [_row(r) for r in connection.execute(_ISSUED, (after,))]
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        for name, value in (row["json_param"] or {}).items():
            if isinstance(value, str):
                counts.setdefault(name, Counter())[value] += 1
    (batches,) = connection.execute("SELECT count(*) FROM batch").fetchone()
    waiting = [
        {
            **{name: r[name] for name in ("batch_id", "position", "status")},
            "is_open": r["due"] is not None,
            "json_param": drafts.read(r["asked"]).get("json_param"),
        }
        for r in connection.execute(_WAITING)
    ]
    return {
        "documents": len(rows),
        "batches": batches,
        "counts": {name: dict(found) for name, found in counts.items()},
        "issued": rows,
        "not_issued": waiting,
    }


def entries(connection: sqlite3.Connection) -> dict[str, Any]:
    """Events registered by POST, in order, and how many of each document and code."""
    rows = connection.execute("SELECT * FROM entry ORDER BY number").fetchall()
    counts = Counter(f"{r['document_id']}/{r['event_code']}" for r in rows)
    told = [
        {**{n: r[n] for n in ("document_id", "event_code")}, "at": clock.zulu(r["at"])}
        for r in rows
    ]
    return {"entries": told, "counts": dict(counts)}


def _row(r: sqlite3.Row) -> dict[str, Any]:
    asked = drafts.read(r["asked"])
    same = (
        *("document_id", "batch_id", "position", "idempotency_key", "dte_type", "folio"),
        *("issuer_rut", "receiver_rut", "date_issued", "net", "exempt", "iva", "total"),
        *("state",),
    )
    return {
        **{name: r[name] for name in same},
        "is_sandbox": bool(r["is_sandbox"]),
        "issued_at": clock.zulu(r["issued_at"]),
        "json_param": asked.get("json_param"),
        "asked": asked,
    }
