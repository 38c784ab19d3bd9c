"""Opens the ledger and guards it: one file, every commit durable, an old copy refused.

The ledger says what was asked to be issued and what became of it. It is SQLite in
rollback-journal mode with ``synchronous=EXTRA``: when a transaction returns, it is on disk.
No other SQLite library may open the file in this process (two copies share the process's
POSIX locks and drop each other's), so everything reads it through here.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tupana_etl import home as homes
from tupana_etl.domain import utcnow
from tupana_etl.errors import LedgerError, LockHeld
from tupana_etl.outbox import custody, schema

Clock = Callable[[], datetime]

NETWORK_FILESYSTEMS = ("nfs", "cifs", "smb", "fuse.", "afs", "9p", "ceph", "glusterfs", "lustre")
"""Where locks or fsync cannot be relied on."""

BUSY_SECONDS = 30.0


@dataclass
class Ledger:
    """An open ledger. One thread at a time, never carried over a fork."""

    con: sqlite3.Connection
    home: Path
    pepper: custody.Pepper
    clock: Clock = utcnow

    def now(self) -> str:
        """The moment, as the ledger writes it: ISO 8601 in UTC, microseconds."""
        return stamp(self.clock())

    def meta(self, name: str) -> str:
        """A fact about the ledger; '' when it was never recorded."""
        row = self.con.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
        return str(row[0]) if row else ""

    def set_meta(self, name: str, value: str) -> None:
        """Inside a transaction."""
        self.con.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", [name, value])

    @property
    def sequence(self) -> int:
        """Commits so far."""
        return int(self.meta("sequence") or 0)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on disk when it returns. Not nested.

        Raises LockHeld when another process writes for too long, LedgerError when the disk
        refuses: then the connection is closed, because only the disk can tell what was kept.
        """
        try:
            self.con.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise self._failed(error) from error
        try:
            yield
            self.set_meta("sequence", str(self.sequence + 1))
            sequence = self.sequence
            self.con.execute("COMMIT")
        except BaseException as error:
            if isinstance(error, sqlite3.OperationalError):
                raise self._failed(error) from error
            if self.con.in_transaction:
                self.con.execute("ROLLBACK")
            raise
        self._bear_witness(sequence)

    def upgrade(self) -> None:
        """Brings the tables to this version. Raises LockHeld, LedgerError; then they are as
        they were."""
        try:
            schema.upgrade(self.con)
        except sqlite3.OperationalError as error:
            raise self._failed(error) from error

    def compact(self) -> None:
        """Writes the file anew without what was deleted from it, outside any transaction.

        Raises LockHeld while somebody reads, LedgerError when the disk has no room for a
        second copy; then the file is as it was.
        """
        try:
            self.con.execute("VACUUM")
        except sqlite3.OperationalError as error:
            raise self._failed(error) from error

    def _bear_witness(self, sequence: int) -> None:
        witness = custody.Witness(self.meta("uuid"), sequence, self.pepper.fingerprint)
        try:
            custody.write_witness(self.home, witness)
        except OSError as error:
            self.con.close()
            raise LedgerError(
                f"{self.home / custody.WITNESS} could not be written ({error.strerror}). What was "
                "decided is in the ledger; nothing more is sent. Make room, then run it again."
            ) from error

    def _failed(self, error: sqlite3.Error) -> Exception:
        path = self.home / custody.LEDGER
        if _is_locked(error):
            if self.con.in_transaction:
                self.con.execute("ROLLBACK")
            return _locked(path)
        self.con.close()
        return LedgerError(
            f"{path} could not be written ({error}). Nothing more is sent: "
            "what the disk kept decides. Make room or mend the disk, then run it again."
        )


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def sending(home: Path, wait: float) -> AbstractContextManager[None]:
    """Holds the right to send from this home; the system frees it if the process dies.

    Planning, approving and reading need it not. Raises LockHeld after ``wait`` seconds.
    """
    return homes.lock(home, wait, custody.LOCK)


