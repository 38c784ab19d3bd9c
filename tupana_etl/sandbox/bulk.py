"""Worlds of many documents: a template made with care, multiplied by SQL.

Each document of the template stands for a run of copies with ids and folios of their own,
ids in the order of storing as ever. A copy shares dates, parties, amounts, lines, events
and JSON with its template, under the template's negative number (``document.source``), so
a million documents cost a few hundred bytes each; cessions are copied with them. Notes
refer to the first copy of their invoice. A lever that changes a copy gives it lines and
JSON of its own.
"""

from __future__ import annotations

import math
import sqlite3
from dataclasses import replace
from pathlib import Path

from tupana_etl.domain import DTE_TYPES
from tupana_etl.sandbox import schema, store
from tupana_etl.sandbox.fates import FIRST_CESSION
from tupana_etl.sandbox.model import Content, World
from tupana_etl.sandbox.world import FIRST_DOCUMENT, generate

FROM = 50_000
"""Documents from which a world is made in bulk."""

TEMPLATE = 20_000
"""Documents made one by one."""

_SHARED = ("line", "reference", "event", "body")


def is_bulk(world: World) -> bool:
    """Whether to make it in bulk; documents loaded from files are never copied."""
    return world.documents >= FROM and world.companies > 0 and world.load is None


def template(world: World) -> tuple[Content, int]:
    """The world's template and how many copies each of its documents stands for.

    Its ids and folios are spread so far apart that the copies fit between them.
    """
    content = generate(replace(world, documents=TEMPLATE))
    copies = math.ceil(world.documents / len(content.documents))
    spread = {d.id: FIRST_DOCUMENT + rank * copies for rank, d in enumerate(content.documents)}
    for document in content.documents:
        document.id = spread[document.id]
        if document.folio is not None:
            document.folio = str(int(document.folio) * copies)
        for reference in document.references:
            folio = reference.reference_folio or ""
            if reference.dte_type_code in DTE_TYPES and folio.isdigit():
                reference.reference_folio = str(int(folio) * copies)
    for cession in content.cessions:
        cession.document_id = spread[cession.document_id]
        cession.id = FIRST_CESSION + (cession.id - FIRST_CESSION) * copies
    return content, copies


def multiply(database: Path, documents: int, copies: int) -> None:
    """Makes the stored template into that many documents."""
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -64000")
        _share(connection)
        _copy(connection, documents, copies)
        (last,) = connection.execute("SELECT max(id) FROM document").fetchone()
        store.set_meta(connection, "next_id", str(last + 1))
        connection.commit()
    finally:
        connection.close()


def _share(connection: sqlite3.Connection) -> None:
    """The template's lines and JSON belong to nobody: to a negative number."""
    for table in _SHARED:
        connection.execute(f"UPDATE {table} SET document_id = -document_id")
    connection.execute("UPDATE document SET source = -id")


def _copy(connection: sqlite3.Connection, documents: int, copies: int) -> None:
    """Writes every document anew in the order of ids, so that the table grows at its end."""
    columns = [r[1] for r in connection.execute("PRAGMA table_info(document)")]
    told = {"id": "t.id + k.n", "folio": "CAST(CAST(t.folio AS INTEGER) + k.n AS TEXT)"}
    values = ", ".join(told.get(name, f"t.{name}") for name in columns)
    spare = _spare(connection, documents, copies)
    connection.executescript(f"""
        CREATE TEMP TABLE template AS SELECT * FROM document ORDER BY id;
        CREATE TEMP TABLE ceded AS SELECT * FROM cession;
        CREATE TEMP TABLE labelled AS SELECT * FROM json_param;
        CREATE TEMP TABLE k AS
          WITH RECURSIVE k(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n + 1 < {copies})
          SELECT n FROM k;
        DELETE FROM document; DELETE FROM cession; DELETE FROM json_param;
        DROP INDEX document_sender; DROP INDEX document_receiver; DROP INDEX document_folio;
        INSERT INTO document SELECT {values} FROM template t CROSS JOIN k
          WHERE k.n < {copies} - (t.rowid <= {spare});
        INSERT INTO cession
          SELECT c.id + k.n, c.document_id + k.n, c.assignee_rut, c.assignee_name, c.assignee_id,
                 c.amount, c.status, c.status_message, c.source, c.sent_at, c.created_at
          FROM ceded c CROSS JOIN k JOIN document d ON d.id = c.document_id + k.n;
        INSERT INTO json_param
          SELECT l.key, l.value, d.id, l.searchable_at
          FROM labelled l CROSS JOIN k JOIN document d ON d.id = l.document_id + k.n;
        {schema.INDEXES}""")


def _spare(connection: sqlite3.Connection, documents: int, copies: int) -> int:
    """How many of the template's documents stand for one copy less, to the exact number."""
    (count,) = connection.execute("SELECT count(*) FROM document").fetchone()
    return int(count * copies - documents)
