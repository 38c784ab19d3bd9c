"""New documents in a world that is already stored: late arrivals, drafts, surprises."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import date
from random import Random
from typing import Any

from tupana_etl.sandbox import store
from tupana_etl.sandbox.model import UNDATED, Document, Entity
from tupana_etl.sandbox.parties import Cast
from tupana_etl.sandbox.world import fresh

UNDATED_PER_COMPANY = 2


def own_companies(connection: sqlite3.Connection) -> list[Entity]:
    rows = connection.execute("SELECT * FROM entity WHERE own ORDER BY id")
    return [_entity(r) for r in rows]


def add(
    connection: sqlite3.Connection,
    company: Entity,
    count: int,
    day: date,
    *,
    side: str | None = None,
) -> list[int]:
    """Stores ``count`` fresh invoices of a company, on one side of it or on either."""
    rng, cast = _next_random(connection), _cast(connection)
    made = [_invoice(rng, company, day, cast, side) for _ in range(count)]
    return _store(connection, made, first_folio=9_000_000)


def add_undated(connection: sqlite3.Connection) -> None:
    """Gives each own company a few drafts without a date, once in a world's life."""
    known = connection.execute("SELECT 1 FROM meta WHERE name = 'undated'").fetchone()
    if known is not None:
        return
    rng, cast = _next_random(connection), _cast(connection)
    drafts = [
        # To strangers: nobody sees another's draft.
        _invoice(rng, company, cast.today, replace(cast, own=[company]), "issued")
        for company in cast.own
        for _ in range(UNDATED_PER_COMPANY)
    ]
    for draft in drafts:
        draft.state, draft.received_at, draft.due_date = "draft", None, None
        draft.date_issued = UNDATED
    _store(connection, drafts, first_folio=None)
    store.set_meta(connection, "undated", "1")


def _invoice(rng: Random, company: Entity, day: date, cast: Cast, side: str | None) -> Document:
    """Sides are drawn by the world's own odds, so one is asked for until it comes."""
    while True:
        made = fresh(rng, "33", company, day, cast)
        if side is None or side == ("issued" if made.sender.id == company.id else "received"):
            return made


def _store(
    connection: sqlite3.Connection, made: list[Document], *, first_folio: int | None
) -> list[int]:
    with connection:
        connection.execute("BEGIN")
        for number, document in enumerate(made, store.next_ids(connection, len(made))):
            document.id = number
            document.folio = None if first_folio is None else str(first_folio + number)
        store.insert_documents(connection, made, store.today(connection))
    return [d.id for d in made]


def _next_random(connection: sqlite3.Connection) -> Random:
    """The same world at the same point of its life draws the same documents."""
    return Random(f"{store.meta(connection, 'seed')}/{store.meta(connection, 'next_id')}")


def _cast(connection: sqlite3.Connection) -> Cast:
    rows = connection.execute(
        "SELECT * FROM entity WHERE NOT own AND NOT looked_up ORDER BY id"
    ).fetchall()
    own, others = own_companies(connection), [_entity(r) for r in rows]
    return Cast(own, others or own, others or own, [], store.today(connection))


def _entity(row: Any) -> Entity:
    return Entity(row["id"], row["rut"], row["name"], own=bool(row["own"]))
