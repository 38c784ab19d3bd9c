"""``inbox.sqlite``: verified events, each once, until what they name was read.

Rollback journal and ``synchronous=FULL``: what was answered with 200 is on disk. A row holds
no text of the body, only what it is about and its hash.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from tupana_etl import home as homes
from tupana_etl.errors import DataError
from tupana_etl.inbox.event import Event

FILE = "inbox.sqlite"
VERSION = 2
BUSY_SECONDS = 10.0
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=30), timedelta(hours=1)

State = Literal["pending", "handled", "ignored"]

SCHEMA = f"""
CREATE TABLE events (
  number INTEGER PRIMARY KEY,
  event_type TEXT NOT NULL, document_id TEXT NOT NULL,
  event_id TEXT NOT NULL, delivery_id TEXT NOT NULL, body_sha256 TEXT NOT NULL UNIQUE,
  received_at TEXT NOT NULL, copies INTEGER NOT NULL DEFAULT 0,
  state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0,
  next_at TEXT NOT NULL, settled_at TEXT,
  batch_id TEXT NOT NULL DEFAULT '', announced_at TEXT NOT NULL DEFAULT '');
CREATE UNIQUE INDEX events_event_id ON events (event_id) WHERE event_id <> '';
CREATE UNIQUE INDEX events_delivery_id ON events (delivery_id) WHERE delivery_id <> '';
CREATE INDEX events_pending ON events (next_at) WHERE state = 'pending';
PRAGMA user_version = {VERSION};
"""
SINCE_1 = f"""
ALTER TABLE events ADD COLUMN batch_id TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN announced_at TEXT NOT NULL DEFAULT '';
PRAGMA user_version = {VERSION};
"""
"""What a file of version 1 lacks."""


@dataclass(frozen=True)
class Pending:
    """An event whose document or batch is still to be read."""

    number: int
    event_type: str
    document_id: str
    attempts: int
    reason: str
    """Why the last attempt failed; '' before the first."""
    batch_id: str


@dataclass
class Inbox:
    """An open inbox, for one thread."""

    con: sqlite3.Connection

    def keep(self, event: Event, now: datetime) -> bool:
        """Keeps an event; False if it was known by event id, delivery id or its bytes.

        On disk when it returns. Raises sqlite3.Error when the disk refuses.
        """
        state, reason = ("pending", "")
        if not (event.is_about_a_document or event.is_about_a_batch):
            state = "ignored"
            reason = "names nothing to read" if event.event_type else "cannot be read"
        with self.con:
            self.con.execute("BEGIN IMMEDIATE")
            known = self.con.execute(
                "UPDATE events SET copies = copies + 1 WHERE body_sha256 = ?1 "
                "OR (event_id = ?2 AND ?2 <> '') OR (delivery_id = ?3 AND ?3 <> '')",
                (event.body_sha256, event.event_id, event.delivery_id),
            )
            if known.rowcount:
                return False
            at = stamp(now)
            self.con.execute(
                "INSERT INTO events (event_type, document_id, event_id, delivery_id, body_sha256, "
                "received_at, state, reason, next_at, batch_id, announced_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(event.event_type, event.document_id, event.event_id, event.delivery_id),
                    *(event.body_sha256, at, state, reason, at, event.batch_id),
                    # What is still to come cannot have been announced.
                    stamp(min(event.announced_at or now, now)),
                ),
            )
        return True

    def due(self, now: datetime) -> list[Pending]:
        """Events whose document may be read now, oldest first."""
        rows = self.con.execute(
            "SELECT number, event_type, document_id, attempts, reason, batch_id FROM events "
            "WHERE state = 'pending' AND next_at <= ? ORDER BY number",
            (stamp(now),),
        )
        return [Pending(*row) for row in rows]

    def settle(
        self, events: Iterable[Pending], state: State, now: datetime, reason: str = ""
    ) -> None:
        """Handled, or ignored for a reason."""
        with self.con:
            self.con.execute("BEGIN IMMEDIATE")
            self.con.executemany(
                "UPDATE events SET state = ?, reason = ?, settled_at = ? WHERE number = ?",
                [(state, reason, stamp(now), e.number) for e in events],
            )

    def put_off(self, events: Iterable[Pending], now: datetime, reason: str) -> None:
        """Tries again later: 30 s, then twice as long each time, at most an hour."""
        with self.con:
            self.con.execute("BEGIN IMMEDIATE")
            self.con.executemany(
                "UPDATE events SET attempts = attempts + 1, reason = ?, next_at = ? "
                "WHERE number = ?",
                [(reason, stamp(now + _pause(e.attempts)), e.number) for e in events],
            )

    def counts(self) -> dict[str, int]:
        """How many events are in each state."""
        query = "SELECT state, count(*) FROM events GROUP BY state ORDER BY state"
        return dict(self.con.execute(query).fetchall())

    def waiting(self) -> list[Pending]:
        """Every event not settled, due or not, oldest first."""
        rows = self.con.execute(
            "SELECT number, event_type, document_id, attempts, reason, batch_id FROM events "
            "WHERE state = 'pending' ORDER BY number"
        )
        return [Pending(*row) for row in rows]


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def exists(home: Path) -> bool:
    """Whether this home ever received an event."""
    return (home / FILE).exists()


@contextmanager
def open_inbox(home: Path) -> Iterator[Inbox]:
    """The home's inbox, made when it is not there. Raises DataError when it is of a newer
    version or no database, ConfigError when the home cannot be written."""
    homes.prepare(home)
    path = home / FILE
    if not path.exists():
        # Born with its mode: SQLite would make it by the umask.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)) as con:
        try:
            con.execute("PRAGMA journal_mode = DELETE")
            con.execute("PRAGMA synchronous = FULL")
            _prepare(con, path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            raise DataError(
                f"{path} is damaged ({error}). Events are only hints: move the file away, and "
                "the next sync reads whatever they were about."
            ) from None
        yield Inbox(con)


def _prepare(con: sqlite3.Connection, path: Path) -> None:
    if _version(con) > VERSION:
        raise DataError(f"{path} was written by a newer version of tupana. Upgrade it.")
    if _version(con) < VERSION:
        con.execute("BEGIN IMMEDIATE")
        script = {0: SCHEMA, 1: SINCE_1}.get(_version(con), "")  # another may have been faster
        for statement in script.split(";"):
            con.execute(statement)
        con.execute("COMMIT")


def _version(con: sqlite3.Connection) -> int:
    (version,) = con.execute("PRAGMA user_version").fetchone()
    return int(version)


def _pause(attempts: int) -> timedelta:
    return min(FIRST_RETRY * (1 << min(attempts, 10)), LONGEST_RETRY)
