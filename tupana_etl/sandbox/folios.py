"""Folios of documents issued here: one after the other per issuer and type."""

from __future__ import annotations

import sqlite3

from tupana_etl.sandbox.deviations import SANDBOX
from tupana_etl.sandbox.model import Document


def next_one(connection: sqlite3.Connection, document: Document, asked: str | None) -> str:
    """The folio of a document now issued: what was asked for, or the next of its row.

    Documents of one batch are numbered before any of them is stored.
    """
    if document.is_sandbox:
        return f"{SANDBOX}{document.id}"
    key = (document.sender.rut, document.dte_type)
    if asked and not is_taken(connection, *key, asked):
        return asked
    last = connection.execute(
        "SELECT last FROM folio WHERE issuer_rut = ? AND dte_type = ?", key
    ).fetchone()
    folio = (_highest(connection, key) if last is None else last["last"]) + 1
    while is_taken(connection, *key, str(folio)):
        folio += 1
    connection.execute("INSERT OR REPLACE INTO folio VALUES (?, ?, ?)", (*key, folio))
    return str(folio)


def is_taken(connection: sqlite3.Connection, issuer_rut: str, dte_type: str, folio: str) -> bool:
    query = "SELECT 1 FROM document WHERE sender_rut = ? AND dte_type = ? AND folio = ?"
    return connection.execute(query, (issuer_rut, dte_type, folio)).fetchone() is not None


def _highest(connection: sqlite3.Connection, key: tuple[str, str]) -> int:
    (highest,) = connection.execute(
        "SELECT coalesce(max(CAST(folio AS INTEGER)), 0) FROM document "
        "WHERE sender_rut = ? AND dte_type = ?",
        key,
    ).fetchone()
    return int(highest)