@contextmanager
def open_ledger(home: Path, clock: Clock = utcnow, *, of_any_age: bool = False) -> Iterator[Ledger]:
    """The ledger of a home, checked and ready to write; made when the home never had one.

    ``of_any_age`` takes an older copy, for ``rebuild`` alone.

    One of an older version is brought to this one. Raises LedgerError, and nothing may be
    sent, when the ledger is missing though it was there, empty, older than what this home has
    seen, another home's, damaged, made by a newer version, or on a file system whose locks
    cannot be relied on.
    """
    homes.prepare(home)
    path = home / custody.LEDGER
    _refuse_links(path)
    _refuse_network(path)
    pepper = custody.read_pepper(home)
    witness = None if of_any_age else custody.read_witness(home)
    if _is_new(path):
        with homes.lock(home, BUSY_SECONDS, custody.MAKING):
            if _is_new(path):
                _make(path, clock)
        pepper, witness = custody.read_pepper(home), custody.read_witness(home)
    with closing(_connect(path)) as con:
        _check_whole(con, path)
        if pepper is None:
            raise LedgerError(
                f"{home / custody.PEPPER} is missing. Without it the API's documents cannot be "
                "matched to your rows, so nothing is sent. Put back the copy kept with the "
                "ledger's backup."
            )
        ledger = Ledger(con, home, pepper, clock)
        _check_pepper(ledger)
        if not of_any_age:
            _check_age(ledger, witness)
        if schema.is_older(con):
            ledger.upgrade()
        yield ledger


def exists(home: Path) -> bool:
    """True when this home has, or had, a ledger."""
    return any((home / n).exists() for n in (custody.LEDGER, custody.WITNESS, custody.PEPPER))


def _is_new(path: Path) -> bool:
    return not path.exists() or path.stat().st_size == 0


