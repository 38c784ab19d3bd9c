"""Reads a few documents again, now: what a webhook or a person asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tupana_etl import home
from tupana_etl.api.client import Client, Reply
from tupana_etl.api.reads import Company, companies
from tupana_etl.arrow.decode import Decoder
from tupana_etl.domain import today
from tupana_etl.errors import DataError, Fatal, TupanaError
from tupana_etl.extract.extraction import Extraction, commit
from tupana_etl.extract.intake import Order, Taken, end, open_run
from tupana_etl.extract.reading import Reading
from tupana_etl.extract.windows import OWN_SIDE, Window
from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.lake.window import WindowWriter
from tupana_etl.streams import STREAMS
from tupana_etl.warehouse.known import Known

DOCUMENTS = STREAMS["documents"]

Side = tuple[Company, str]
"""A company that is a party, and its direction: issued or received."""


async def refresh_document(order: Order, document: str, manifest: Manifest, known: Known) -> Taken:
    """Reads one document's detail for each of the user's companies that is a party to it.

    Raises NotFound, CompanyRefused and the like, or DataError when no company of the key
    is a party to the document; then nothing is written.
    """
    taken, failed = await refresh_documents(order, [document], manifest, known)
    if taken is None:
        raise failed[document]
    return taken


async def refresh_documents(
    order: Order, documents: Sequence[str], manifest: Manifest, known: Known
) -> tuple[Taken | None, dict[str, TupanaError]]:
    """The same for several in one run, and those that could not be read, each with why.

    None when nothing could be read; then nothing is written. Raises what concerns all of
    them: AuthError, OriginError, or what the server answered for the companies.
    """
    async with Client(order.settings) as client:
        visible = await companies(client)
        home.check_origin(order.settings, [c.rut for c in visible])
        found, failed = await _found(client, documents, visible)
        if not found:
            return None, failed
        asked = f"document {', '.join(found)}"
        run_id = open_run(manifest, today(), asked, single=True)
        run = Extraction(client, order.settings.lake, manifest, known, run_id, _silent)
        entries = [
            await _take(run, document, reply, side)
            for document, (reply, sides) in found.items()
            for side in sides
        ]
        end(manifest, run_id, entries, client.requests)
        return Taken(run_id, entries, requests=client.requests), failed


async def _found(
    client: Client, documents: Sequence[str], visible: list[Company]
) -> tuple[dict[str, tuple[Reply, list[Side]]], dict[str, TupanaError]]:
    """Each document's answer and sides; and the error of each that has none."""
    found: dict[str, tuple[Reply, list[Side]]] = {}
    failed: dict[str, TupanaError] = {}
    decoder = Decoder(DOCUMENTS)
    replies = await asyncio.gather(*(_look(client, document) for document in documents))
    for document, reply in zip(documents, replies, strict=True):
        if isinstance(reply, Fatal):
            raise reply
        if isinstance(reply, TupanaError):
            failed[document] = reply
            continue
        probe = await asyncio.to_thread(decoder.decode, b"[" + reply.body + b"]", {})
        sides = _sides(probe.batch.to_pylist(), visible)
        if sides:
            found[document] = reply, sides
        else:
            failed[document] = DataError(
                f"Document {document} is of none of the companies this key sees; "
                "nothing was written."
            )
    return found, failed


async def _look(client: Client, document: str) -> Reply | TupanaError:
    try:
        return await client.get(DOCUMENTS.detail.format(id=document), document=document)
    except TupanaError as error:
        return error


async def _take(run: Extraction, document: str, reply: Reply, side: Side) -> Entry:
    """One document as one company sees it, committed."""
    window = Window(DOCUMENTS, *side)
    writer = WindowWriter(run.lake, run.run_id, run.next_number(), DOCUMENTS)
    reading = Reading(
        run.client,
        run.known,
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
    return await commit(run, window, reading, segments, partial=True)


def _sides(rows: list[dict[str, object]], visible: list[Company]) -> list[Side]:
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
