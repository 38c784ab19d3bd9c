"""What the server remembers of an Idempotency-Key, and for how long."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

LONGEST = 256


@dataclass(frozen=True)
class Use:
    """A key as it came with a body."""

    scope: str
    """``user``, or the API key that it belongs to."""
    key: str
    body_hash: str


def use(scope: str, key: str | None, body: bytes) -> Use | None:
    """None without a key. Bodies are the same when their bytes are."""
    return None if key is None else Use(scope, key, hashlib.sha256(body).hexdigest())


def find(connection: sqlite3.Connection, asked: Use, oldest: float) -> sqlite3.Row | None:
    """What the key was used for since ``oldest``; a key used before is new again."""
    with connection:
        connection.execute(
            "DELETE FROM idempotency WHERE scope = ? AND key = ? AND created_at <= ?",
            (asked.scope, asked.key, oldest),
        )
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM idempotency WHERE scope = ? AND key = ?", (asked.scope, asked.key)
    ).fetchone()
    return row


def keep(
    connection: sqlite3.Connection,
    used: Use,
    now: float,
    *,
    batch_id: str | None = None,
    refusal: str | None = None,
) -> None:
    """The key now stands for a batch, or for the JSON of a refusal."""
    connection.execute(
        "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?)",
        (used.scope, used.key, used.body_hash, batch_id, refusal, now),
    )