def _make(path: Path, clock: Clock) -> None:
    """A new ledger, whole or not at all: it takes its name when it is finished.

    A witness of commit 0 says that the making began and that nothing was ever recorded.
    """
    home = path.parent
    witness = custody.read_witness(home)
    if witness.sequence > 0 if witness else (home / custody.PEPPER).exists():
        raise LedgerError(
            f"{path} is missing or empty, but this home has had a ledger before. Sending "
            "without it could issue documents twice, so nothing is sent. Put back its newest "
            "backup, then run `tupana outbox rebuild`."
        )
    unfinished = path.with_name(f".{path.name}.new")
    for leftover in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
        leftover.unlink(missing_ok=True)
    pepper = custody.fresh_pepper()
    begun = custody.Witness(str(uuid.uuid4()), 0, pepper.fingerprint)
    custody.write_witness(home, begun)
    custody.write_pepper(home, pepper)
    os.close(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(_connect(unfinished)) as con:
        con.execute("BEGIN IMMEDIATE")
        schema.create(con)
        facts = {
            "uuid": begun.ledger,
            "sequence": "1",
            "schema_version": str(schema.SCHEMA_VERSION),
            "pepper_fingerprint": pepper.fingerprint,
            "created_at": stamp(clock()),
        }
        con.executemany("INSERT INTO meta VALUES (?, ?)", facts.items())
        con.execute("COMMIT")
    unfinished.replace(path)
    custody.sync_folder(home)


def _connect(path: Path) -> sqlite3.Connection:
    con = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _set_pragmas(con, path)
    except sqlite3.DatabaseError as error:
        con.close()
        raise _unreadable(path, error) from None
    except BaseException:
        con.close()
        raise
    return con


def _set_pragmas(con: sqlite3.Connection, path: Path) -> None:
    """Sets what durability rests on, and reads it back: SQLite ignores what it cannot do."""
    mode = con.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
    if mode == "wal" and not wal_is_safe(sqlite3.sqlite_version_info):
        raise LedgerError(
            f"{path} is in WAL mode, and SQLite {sqlite3.sqlite_version} can lose commits in it. "
            "Close every program that has the ledger open, then run it again."
        )
    con.execute("PRAGMA synchronous = EXTRA")
    con.execute("PRAGMA foreign_keys = ON")
    con.execute("PRAGMA secure_delete = ON")  # what is replaced or purged leaves the file
    con.execute("PRAGMA trusted_schema = OFF")
    con.execute("PRAGMA fullfsync = ON")  # macOS: the drive's cache too
    level = con.execute("PRAGMA synchronous").fetchone()[0]
    if mode not in ("delete", "wal") or level != 3:
        raise LedgerError(
            f"{path} cannot be written durably (journal {mode}, synchronous {level}). "
            "Nothing is sent. Move TUPANA_HOME to a local disk."
        )


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """SQLite 3.7.0 to 3.51.2 may lose a commit in WAL mode (sqlite.org/wal.html#walresetbug)."""
    return version >= (3, 51, 3) or any(
        low <= version < high for low, high in (((3, 50, 7), (3, 51, 0)), ((3, 44, 6), (3, 45, 0)))
    )


def _check_whole(con: sqlite3.Connection, path: Path) -> None:
    try:
        found = [row[0] for row in con.execute("PRAGMA quick_check(1)")]
        tables = {
            row[0] for row in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
        version = (
            con.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
            if "meta" in tables
            else None
        )
    except sqlite3.DatabaseError as error:
        raise _unreadable(path, error) from None
    if found != ["ok"]:
        raise _damaged(path, found[0])
    if version is None:
        raise _damaged(path, "it holds no ledger")
    if int(version[0]) > schema.SCHEMA_VERSION:
        raise LedgerError(
            f"{path} was written by a newer version of Tupana ETL (its tables are version "
            f"{version[0]}, this one knows {schema.SCHEMA_VERSION}). Upgrade; nothing was changed."
        )


def _is_locked(error: sqlite3.Error) -> bool:
    return "locked" in str(error) or "busy" in str(error)


def _locked(path: Path) -> LockHeld:
    return LockHeld(
        f"Another process has been writing to {path} for {BUSY_SECONDS:.0f} s. Nothing was "
        "changed; try again when it has ended."
    )


def _unreadable(path: Path, error: sqlite3.Error) -> Exception:
    return _locked(path) if _is_locked(error) else _damaged(path, str(error))


def _damaged(path: Path, what: str) -> LedgerError:
    return LedgerError(
        f"{path} is damaged ({what.splitlines()[0]}). Nothing is sent and nothing was changed. "
        "Move it away, put back its newest backup, then run `tupana outbox rebuild`."
    )


def _check_pepper(ledger: Ledger) -> None:
    if ledger.meta("pepper_fingerprint") != ledger.pepper.fingerprint:
        raise LedgerError(
            f"{ledger.home / custody.PEPPER} is not the one this ledger was made with, so the "
            "API's documents cannot be matched to your rows. Nothing is sent. Put back the copy "
            "kept with the ledger's backup."
        )


def _check_age(ledger: Ledger, witness: custody.Witness | None) -> None:
    path = ledger.home / custody.LEDGER
    if witness is None:
        raise LedgerError(
            f"{ledger.home / custody.WITNESS} is missing, so it cannot be told whether {path.name} "
            "is the newest copy. Nothing is sent. Run `tupana outbox rebuild` to compare the "
            "ledger with the API."
        )
    if ledger.meta("uuid") != witness.ledger:
        raise LedgerError(
            f"{path} is another home's ledger. Sending from it could issue documents twice, so "
            "nothing is sent. Put back this home's own, or set TUPANA_HOME to a new folder."
        )
    if ledger.sequence < witness.sequence:
        raise LedgerError(
            f"{path} is an older copy: it ends at commit {ledger.sequence}, and this home has "
            f"seen {witness.sequence}. Sending from it could issue documents twice, so nothing "
            "is sent. Put back the newest copy, or run `tupana outbox rebuild`."
        )


def loose(home: Path) -> list[str]:
    """Files of the ledger that other users of the machine may read; opening it closes them."""
    files = [home / name for name in (custody.LEDGER, custody.PEPPER, custody.WITNESS)]
    return [f.name for f in files if f.exists() and f.stat().st_mode & 0o077]


def _refuse_links(path: Path) -> None:
    for name in (custody.LEDGER, custody.PEPPER, custody.WITNESS):
        if path.with_name(name).is_symlink():
            raise LedgerError(
                f"{path.with_name(name)} is a symbolic link. Put the file itself in its place."
            )
    for name in loose(path.parent):
        path.with_name(name).chmod(0o600)


def _refuse_network(path: Path) -> None:
    kind = filesystem(path.parent)
    if kind.startswith(NETWORK_FILESYSTEMS):
        raise LedgerError(
            f"{path.parent} is on {kind}, whose locks cannot keep two runs apart. Nothing is "
            "sent. Move TUPANA_HOME to a local disk."
        )


def filesystem(folder: Path) -> str:
    """Kind of file system, as Linux names it; '' where it cannot be told."""
    if sys.platform != "linux":
        return ""
    best, kind = -1, ""
    here = os.fspath(folder.resolve())
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].encode().decode("unicode_escape")
        inside = here == point or here.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, kind = len(point), after.split(" ")[0]
    return kind
