"""Reads one document again, now: what a webhook or a person asks for."""

from __future__ import annotations

import asyncio

from tupana_etl import home
from tupana_etl.api.client import Client
from tupana_etl.api.reads import Company, companies
from tupana_etl.arrow.decode import Decoder
from tupana_etl.domain import today
from tupana_etl.errors import DataError
from tupana_etl.extract.extraction import Extraction, commit
from tupana_etl.extract.intake import Order, Taken, end, open_run
from tupana_etl.extract.reading import Reading
from tupana_etl.extract.windows import OWN_SIDE, Window
from tupana_etl.lake.manifest import Manifest
from tupana_etl.lake.window import WindowWriter
from tupana_etl.streams import STREAMS
from tupana_etl.warehouse.known import Known

DOCUMENTS = STREAMS["documents"]


async def refresh_document(order: Order, document: str, manifest: Manifest, known: Known) -> Taken:
    """Reads one document's detail for each of the user's companies that is a party to it.

    Raises NotFound, CompanyRefused and the like, or DataError when no company of the key
    is a party to the document; then nothing is written.
    """
    async with Client(order.settings) as client:
        visible = await companies(client)
        home.check_origin(order.settings, [c.rut for c in visible])
        reply = await client.get(DOCUMENTS.detail.format(id=document), document=document)
        body = b"[" + reply.body + b"]"
        probe = await asyncio.to_thread(Decoder(DOCUMENTS).decode, body, {})
        sides = _sides(probe.batch.to_pylist(), visible)
        if not sides:
            raise DataError(
                f"Document {document} is of none of the companies this key sees; "
                "nothing was written."
            )
        run_id = open_run(manifest, today(), f"document {document}", single=True)
        run = Extraction(client, order.settings.lake, manifest, known, run_id, _silent)
        entries = []
        for company, direction in sides:
            window = Window(DOCUMENTS, company, direction)
            writer = WindowWriter(run.lake, run.run_id, run.next_number(), DOCUMENTS)
            reading = Reading(
                client,
                known,
                window,
                decoder=run.decoder(DOCUMENTS),
                writer=writer,
                call=f"{run.run_id}/{run.windows}",
            )
            try:
                await reading.take_detail(document, reply)
                segments = await asyncio.to_thread(writer.close)
            finally:
                writer.abandon()
            entries.append(commit(run, window, reading, segments, partial=True))
        end(manifest, run_id, entries, client.requests)
        return Taken(run_id, entries, requests=client.requests)


def _sides(rows: list[dict[str, object]], visible: list[Company]) -> list[tuple[Company, str]]:
    """Each own company that is a party, with its direction."""
    return [
        (company, direction)
        for row in rows
        for direction, column in OWN_SIDE.items()
        for company in visible
        if company.rut == row[column]
    ]


def _silent(stream: str, found: int, read: int) -> None:
    """One document needs no progress bar."""
