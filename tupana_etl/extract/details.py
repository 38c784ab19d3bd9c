"""The details of documents: which list rows need one, and reading them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from tupana_etl.api.client import Client, Reply
from tupana_etl.arrow.detail import with_lists, xml_needed
from tupana_etl.arrow.rows import Reject
from tupana_etl.errors import ApiError, AuthError, DataError
from tupana_etl.extract.windows import Window
from tupana_etl.streams import Stream, children

DETAILS_AT_ONCE = 100
"""Details held in memory at once."""


def is_lean(stream: Stream, batch: pa.RecordBatch) -> pa.Array:
    """Which rows lack something that marts need and only the detail has."""
    needed = [c.mark for c in stream.columns if c.needed]
    needed += [child.name for child in children(stream.name)]
    return pc.match_substring_regex(batch.column("_absent"), f",({'|'.join(needed)}),")


async def ask_details(
    client: Client, window: Window, ids: Sequence[str]
) -> tuple[dict[str, Reply], dict[str, ApiError]]:
    """The details that could be read, by id, and why others could not: those keep their
    window incomplete."""
    replies = await asyncio.gather(*(_ask(client, window, id_) for id_ in ids))
    asked = dict(zip(ids, replies, strict=True))
    read = {id_: r for id_, r in asked.items() if isinstance(r, Reply)}
    return read, {id_: r for id_, r in asked.items() if isinstance(r, ApiError)}


async def _ask(client: Client, window: Window, id_: str) -> Reply | ApiError:
    path = window.stream.detail.format(id=id_)
    try:
        return await client.get(path, company=window.rut, document=id_)
    except AuthError:
        raise
    except ApiError as error:
        return error


async def completed(client: Client, id_: str, reply: Reply) -> tuple[bytes, Reject | None]:
    """A detail's JSON, completed from its XML where that is needed, or why it could not be."""
    body = reply.body
    try:
        xml: str | bytes | None = xml_needed(body)
        if isinstance(xml, str) and xml.startswith(("http://", "https://")):
            xml = await client.download(xml)
        return (with_lists(body, xml) if xml else body), None
    except AuthError:
        raise
    except (DataError, ApiError) as error:
        return body, Reject("document_lines", id_, "xml", str(error), "null")
