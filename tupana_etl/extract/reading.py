"""One reading of one window: its pages, the details its rows lack, what is missing from it."""

from __future__ import annotations

import asyncio
from bisect import bisect_left as bisect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tupana_etl.api.client import Client, Reply
from tupana_etl.api.pages import Page, PageFacts, torn
from tupana_etl.arrow.cells import int_array
from tupana_etl.arrow.decode import Decoded, Decoder
from tupana_etl.domain import utcnow
from tupana_etl.errors import ApiError, ServerError
from tupana_etl.extract.belonging import inside, strangers
from tupana_etl.extract.calls import answered, given_up
from tupana_etl.extract.details import DETAILS_AT_ONCE, ask_details, completed, is_lean
from tupana_etl.extract.listing import pages_of, undated_pages
from tupana_etl.extract.turns import Asking
from tupana_etl.extract.windows import Window
from tupana_etl.lake.window import WindowWriter
from tupana_etl.warehouse.known import Known
from tupana_etl.warehouse.scope import Scope

DECODE_ROWS = 1_000
"""Rows decoded at once: their pages wait for each other."""

HOLD_ROWS = 2_000
"""Rows compared with the warehouse at once, and held in memory until then."""

NAMED = 20
"""Ids that a sentence names; those without ``_detail_at`` in raw.documents are the others."""

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
        self._decoder = decoder
        self._writer = writer
        self._asking = asking or Asking()
        self.call = call
        """Begins the name of each of its calls."""
        self._pages: list[PageFacts] = []
        self._waiting: list[Page] = []
        self._ids: list[pa.Array] = []
        self._inside_ids: list[pa.Array] = []
        self._keys: list[pa.RecordBatch] = []
        self._refused: list[str] = []
        self._outside: set[int] = set()
        self._strangers: dict[int, str] = {}
        self._perhaps: set[int] = set()
        self._lean: list[pa.RecordBatch] = []
        self._written: set[str] = set()
        self._rows = 0
        self._listed = 0
        self.started_at = utcnow()
        self.calls: list[dict[str, Any]] = []
        """What was asked and came, for lineage."""
        self.rejected = 0
        """Rows of the window that were rejected."""
        self.rejected_children = 0
        """Lines, references, events and details rejected while their document was taken."""
        self.details: list[str] = []
        """Ids whose detail was read."""
        self.missing: list[Any] = []
        """Keys of known rows of the window that did not come."""
        self.requests_saved = 0
        """Rows whose events came with the list: a request each, elsewhere."""

    @property
    def expected(self) -> int | None:
        """Rows the server announced."""
        return self._pages[0].count if self._pages else None

    @property
    def seen(self) -> int:
        """Different rows of the window that came, rejected ones included."""
        return (_distinct(self._inside_ids) or self._listed) + self.rejected

    @property
    def _found(self) -> int:
        """The same, strangers included: what the server counts."""
        return self.seen + len(self._strangers)

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
                if self._window.undated and self._found >= undated:
                    break
        self._answered()
        await self._take_pages(on_rows)
        reason = self._torn(undated)
        if reason is not None:
            return reason, None
        unread = await self._read_details(looks, on_rows) if self._lean else []
        await self._release()
        if self._strangers:
            return None, f"{self._whose()} They were left out."
        lost = await self._look_for_missing()
        return None, lost or (_unread(unread) if unread else None)

    def _listing(self, first: Page | None, undated: int) -> AsyncGenerator[Page, None]:
        if self._window.undated:
            return undated_pages(self._client, self._window)
        return pages_of(self._client, self._window, first, self._answered)

    def _answered(self) -> None:
        self._asking.rest(self._window)

    def _torn(self, undated: int) -> str | None:
        if self._window.undated:
            found = self._found
            return None if found == undated else f"{found} of {undated} rows were found"
        if self._window.by_server and self._outside:
            return f"{len(self._outside)} rows came that were not asked for"
        distinct = _distinct(self._ids) + self.rejected if self._stream.paged else None
        return torn(self._pages, distinct)

    async def _take_pages(self, on_rows: OnRows) -> None:
        """Takes the pages that wait: together if every row fits, else page by page."""
        pages, self._waiting = self._waiting, []
        first = len(self.calls)
        names = [self._record(page.reply, page) for page in pages]
        calls = self.calls[first:]
        came = await self._together(pages, names) if len(pages) > 1 else None
        if came is not None:
            self._note(came, calls, [page.size for page in pages])
        else:
            for page, name, call in zip(pages, names, calls, strict=True):
                batch = await self._take(page.rows, name, page.reply.fetched_at)
                self._note(batch, [call], [batch.num_rows])
        on_rows(self._stream.name, 0, sum(page.size for page in pages))
        if self._writer.holding >= HOLD_ROWS:
            await self._release()

    async def _together(self, pages: list[Page], calls: list[str]) -> pa.RecordBatch | None:
        bodies = [page.rows for page in pages]
        decoded = await asyncio.to_thread(
            self._decoder.decode_together, bodies, self._window.where, self._rows
        )
        if decoded is None or not decoded.batch.num_rows:
            return None
        self._count(decoded)
        stamps = zip(calls, pages, strict=True)
        self._writer.hold_pages(decoded, [(c, p.reply.fetched_at, p.size) for c, p in stamps])
        return decoded.batch

    def _note(self, came: pa.RecordBatch, calls: list[dict[str, Any]], sizes: list[int]) -> None:
        """Remembers of rows what must be known once they are gone; ``sizes`` go with calls."""
        batch = self._ours(self._inside(came))
        left = None if batch.num_rows == came.num_rows else batch.column("_row").to_pylist()
        start = came.column("_row")[0].as_py() if came.num_rows else 0
        for call, size in zip(calls, sizes, strict=True):
            end = start + size
            call["rows"] = size if left is None else bisect(left, end) - bisect(left, start)
            start = end
        self._listed += batch.num_rows
        if self._stream.paged and came.num_rows:
            self._ids.append(came.column("id"))
            self._inside_ids += [batch.column("id")] if batch.num_rows else []
        if self._stream.detail and batch.num_rows:
            names = batch.column("_absent")
            self.requests_saved += pc.sum(
                pc.invert(pc.match_substring(names, ",document_states,"))
            ).as_py()
            lean = batch.filter(is_lean(self._stream, batch))
            self._lean += [lean] if lean.num_rows else []

    async def _take(
        self, rows: bytes, call: str | dict[str, str], fetched_at: datetime, detail: bool = False
    ) -> pa.RecordBatch:
        """Decodes and holds rows."""
        decoded = await asyncio.to_thread(
            self._decoder.decode, rows, self._window.where, self._rows
        )
        self._count(decoded)
        self._writer.hold(decoded, call, fetched_at, is_detail=detail)
        return decoded.batch

    def _count(self, decoded: Decoded) -> None:
        self._rows += decoded.batch.num_rows
        listed = _all_of(self._inside_ids) if decoded.rejects else set()
        for reject in decoded.rejects:
            # Of a detail that cannot be taken the list's row was: it counts once, as that.
            if reject.stream == self._stream.name and reject.id not in listed:
                self.rejected += 1
                self._refused += [reject.id] if reject.id else []
            else:
                self.rejected_children += 1
        self._keys.append(decoded.batch.select(list(self._stream.key)))

    def _inside(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a page that belong to the window; notes the others."""
        wanted = inside(self._window, batch)
        if wanted is None or wanted.true_count == len(wanted):
            return batch
        self._outside.update(batch.filter(pc.invert(wanted)).column("_row").to_pylist())
        return batch.filter(wanted)

    def _ours(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that may be of the company and side asked for; notes the others."""
        found = strangers(self._window, batch)
        if found is None:
            return batch
        others, perhaps = found
        self._perhaps.update(batch.filter(perhaps).column("_row").to_pylist())
        others = pc.and_not(others, perhaps)
        named = batch.filter(others)
        ids = named.column("id").to_pylist()
        self._strangers.update(zip(named.column("_row").to_pylist(), ids, strict=True))
        return batch.filter(pc.invert(others))

    async def _release(self) -> None:
        """Writes what differs from the warehouse, forgets the rest."""
        if not self._writer.holding:
            return
        held = self._writer.held()
        rows = await asyncio.to_thread(self._known.differing, self._stream, held)
        if self._lean:
            rows = self._with_details(held[self._stream.name], rows)
        left_out = {*self._outside, *self._strangers, *(self._perhaps if self._strangers else ())}
        if left_out:
            others = int_array(sorted(left_out))
            rows = rows.filter(pc.invert(pc.is_in(rows, others)))
        await asyncio.to_thread(self._writer.release, rows)

    def _with_details(self, held: pa.Table, rows: pa.Array) -> pa.Array:
        """Adds the details of rows whose list row was written: a detail that says what the
        warehouse said before must undo what the list said in between."""
        ids = held.column("id").to_pylist()
        numbers = held.column("_row").to_pylist()
        details = held.column("_detail_at").is_valid().to_pylist()
        chosen = set(rows.to_pylist())
        for id_, number, is_detail in zip(ids, numbers, details, strict=True):
            if is_detail and id_ in self._written:
                chosen.add(number)
            elif number in chosen:
                self._written.add(id_)
        return int_array(sorted(chosen))

    def _record(self, reply: Reply, page: Page | None) -> str:
        """Remembers a call; its name goes with every row it brought."""
        call = f"{self.call}/{len(self.calls) + 1}"
        self.calls.append(answered(call, reply, page))
        return call

    def _record_failures(self, failed: Mapping[str, ApiError]) -> None:
        """Remembers the calls of details that could not be read, a few of them."""
        for error in [*failed.values()][:NAMED]:
            self.calls += given_up(f"{self.call}/{len(self.calls) + 1}", error)

    async def take_detail(self, id_: str, reply: Reply) -> None:
        """Takes one detail that was read already, and nothing else."""
        call = self._record(reply, None)
        self.details.append(id_)
        body = await self._completed(id_, reply, call)
        batch = await self._take(b"[" + body + b"]", {id_: call}, reply.fetched_at, detail=True)
        self._listed += batch.num_rows
        await self._release()

    async def _read_details(self, looks: Callable[[int], int], on_rows: OnRows) -> list[str]:
        """Reads the details that are due. Returns the ids of those that could not be read."""
        lean = pa.Table.from_batches(self._lean)
        must, may = await asyncio.to_thread(self._known.stale_details, self._stream, lean)
        ids = must + may[: looks(len(may))]
        on_rows(self._stream.name, len(ids), 0)
        self._asking.begin(self._window)
        for start in range(0, len(ids), DETAILS_AT_ONCE):
            some = ids[start : start + DETAILS_AT_ONCE]
            read, failed = await ask_details(self._client, self._window, some)
            self.details += read
            self._record_failures(failed)
            if read:
                calls = {id_: self._record(reply, None) for id_, reply in read.items()}
                bodies = [await self._completed(i, r, calls[i]) for i, r in read.items()]
                latest = max(reply.fetched_at for reply in read.values())
                rows = b"[" + b",".join(bodies) + b"]"
                self._refuse_strangers(await self._take(rows, calls, latest, detail=True))
                await self._release()
            on_rows(self._stream.name, 0, len(some))
        self._answered()
        read_ids = set(self.details)
        return [id_ for id_ in ids if id_ not in read_ids]

    def _refuse_strangers(self, batch: pa.RecordBatch) -> None:
        """Raises ServerError: rows of the list that were silent are written by now."""
        if self._ours(batch).num_rows < batch.num_rows:
            raise ServerError(
                f"{self._whose()} Only their details say so: nothing of the list was kept."
            )

    def _whose(self) -> str:
        ids = _named([*self._strangers.values()])
        direction = self._window.direction
        ignored = "document_type or " if direction else ""
        whose = f"{direction} by" if self._stream.name == "documents" else "of"
        return (
            f"{len(self._strangers)} of {len(self._ids)} rows are not {whose} {self._window.rut} "
            f"({ids}): the server seems to take no notice of {ignored}master_entity_id."
        )

    async def _completed(self, id_: str, reply: Reply, call: str) -> bytes:
        body, reject = await completed(self._client, id_, reply)
        if reject is not None:
            self._writer.reject([reject], call)
            self.rejected_children += 1
        return body

    async def _look_for_missing(self) -> str | None:
        """Notes known rows that did not come, or says why the reading is not believed."""
        window = self._window
        scope = Scope(self._stream, window.scope, window.date_from, window.date_to, window.undated)
        seen = pa.Table.from_batches(self._keys) if self._keys else None
        if seen is None:
            return None
        known, missing = await asyncio.to_thread(self._known.missing, scope, seen, self._refused)
        lost = len(missing)
        # A user may delete his last webhook or schedule; legal facts do not vanish.
        vanished = known and not self.seen and (self._stream.lasting or known > LOSS_ROWS)
        if vanished or (lost > LOSS_ROWS and lost > known * LOSS_SHARE):
            return f"{lost} of {known} known rows did not come; they are kept until that is sure"
        self.missing = missing
        return None


def _unread(ids: list[str]) -> str:
    return f"{len(ids)} details could not be read: {_named(ids)}"


def _named(ids: list[str]) -> str:
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more


def _distinct(ids: list[pa.Array]) -> int:
    return pc.count_distinct(pa.chunked_array(ids)).as_py() if ids else 0


def _all_of(ids: list[pa.Array]) -> set[str]:
    return {id_ for some in ids for id_ in some.to_pylist()}
