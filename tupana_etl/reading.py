"""One reading of one window: its pages, then the details its rows lack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from tupana_etl.api.client import Client, Reply
from tupana_etl.api.pages import Page, PageFacts, parse_page, read_pages, torn
from tupana_etl.arrow.decode import Decoder
from tupana_etl.arrow.detail import with_lists, xml_needed
from tupana_etl.arrow.rows import Reject
from tupana_etl.domain import utcnow
from tupana_etl.errors import ApiError, AuthError, DataError, ServerError
from tupana_etl.lake.window import WindowWriter
from tupana_etl.streams import Rows, Stream, children
from tupana_etl.windows import Window

PAGE_SIZE = 100

DETAILS_AT_ONCE = 100
"""Details held in memory at once."""

Stale = Callable[[Stream, pa.Table], Sequence[str]]
"""Ids among list rows whose detail must be read: new rows, and rows that changed."""

OnRows = Callable[[str, int, int], None]
"""Told (stream, rows found to be read, rows read) as work becomes known and done."""


class Reading:
    """Reads a window into a writer and remembers what came."""

    def __init__(
        self, client: Client, window: Window, decoder: Decoder, writer: WindowWriter, call: str
    ) -> None:
        self._client = client
        self._window = window
        self._stream = window.stream
        self._decoder = decoder
        self._writer = writer
        self._call = call
        self._pages: list[PageFacts] = []
        self._ids: set[str] = set()
        self._lean: list[pa.RecordBatch] = []
        self._rows = 0
        self._unread = 0
        self.started_at = utcnow()
        self.calls: list[dict[str, Any]] = []
        """What was asked and came, for lineage."""
        self.rejected = 0

    @property
    def expected(self) -> int | None:
        """Rows the server announced."""
        return self._pages[0].count if self._pages else None

    @property
    def seen(self) -> int:
        """Different rows that came, rejected ones included."""
        return (len(self._ids) or self._rows) + self.rejected

    @property
    def missing(self) -> str | None:
        """What a window that is not torn still lacks."""
        return f"{self._unread} details could not be read" if self._unread else None

    async def read(self, first: Page | None, stale: Stale, on_rows: OnRows) -> str | None:
        """None when the pages fit together, else why not. Raises ApiError."""
        async with aclosing(self._listing(first)) as pages:
            async for page in pages:
                self._pages.append(page.facts)
                await self._take_page(page)
                on_rows(self._stream.name, 0, page.size)
        reason = torn(self._pages, self.seen if self._stream.paged else None)
        if reason is None and self._lean:
            await self._read_details(stale, on_rows)
        return reason

    async def _listing(self, first: Page | None) -> AsyncGenerator[Page, None]:
        path, asked, rut = self._stream.path, self._window.params, self._window.rut
        if self._stream.paged:
            listing = read_pages(
                self._client, path, asked, company=rut, page_size=PAGE_SIZE, first=first
            )
            async with aclosing(listing) as pages:
                async for page in pages:
                    yield page
        else:
            yield _one_page(self._stream, await self._client.get(path, asked, company=rut))

    async def _take_page(self, page: Page) -> None:
        call = self._record(page.reply, page)
        batch = await self._take(page.rows, call, page.reply.fetched_at)
        self.calls[-1]["rows"] = batch.num_rows
        if self._stream.paged:
            self._ids.update(batch.column("id").to_pylist())
        if self._stream.detail and batch.num_rows:
            lean = batch.filter(_is_lean(self._stream, batch))
            self._lean += [lean] if lean.num_rows else []

    async def _take(
        self, rows: bytes, call: str | dict[str, str], fetched_at: datetime, detail: bool = False
    ) -> pa.RecordBatch:
        decoded = await asyncio.to_thread(
            self._decoder.decode, rows, self._window.where, self._rows
        )
        self._rows += decoded.batch.num_rows
        self.rejected += sum(r.stream == self._stream.name for r in decoded.rejects)
        self._writer.write(decoded, call, fetched_at, is_detail=detail)
        return decoded.batch

    def _record(self, reply: Reply, page: Page | None) -> str:
        """Remembers a call; its name goes with every row it brought."""
        call = f"{self._call}/{len(self.calls) + 1}"
        self.calls.append(
            {
                "call": call,
                "path": reply.path,
                "status": reply.status,
                "request_id": reply.request_id,
                "page": page and page.number,
                "count": page and page.count,
                "newest_id": page and page.first_id,
                "rows": 1,
                "fetched_at": reply.fetched_at.isoformat(),
            }
        )
        return call

    async def _read_details(self, stale: Stale, on_rows: OnRows) -> None:
        ids = await asyncio.to_thread(stale, self._stream, pa.Table.from_batches(self._lean))
        on_rows(self._stream.name, len(ids), 0)
        for start in range(0, len(ids), DETAILS_AT_ONCE):
            some = ids[start : start + DETAILS_AT_ONCE]
            replies = dict(zip(some, await self._details(some), strict=True))
            read = {id_: reply for id_, reply in replies.items() if reply is not None}
            self._unread += len(some) - len(read)
            if read:
                calls = {id_: self._record(reply, None) for id_, reply in read.items()}
                bodies = [await self._with_lists(i, r, calls[i]) for i, r in read.items()]
                latest = max(reply.fetched_at for reply in read.values())
                await self._take(b"[" + b",".join(bodies) + b"]", calls, latest, detail=True)
            on_rows(self._stream.name, 0, len(some))

    async def _details(self, ids: Sequence[str]) -> list[Reply | None]:
        return list(await asyncio.gather(*(self._detail(id_) for id_ in ids)))

    async def _detail(self, id_: str) -> Reply | None:
        path = self._stream.detail.format(id=id_)
        try:
            return await self._client.get(path, company=self._window.rut, document=id_)
        except AuthError:
            raise
        except ApiError:
            return None  # counted: the window stays incomplete until it is read

    async def _with_lists(self, id_: str, reply: Reply, call: str) -> bytes:
        """The detail's JSON, completed from its XML where that is needed."""
        body = reply.body
        try:
            xml: str | bytes | None = xml_needed(body)
            if isinstance(xml, str) and xml.startswith(("http://", "https://")):
                xml = await self._client.download(xml)
            body = with_lists(body, xml) if xml else body
        except AuthError:
            raise
        except (DataError, ApiError) as error:
            self._writer.reject([Reject("document_lines", id_, "xml", str(error), "null")], call)
        return body


def _one_page(stream: Stream, reply: Reply) -> Page:
    if stream.rows is Rows.RESULTS:
        return parse_page(reply, 1)
    try:
        rows = _rows_of(stream, reply.body)
    except msgspec.MsgspecError:
        raise ServerError(
            f"The answer of {stream.path} has not the shape the API promises.",
            status=reply.status,
            request_id=reply.request_id,
        ) from None
    return Page(rows, 1, None, None, False, 1, None, reply)


def _rows_of(stream: Stream, body: bytes) -> bytes:
    if stream.rows is Rows.OBJECT:
        return b"[" + body + b"]"
    outer = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    rows = msgspec.json.decode(outer.pop("types"), type=list[dict[str, msgspec.Raw]])
    shared = {k: v for k, v in outer.items() if k in stream.by_name and k != "master_entity_id"}
    return msgspec.json.encode([{**shared, **row} for row in rows])


def _is_lean(stream: Stream, batch: pa.RecordBatch) -> pa.Array:
    """Which rows lack something that marts need and only the detail has."""
    needed = [c.name for c in stream.columns if c.needed]
    needed += [child.name for child in children(stream.name)]
    return pc.match_substring_regex(batch.column("_absent"), f",({'|'.join(needed)}),")
