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
