"""Rows on their way from an answer into the lake: decoded, judged, compared, written."""

from __future__ import annotations

import asyncio
from bisect import bisect_left as bisect
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tupana_etl.api.pages import Page
from tupana_etl.arrow.cells import int_array
from tupana_etl.arrow.decode import Decoded, Decoder
from tupana_etl.arrow.rows import Reject
from tupana_etl.extract.belonging import inside, strangers
from tupana_etl.extract.details import is_lean
from tupana_etl.extract.windows import Window
from tupana_etl.lake.window import WindowWriter
from tupana_etl.warehouse.known import Known
from tupana_etl.warehouse.scope import Scope

HOLD_ROWS = 2_000
"""Rows compared with the warehouse at once, and held in memory until then."""

NAMED = 20
"""Ids that a sentence names; those without ``_detail_at`` in raw.documents are the others."""


class Incoming:
    """The rows of one reading of a window, and what is remembered of them once they are gone."""

    def __init__(
        self, known: Known, window: Window, decoder: Decoder, writer: WindowWriter
    ) -> None:
        self._known = known
        self._window = window
        self._stream = window.stream
        self._decoder = decoder
        self._writer = writer
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
        self.rejected = 0
        """Rows of the window that were rejected."""
        self.rejected_children = 0
        """Lines, references, events and details rejected while their document was taken."""
        self.requests_saved = 0
        """Rows whose events came with the list: a request each, elsewhere."""

    @property
    def seen(self) -> int:
        """Different rows of the window that came, rejected ones included."""
        return (_distinct(self._inside_ids) or self._listed) + self.rejected

    @property
    def found(self) -> int:
        """The same, strangers included: what the server counts."""
        return self.seen + len(self._strangers)

    @property
    def distinct(self) -> int:
        """Different ids that came, in the window or not, rejected ones included."""
        return _distinct(self._ids) + self.rejected

    @property
    def unasked(self) -> int:
        """Rows of other dates than the window's."""
        return len(self._outside)

    @property
    def strangers(self) -> str | None:
        """The rows of another company or side than was asked for, as a sentence."""
        if not self._strangers:
            return None
        ids = named([*self._strangers.values()])
        direction = self._window.direction
        ignored = "document_type or " if direction else ""
        whose = f"{direction} by" if self._stream.name == "documents" else "of"
        return (
            f"{len(self._strangers)} of {self.found} rows are not {whose} {self._window.rut} "
            f"({ids}): the server seems to take no notice of {ignored}master_entity_id."
        )

    @property
    def lean(self) -> pa.Table | None:
        """Rows that lack something which only their detail has."""
        return pa.Table.from_batches(self._lean) if self._lean else None

    async def take_pages(self, pages: list[Page], calls: Sequence[dict[str, Any]]) -> None:
        """Takes pages, each with its call: together if every row fits, else page by page."""
        came = await self._together(pages, calls) if len(pages) > 1 else None
        if came is not None:
            self._note(came, calls, [page.size for page in pages])
        else:
            for page, call in zip(pages, calls, strict=True):
                batch = await self._take(page.rows, call["call"], page.reply.fetched_at)
                self._note(batch, [call], [batch.num_rows])
        if self._writer.holding >= HOLD_ROWS:
            await self.release()

    async def take_details(
        self, bodies: Sequence[bytes], calls: dict[str, str], fetched_at: datetime
    ) -> bool:
        """Takes details, whose calls go by id. Returns whether none proved to be a stranger's."""
        rows = b"[" + b",".join(bodies) + b"]"
        batch = await self._take(rows, calls, fetched_at, detail=True)
        return bool(self._ours(batch).num_rows == batch.num_rows)

    async def take_alone(self, body: bytes, calls: dict[str, str], fetched_at: datetime) -> None:
        """Takes a detail that was asked for by itself, and writes what differs."""
        batch = await self._take(b"[" + body + b"]", calls, fetched_at, detail=True)
        self._listed += batch.num_rows
        await self.release()

    def reject(self, reject: Reject, call: str) -> None:
        """Notes a part of a document that could not be taken."""
        self._writer.reject([reject], call)
        self.rejected_children += 1

    async def release(self) -> None:
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

    async def missing(self) -> tuple[int, list[Any]]:
        """How many rows of the window the warehouse knows, and the keys of those that did not
        come. None is missing from a window of which nothing came at all, not even a page."""
        window = self._window
        scope = Scope(self._stream, window.scope, window.date_from, window.date_to, window.undated)
        if not self._keys:
            return 0, []
        seen = pa.Table.from_batches(self._keys)
        return await asyncio.to_thread(self._known.missing, scope, seen, self._refused)

    async def _together(
        self, pages: list[Page], calls: Sequence[dict[str, Any]]
    ) -> pa.RecordBatch | None:
        bodies = [page.rows for page in pages]
        decoded = await asyncio.to_thread(
            self._decoder.decode_together, bodies, self._window.where, self._rows
        )
        if decoded is None or not decoded.batch.num_rows:
            return None
        self._count(decoded)
        stamps = zip(calls, pages, strict=True)
        self._writer.hold_pages(
            decoded, [(c["call"], p.reply.fetched_at, p.size) for c, p in stamps]
        )
        return decoded.batch

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

    def _note(
        self, came: pa.RecordBatch, calls: Sequence[dict[str, Any]], sizes: list[int]
    ) -> None:
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
        theirs = batch.filter(others)
        ids = theirs.column("id").to_pylist()
        self._strangers.update(zip(theirs.column("_row").to_pylist(), ids, strict=True))
        return batch.filter(pc.invert(others))

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


def named(ids: list[str]) -> str:
    """A few ids for a sentence."""
    more = f" and {len(ids) - NAMED} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more


def _distinct(ids: list[pa.Array]) -> int:
    return pc.count_distinct(pa.chunked_array(ids)).as_py() if ids else 0


def _all_of(ids: list[pa.Array]) -> set[str]:
    return {id_ for some in ids for id_ in some.to_pylist()}
