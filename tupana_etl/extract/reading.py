"""One reading of one window: its pages, the details its rows lack, what is missing from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from tupana_etl.api.client import Client, Reply
from tupana_etl.api.pages import Page, PageFacts, torn
from tupana_etl.arrow.decode import Decoder
from tupana_etl.domain import utcnow
from tupana_etl.errors import ApiError, ServerError
from tupana_etl.extract.calls import answered, given_up
from tupana_etl.extract.details import DETAILS_AT_ONCE, ask_details, completed
from tupana_etl.extract.incoming import NAMED, Incoming, named
from tupana_etl.extract.listing import pages_of, undated_pages
from tupana_etl.extract.turns import Asking
from tupana_etl.extract.windows import Window
from tupana_etl.lake.window import WindowWriter
from tupana_etl.warehouse.known import Known

DECODE_ROWS = 1_000
"""Rows decoded at once: their pages wait for each other."""

LOSS_SHARE, LOSS_ROWS = 0.05, 20
"""A window that loses more than both at once is not believed."""

OnRows = Callable[[str, int, int], None]
"""Told (stream, rows found to be read, rows read) as work becomes known and done."""


class Reading:
    """Reads a window into a writer and remembers what came."""

    def __init__(
        self,
        client: Client,
        known: Known,
        window: Window,
        *,
        decoder: Decoder,
        writer: WindowWriter,
        call: str,
        asking: Asking | None = None,
    ) -> None:
        self._client = client
        self._known = known
        self._window = window
        self._stream = window.stream
        self._asking = asking or Asking()
        self._rows = Incoming(known, window, decoder, writer)
        self._pages: list[PageFacts] = []
        self._waiting: list[Page] = []
        self._started_at = utcnow()
        self._details: list[str] = []
        self._missing: list[Any] = []
        self.call = call
        """Begins the name of each of its calls."""
        self.calls: list[dict[str, Any]] = []
        """What was asked and came, for lineage."""

    @property
    def told(self) -> dict[str, Any]:
        """What the manifest says of it."""
        rows = self._rows
        return {
            "started_at": self._started_at.isoformat(),
            # Rows the server announced, and different ones that came.
            "expected": self._pages[0].count if self._pages else None,
            "seen": rows.seen,
            "rejected": rows.rejected,
            "rejected_children": rows.rejected_children,
            "requests": len(self.calls),
            "requests_saved": rows.requests_saved,
            # Ids whose detail was read, and keys of known rows that did not come.
            "details": self._details,
            "missing": self._missing,
            "calls": self.calls,
        }

    async def read(
        self, first: Page | None, undated: int, looks: Callable[[int], int], on_rows: OnRows
    ) -> tuple[str | None, str | None]:
        """Why the pages do not fit together, and why a window that fits is still not whole.

        ``undated`` rows are looked for in a window of rows without a date; ``looks`` says
        how many of so many details worth another look may be read. Raises ApiError.
        """
        self._asking.begin(self._window)
        async with aclosing(self._listing(first, undated)) as pages:
            async for page in pages:
                self._pages.append(page.facts)
                self._waiting.append(page)
                if self._window.undated or sum(p.size for p in self._waiting) >= DECODE_ROWS:
                    await self._take_pages(on_rows)
                if self._window.undated and self._rows.found >= undated:
                    break
        self._answered()
        await self._take_pages(on_rows)
        reason = self._torn(undated)
        if reason is not None:
            return reason, None
        unread = await self._read_details(looks, on_rows)
        await self._rows.release()
        if self._rows.strangers:
            return None, f"{self._rows.strangers} They were left out."
        lost = await self._look_for_missing()
        return None, lost or (_unread(unread) if unread else None)

    async def take_detail(self, id_: str, reply: Reply) -> None:
        """Takes one detail that was read already, and nothing else."""
        call = self._record(reply)["call"]
        self._details.append(id_)
        body = await self._completed(id_, reply, call)
        await self._rows.take_alone(body, {id_: call}, reply.fetched_at)

    def _listing(self, first: Page | None, undated: int) -> AsyncGenerator[Page, None]:
        if self._window.undated:
            return undated_pages(self._client, self._window)
        return pages_of(self._client, self._window, first, self._answered)

    def _answered(self) -> None:
        self._asking.rest(self._window)

    def _torn(self, undated: int) -> str | None:
        rows = self._rows
        if self._window.undated:
            return None if rows.found == undated else f"{rows.found} of {undated} rows were found"
        if self._window.by_server and rows.unasked:
            return f"{rows.unasked} rows came that were not asked for"
        return torn(self._pages, rows.distinct if self._stream.paged else None)

    async def _take_pages(self, on_rows: OnRows) -> None:
        """Takes the pages that wait."""
        pages, self._waiting = self._waiting, []
        await self._rows.take_pages(pages, [self._record(page.reply, page) for page in pages])
        on_rows(self._stream.name, 0, sum(page.size for page in pages))

    def _record(self, reply: Reply, page: Page | None = None) -> dict[str, Any]:
        """Remembers a call; its name goes with every row it brought."""
        self.calls.append(answered(self._next_call, reply, page))
        return self.calls[-1]

    def _record_failures(self, failed: Mapping[str, ApiError]) -> None:
        """Remembers the calls of details that could not be read, a few of them."""
        for error in [*failed.values()][:NAMED]:
            self.calls += given_up(self._next_call, error)

    @property
    def _next_call(self) -> str:
        return f"{self.call}/{len(self.calls) + 1}"

    async def _read_details(self, looks: Callable[[int], int], on_rows: OnRows) -> list[str]:
        """Reads the details that are due. Returns the ids of those that could not be read."""
        lean = self._rows.lean
        if lean is None:
            return []
        must, may = await asyncio.to_thread(self._known.stale_details, self._stream, lean)
        ids = must + may[: looks(len(may))]
        on_rows(self._stream.name, len(ids), 0)
        self._asking.begin(self._window)
        for start in range(0, len(ids), DETAILS_AT_ONCE):
            some = ids[start : start + DETAILS_AT_ONCE]
            read, failed = await ask_details(self._client, self._window, some)
            self._details += read
            self._record_failures(failed)
            if read:
                await self._take_details(read)
            on_rows(self._stream.name, 0, len(some))
        self._answered()
        read_ids = set(self._details)
        return [id_ for id_ in ids if id_ not in read_ids]

    async def _take_details(self, read: Mapping[str, Reply]) -> None:
        """Raises ServerError for one of a stranger: the list's row was silent, and is written."""
        calls = {id_: self._record(reply)["call"] for id_, reply in read.items()}
        bodies = [await self._completed(id_, reply, calls[id_]) for id_, reply in read.items()]
        latest = max(reply.fetched_at for reply in read.values())
        if not await self._rows.take_details(bodies, calls, latest):
            raise ServerError(
                f"{self._rows.strangers} Only their details say so: nothing of the list was kept."
            )
        await self._rows.release()

    async def _completed(self, id_: str, reply: Reply, call: str) -> bytes:
        body, reject = await completed(self._client, id_, reply)
        if reject is not None:
            self._rows.reject(reject, call)
        return body

    async def _look_for_missing(self) -> str | None:
        """Notes known rows that did not come, or says why the reading is not believed."""
        known, missing = await self._rows.missing()
        lost = len(missing)
        # A user may delete his last webhook or schedule; legal facts do not vanish.
        vanished = known and not self._rows.seen and (self._stream.lasting or known > LOSS_ROWS)
        if vanished or (lost > LOSS_ROWS and lost > known * LOSS_SHARE):
            return f"{lost} of {known} known rows did not come; they are kept until that is sure"
        self._missing = missing
        return None


def _unread(ids: list[str]) -> str:
    return f"{len(ids)} details could not be read: {named(ids)}"
