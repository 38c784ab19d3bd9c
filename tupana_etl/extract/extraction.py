"""Reads one window whole and commits it to the lake, or says why it could not.

A window becomes one segment per table and one line of the manifest. Pages are decoded in
a thread while others are on their way; at most a few are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from tupana_etl.api.client import Client
from tupana_etl.api.pages import Page
from tupana_etl.arrow.decode import Decoder
from tupana_etl.domain import utcnow
from tupana_etl.errors import ApiError, AuthError, NotFound
from tupana_etl.extract.bounds import give_back
from tupana_etl.extract.calls import given_up
from tupana_etl.extract.listing import ask_page
from tupana_etl.extract.reading import OnRows, Reading
from tupana_etl.extract.turns import MOST, Asking, Turns
from tupana_etl.extract.windows import WINDOW_ROWS, Window
from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.lake.window import WindowWriter
from tupana_etl.streams import Stream
from tupana_etl.warehouse.known import Known

TRIES = 3
"""Times a torn window is read before it is called incomplete."""

LOOKS = 200
"""Details of open documents read again per company and run, at least."""

KEPT_CALLS = 20
"""Calls remembered of a reading that came to nothing: the last ones say why."""

_ONLY_WRITTEN = {"calls", "details", "missing", "segments"}
"""Long lists of a window that nobody asks for again while the run goes on."""


@dataclass
class Extraction:
    """What the windows of one run share."""

    client: Client
    lake: Path
    manifest: Manifest
    known: Known
    run_id: str
    on_rows: OnRows
    runs: int = 1
    """Runs a week: how often older things come round."""
    windows: int = 0
    decoders: dict[str, Decoder] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.turns = Turns(self.client)
        self._early: dict[Window, asyncio.Task[Page | ApiError]] = {}

    def decoder(self, stream: Stream) -> Decoder:
        return self.decoders.setdefault(stream.name, Decoder(stream))

    def ask_early(self, windows: Sequence[Window]) -> None:
        """Asks the first pages of the first few: they come while other things are found out."""
        for window in windows[: self.turns.ahead - len(self._early)]:
            page = _first_page(self.turns.client(window), window)
            self._early[window] = asyncio.create_task(page)

    def early(self, listing: Window) -> asyncio.Task[Page | ApiError] | None:
        """The first page of the newest window of a listing, if it was asked early."""
        found = [w for w in self._early if replace(w, date_from=None, date_to=None) == listing]
        return self._early[found[-1]] if found else None

    def first_page(self, client: Client, window: Window) -> Awaitable[Page | ApiError]:
        """Page 1 of a window, or why it could not be read."""
        # A server that takes no notice of dates gave the page of all of them.
        early = self._early.pop(replace(window, by_server=True), None)
        return early or _first_page(client, window)

    def forget_early(self) -> None:
        """Drops what was asked early and is of no use."""
        for page in self._early.values():
            page.cancel()
        self._early = {}

    def next_number(self) -> int:
        """Number of the next reading: it names the segments and the calls."""
        self.windows += 1
        return self.windows

    def grant_looks(self, company: str, wanted: int) -> int:
        """How many open documents of a company may be looked at again."""
        left = self.looks.setdefault(company, LOOKS)
        granted = min(wanted, max(left, -(-wanted // self.runs)))
        self.looks[company] = max(left - granted, 0)
        return granted


async def _first_page(client: Client, window: Window) -> Page | ApiError:
    try:
        return await ask_page(client, window)
    except ApiError as error:
        return error


async def read_parts(
    run: Extraction,
    window: Window,
    today: date,
    are: Callable[[Window, list[Window]], None] = lambda window, parts: None,
    asking: Asking | None = None,
) -> list[tuple[Window, Entry]]:
    """Reads and commits a window, cut into parts as small as they must be.

    ``are`` is told a window's parts when they are known, and those of a part that is cut
    again; ``asking`` is told which have something to ask. A first page is asked once: it is the
    page of the window that is read. Raises as :func:`extract`.
    """
    asking = asking or Asking()
    asking.begin(window)
    first: Page | ApiError | None = None
    client, lane = run.turns.client(window), run.turns.lane(window)
    async with AsyncExitStack() as ahead:
        if window.stream.paged:
            await ahead.enter_async_context(lane.ahead)
            first = await run.first_page(client, window)
            if isinstance(first, AuthError):
                raise first
        parts = _parts(window, first, today)
        if len(parts) == 1:
            are(window, parts)
            run.on_rows(window.stream.name, _announced(first), 0)
            async with lane.room(_announced(first)):
                await ahead.aclose()
                return [(window, await _extract(run, client, window, first, asking=asking))]
    are(window, parts)
    asking.begin(*parts)
    asking.rest(window)
    read = await asyncio.gather(*(read_parts(run, part, today, are, asking) for part in parts))
    return [one for some in read for one in some]


def _parts(window: Window, first: Page | ApiError | None, today: date) -> list[Window]:
    count = _announced(first)
    if count <= WINDOW_ROWS or not window.by_server:
        return [window]
    return window.parts(count, WINDOW_ROWS, today)


def _announced(first: Page | ApiError | None) -> int:
    return first.count or 0 if isinstance(first, Page) else 0


async def extract(run: Extraction, window: Window, undated: int) -> Entry:
    """Reads and commits a window without dates, which must find so many rows; raises only
    what stops the run (AuthError, the disk).

    A refused company, a server that gave up or a list that kept changing is committed as
    incomplete, with the reason and without rows: the next run reads it again.
    """
    client, lane = run.turns.client(window), run.turns.lane(window)
    async with lane.room(MOST):
        return await _extract(run, client, window, None, asking=Asking(), undated=undated)


async def _extract(
    run: Extraction,
    client: Client,
    window: Window,
    first: Page | ApiError | None,
    *,
    asking: Asking,
    undated: int = 0,
) -> Entry:
    if isinstance(first, ApiError):
        return await refused(run, window, first)
    torn: str | None = None
    tried: list[dict[str, Any]] = []
    for attempt in range(1, TRIES + 1):
        number = run.next_number()
        writer = WindowWriter(run.lake, run.run_id, number, window.stream)
        call = f"{run.run_id}/{number}"
        reading = Reading(
            client,
            run.known,
            window,
            decoder=run.decoder(window.stream),
            writer=writer,
            call=call,
            asking=asking,
        )
        try:
            torn, missing = await reading.read(
                first if attempt == 1 else None,
                undated,
                lambda wanted: run.grant_looks(window.rut or "", wanted),
                run.on_rows,
            )
            if torn is None:
                segments = await asyncio.to_thread(_finish, writer)
                return await commit(run, window, reading, segments, reason=missing)
        except AuthError:
            raise
        except ApiError as error:
            return await refused(run, window, error, reading)
        finally:
            writer.abandon()
        tried += reading.calls
    reason = f"kept changing while it was read: {torn}"
    return await commit(run, window, reason=reason, calls=tried, requests=len(tried))


async def refused(
    run: Extraction, window: Window, error: ApiError, reading: Reading | None = None
) -> Entry:
    """Commits a window that could not be read, with the call that failed and those before."""
    calls = reading.calls if reading else []
    before = reading.call if reading else f"{run.run_id}/{run.next_number()}"
    return await commit(
        run,
        window,
        reason=_reason(window, error),
        requests=len(calls) + 1,
        status=error.status,
        calls=calls + given_up(f"{before}/{len(calls) + 1}", error),
    )


def _finish(writer: WindowWriter) -> dict[str, Any]:
    segments = writer.close()
    give_back()
    return segments


def _reason(window: Window, error: ApiError) -> str | None:
    """None for an endpoint that an older contract does not have: that is no failure."""
    if isinstance(error, NotFound) and window.stream.since > "2026-04":
        return None
    return str(error)


async def commit(
    run: Extraction,
    window: Window,
    reading: Reading | None = None,
    segments: dict[str, Any] | None = None,
    *,
    reason: str | None = None,
    requests: int = 1,
    partial: bool = False,
    status: int | None = None,
    calls: Sequence[dict[str, Any]] = (),
) -> Entry:
    """Appends the window to the manifest; complete when there is no reason against it.

    ``partial``: it holds some rows of the listing, and says nothing of the others.
    ``status`` is the answer's that kept it from being read, ``calls`` are those of a
    reading of which nothing else is kept; the last of them are.
    """
    now = utcnow().isoformat()
    body: dict[str, Any] = {
        "run": run.run_id,
        "number": run.windows,  # an upper bound is enough to go on from after a crash
        **window.described,
        "started_at": now,
        "read_at": now,
        "expected": None,
        "seen": 0,
        "rejected": 0,
        "rejected_children": 0,
        "requests": requests,
        "requests_saved": 0,
        "complete": reason is None,
        "partial": partial,
        "reason": reason,
        "status": status,
        "details": [],
        "missing": [],
        "calls": list(calls[-KEPT_CALLS:]),
        "segments": segments or {},
    }
    if reading is not None:
        body |= reading.told
    entry = await asyncio.to_thread(run.manifest.append, "window", body)
    return replace(entry, body={k: v for k, v in entry.body.items() if k not in _ONLY_WRITTEN})
