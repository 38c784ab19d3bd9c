"""``tupana companies``: whom the key sees, and what is here of each."""

from __future__ import annotations

import argparse
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from tupana_etl import analysis, settings
from tupana_etl.api.client import Client
from tupana_etl.api.pages import read_pages
from tupana_etl.cli import output, tables
from tupana_etl.domain import canonical_rut
from tupana_etl.errors import ServerError
from tupana_etl.event_loop import run_async
from tupana_etl.settings import Settings

LOADED = """
WITH read AS (
    SELECT master_entity_id AS id, max(read_at) AS last_read FROM raw.windows
    WHERE stream = 'documents' AND complete GROUP BY ALL
), held AS (
    SELECT master_entity_id AS id, count(*) AS documents FROM raw.documents
    WHERE _deleted_at IS NULL GROUP BY ALL
), named AS (
    SELECT id, any_value(tax_id) AS rut, any_value(name) AS name
    FROM raw.master_entities GROUP BY ALL
)
SELECT id, rut, name, coalesce(documents, 0), last_read
FROM read FULL JOIN held USING (id) LEFT JOIN named USING (id)
WHERE id IS NOT NULL
"""

GONE = "not in /credentials"
"""Read before by this home, or named in TUPANA_ENTITIES, and no credential opens it now."""


@dataclass
class Seen:
    """A company as the key sees it, or as it was read before."""

    id: str
    rut: str
    name: str
    credential: str
    """valid, or what Tu Pana says of the best credential; GONE when there is none."""
    documents: int = 0
    last_read: datetime | None = None


class _Entity(msgspec.Struct):
    id: str | int
    tax_id: str | None = None
    rut: str | None = None
    name: str | None = None


class _Credential(msgspec.Struct):
    master_entities: list[_Entity] | None = None
    status: str | None = None


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    seen = run_async(visible(configured))
    _add_loaded(seen, configured)
    found = sorted(seen.values(), key=lambda c: (c.rut.rjust(10), c.id))
    if args.json:
        output.write_json({"companies": [output.plain(vars(c)) for c in found]})
    else:
        _tell(found, configured)
    return 0


async def visible(configured: Settings) -> dict[str, Seen]:
    """Every company of every credential, valid or not. Source: GET /credentials."""
    seen: dict[str, Seen] = {}
    async with (
        Client(configured.need_key()) as client,
        aclosing(read_pages(client, "/credentials")) as pages,
    ):
        async for page in pages:
            try:
                credentials = msgspec.json.decode(page.rows, type=list[_Credential])
            except msgspec.MsgspecError:
                raise ServerError(
                    "The answer of /credentials has not the shape the API promises.",
                    request_id=page.reply.request_id,
                ) from None
            for credential in credentials:
                _take(seen, credential)
    return seen


def _take(seen: dict[str, Seen], credential: _Credential) -> None:
    status = (credential.status or "valid").lower()
    for entity in credential.master_entities or ():
        rut = entity.tax_id or entity.rut or ""
        id_ = str(entity.id)
        if id_ not in seen or status == "valid":
            seen[id_] = Seen(id_, canonical_rut(rut) or rut, entity.name or "", status)


def _add_loaded(seen: dict[str, Seen], configured: Settings) -> None:
    if not configured.analytics.exists():
        return
    with analysis.answer(LOADED, configured) as found:
        for id_, rut, name, documents, last_read in found.rows:
            company = seen.setdefault(id_, Seen(id_, rut or "", name or "", GONE))
            company.documents, company.last_read = documents, last_read


def _tell(found: list[Seen], configured: Settings) -> None:
    rows: list[list[Any]] = [
        [
            c.rut or c.id,
            output.printable(c.name),
            c.credential,
            output.number(c.documents),
            output.moment(c.last_read),
        ]
        for c in found
    ]
    columns = ["company", "name", "credential", "documents", "last read"]
    output.write(tables.table(columns, rows, right=["documents"]))
    if not found:
        output.write("The key sees no company: enrol a credential in Tu Pana.")
    if configured.entities:
        output.write()
        only = ", ".join(configured.entities)
        output.write(output.paragraph(f"TUPANA_ENTITIES lets a sync read only: {only}."))
