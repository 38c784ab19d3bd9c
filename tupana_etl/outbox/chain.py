"""The chain of events: each vouches for the one before, so none can be changed alone.

An event's words may quote what a row held, and are purged with it. Its hash stays, and the
event of the purge holds a seal over all that is left of it, so the chain still proves that
nothing else was changed.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from tupana_etl.outbox.schema import PURGED

SEALED = "sealed"
"""In the evidence of a purge: by id, the seal of every event whose words it took."""

_FIELDS = "id, hash, intent_id, at, actor, from_state, to_state, reason, evidence, previous_hash"

_QUOTING = f"""(actor = 'planner' OR to_state IN ('BLOCKED', 'REJECTED', 'QUARANTINED')
OR evidence LIKE '%"class"%') AND evidence NOT LIKE '%"{SEALED}"%'
AND evidence NOT LIKE '%"acknowledged"%'
AND reason NOT IN ('planned', 'planned again', 'taken in', '{PURGED}')"""
"""Events whose words may be a cell's or the API's: of plans, refusals, incidents and answers."""


def record(con: sqlite3.Connection, told: tuple[Any, ...], evidence: Mapping[str, Any]) -> None:
    """An event, chained to the one before: row, moment, actor, from, to, reason, evidence.

    Expects a transaction.
    """
    last = con.execute("SELECT hash FROM events ORDER BY id DESC LIMIT 1").fetchone()
    body = (
        *told,
        json.dumps(evidence, sort_keys=True, default=str, ensure_ascii=False),
        last[0] if last else "",
    )
    con.execute(
        "INSERT INTO events (intent_id, at, actor, from_state, to_state, reason, evidence, "
        "previous_hash, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [*body, _hash(body)],
    )


def purge_words(con: sqlite3.Connection, intent_id: int) -> tuple[set[str], dict[str, str]]:
    """Takes from a row's events the words that may quote what it held. Expects a transaction.

    The words, and the seals that the event of the purge has to keep (``SEALED``).
    """
    found = con.execute(
        f"SELECT {_FIELDS} FROM events WHERE intent_id = ? AND {_QUOTING}", [intent_id]
    ).fetchall()
    con.executemany(
        "UPDATE events SET reason = ? WHERE id = ?", [(PURGED, row[0]) for row in found]
    )
    return {str(row[7]) for row in found}, {str(row[0]): _seal(row) for row in found}


def first_broken(con: sqlite3.Connection) -> int | None:
    """Id of the first event that the chain does not vouch for; None when it is whole."""
    previous = ""
    unsealed: dict[str, str] = {}
    for row in con.execute(f"SELECT {_FIELDS} FROM events ORDER BY id"):
        if row[9] != previous:
            return int(row[0])
        if _hash(tuple(row[2:])) == row[1]:
            for event, seal in _seals(row[8]).items():
                if unsealed.pop(event, seal) != seal:
                    return int(event)
        elif row[7] == PURGED:
            unsealed[str(row[0])] = _seal(row)
        else:
            return int(row[0])
        previous = row[1]
    return min(map(int, unsealed), default=None)


def _hash(body: tuple[Any, ...]) -> str:
    """Over every field of an event and the hash before it."""
    return hashlib.sha256(json.dumps(body, ensure_ascii=False).encode()).hexdigest()


def _seal(row: tuple[Any, ...]) -> str:
    """Over every field of an event whose words are gone, and its hash."""
    event, own, intent, at, actor, before, after, _, evidence, previous = row
    return _hash((event, own, intent, at, actor, before, after, evidence, previous))


def _seals(evidence: str) -> dict[str, str]:
    if f'"{SEALED}"' not in evidence:
        return {}
    found: dict[str, str] = json.loads(evidence).get(SEALED, {})
    return found
