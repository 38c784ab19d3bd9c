"""A copy of the ledger and of what it cannot be used without, taken while it is in use."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tupana_etl import home as homes
from tupana_etl.errors import ConfigError, LedgerError
from tupana_etl.outbox import custody
from tupana_etl.outbox.ledger import Ledger

FOLDER = "backups"
"""Of the home: where copies are put unless another place is named."""


def from_before(ledger: Ledger, sequence: int) -> list[Path]:
    """The copies in the home that may end before a commit of this ledger, oldest first: a copy
    that cannot be read may hold anything."""
    own = ledger.meta("uuid")
    found = []
    for path in sorted((ledger.home / FOLDER).glob(f"*/{custody.LEDGER}")):
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as copy:
                facts = dict(copy.execute("SELECT name, value FROM meta"))
        except sqlite3.Error:
            facts = {}
        if facts.get("uuid", own) == own and int(facts.get("sequence", 0)) < sequence:
            found.append(path.parent)
    return found


def back_up(ledger: Ledger, folder: Path) -> Path:
    """Copies ledger and pepper into a folder of their own, checked, readable by you alone.

    Uses SQLite's backup, so the copy is of one moment. Raises ConfigError when the folder
    already holds a ledger, LedgerError when the copy is not whole.
    """
    homes.prepare(folder)
    target = folder / custody.LEDGER
    if target.exists():
        raise ConfigError(f"{target} exists already; a backup never overwrites one.")
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(target, isolation_level=None)) as copy:
        ledger.con.backup(copy)
        found = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if found != ("ok",):
        raise LedgerError(f"{target} is not whole ({found[0]}); make the backup again.")
    with target.open("rb") as file:
        os.fsync(file.fileno())
    custody.write_pepper(folder, ledger.pepper)
    return target
