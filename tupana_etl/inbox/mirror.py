"""Copies what the inbox holds into the warehouse, for people and for models that date payments.

An inbox that cannot be read does not stop a sync; the last mirror stays, and the log says so.
"""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

from tupana_etl.errors import DataError
from tupana_etl.inbox.store import FILE, exists, open_inbox
from tupana_etl.warehouse.database import Connection
from tupana_etl.warehouse.mirror import EVENTS, replace_table

_EVENTS = """SELECT event_type, document_id, batch_id,
    coalesce(nullif(announced_at, ''), received_at), received_at, copies, state, reason,
    settled_at FROM events ORDER BY number"""

_log = logging.getLogger(__name__)


def mirror(con: Connection, home: Path) -> None:
    """Replaces ``inbox.events``; empty where no webhook was ever received.

    ``con`` is the open warehouse, outside any transaction.
    """
    rows = _read(home)
    if rows is None:
        return
    con.begin()
    try:
        replace_table(con, EVENTS, rows)
    except BaseException:
        con.rollback()
        raise
    con.commit()


def _read(home: Path) -> list[Any] | None:
    if not exists(home):
        return []
    try:
        with open_inbox(home) as inbox:
            return inbox.con.execute(_EVENTS).fetchall()
    except (sqlite3.Error, DataError) as error:
        _log.error("%s cannot be read (%s): inbox.events stays as it was.", home / FILE, error)
        return None
