"""Reads one window whole and commits it to the lake, or says why it could not.

A window becomes one segment per table and one line of the manifest. Pages are decoded in
a thread while others are on their way; at most a few are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
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
from tupana_etl.extract.windows import WINDOW_ROWS, Window
from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.lake.window import WindowWriter
from tupana_etl.streams import Stream
from tupana_etl.warehouse.known import Known

TRIES = 3
"""Times a torn window is read before it is called incomplete."""

LARGE_ROWS = 500
LARGE_AT_ONCE = 3
"""Windows of more than LARGE_ROWS read at once: each holds rows and pages in memory, and
few of them keep every connection busy."""

LOOKS = 200
"""Details of open documents read again per company and run, at least."""

KEPT_CALLS = 20
"""Calls remembered of a reading that came to nothing: the last ones say why."""

SMALL_MORE = 8
"""Smaller windows at once, beyond the requests in flight: while some of them are written,
others ask."""

_ONLY_WRITTEN = {"calls", "details", "missing", "segments"}
"""Long lists of a window that nobody asks for again while the run goes on."""

KEPT_DEPTH = 3
"""First pages are kept for the reading up to this many cuts: more would fill the memory."""


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
        self.large = asyncio.Semaphore(LARGE_AT_ONCE)
        self.small = asyncio.Semaphore(self.client.max_concurrency + SMALL_MORE)

    def decoder(self, stream: Stream) -> Decoder:
        return self.decoders.setdefault(stream.name, Decoder(stream))

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


async def cut(
    run: Extraction, window: Window, today: date, depth: int = 0
) -> list[tuple[Window, Page | ApiError | None]]:
    """The window, cut in two until each part is small, with the first page of each.

    A part whose first page could not be read comes with its error.
    """
    if not window.stream.paged or window.undated:
        return [(window, None)]
    try:
        page = await ask_page(run.client, window)
    except AuthError:
        raise
    except ApiError as error:
        return [(window, error)]
    big = (page.count or 0) > WINDOW_ROWS and window.by_server
    halves = window.halves(today) if big else None
    if halves is None:
        run.on_rows(window.stream.name, page.count or 0, 0)
        return [(window, page if depth <= KEPT_DEPTH else None)]
    older, newer = await asyncio.gather(*(cut(run, h, today, depth + 1) for h in halves))
    return [*older, *newer]


async def read_parts(
    run: Extraction, window: Window, today: date, are: Callable[[list[Window]], None]
) -> list[tuple[Window, Entry]]:
    """Reads and commits a window, cut into parts as small as they must be.

    ``are`` is told the parts when they are known. Raises as :func:`extract`.
    """
    async with run.small:
        parts = await cut(run, window, today)
        are([part for part, _ in parts])
        if len(parts) == 1 and not _is_large(*parts[0]):
            return [(parts[0][0], await _extract(run, *parts[0]))]
    entries = await asyncio.gather(*(extract(run, *part) for part in parts))
    return [(part, entry) for (part, _), entry in zip(parts, entries, strict=True)]


def _is_large(window: Window, first: Page | ApiError | None) -> bool:
    """Whether it may hold much; so may a list that nobody has seen yet."""
    if isinstance(first, ApiError) or not window.stream.paged:
        return False
    return first is None or (first.count or 0) > LARGE_ROWS


async def extract(
    run: Extraction, window: Window, first: Page | ApiError | None, undated: int = 0
) -> Entry:
    """Reads and commits a window; raises only what stops the run (AuthError, the disk).

    A refused company, a server that gave up or a list that kept changing is committed as
    incomplete, with the reason and without rows: the next run reads it again. ``undated``
    is how many rows a window without dates must find.
    """
    async with run.large if _is_large(window, first) else run.small:
        return await _extract(run, window, first, undated)


async def _extract(
    run: Extraction, window: Window, first: Page | ApiError | None, undated: int = 0
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
            run.client,
            run.known,
            window,
            decoder=run.decoder(window.stream),
            writer=writer,
            call=call,
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
        names: tuple[str, ...] = ("expected", "seen", "rejected", "rejected_children")
        names += ("requests_saved", "details", "missing", "calls")
        body |= {name: getattr(reading, name) for name in names}
        body |= {
            "requests": len(reading.calls),
            "started_at": reading.started_at.isoformat(),
        }
    entry = await asyncio.to_thread(run.manifest.append, "window", body)
    return replace(entry, body={k: v for k, v in entry.body.items() if k not in _ONLY_WRITTEN})
