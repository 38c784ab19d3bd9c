"""Reads one window whole and commits it to the lake, or says why it could not.

A window becomes one segment per table and one line of the manifest. Pages are decoded in
a thread while others are on their way; at most a few are in memory.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from tupana_etl.api.client import Client
from tupana_etl.api.pages import Page, parse_page
from tupana_etl.arrow.decode import Decoder
from tupana_etl.domain import utcnow
from tupana_etl.errors import ApiError, AuthError, NotFound
from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.lake.window import WindowWriter
from tupana_etl.reading import PAGE_SIZE, OnRows, Reading, Stale
from tupana_etl.streams import Stream
from tupana_etl.windows import WINDOW_ROWS, Window

TRIES = 3
"""Times a torn window is read before it is called incomplete."""


@dataclass
class Extraction:
    """What the windows of one run share."""

    client: Client
    lake: Path
    manifest: Manifest
    run_id: str
    stale: Stale
    on_rows: OnRows
    decoders: dict[str, Decoder] = field(default_factory=dict)
    windows: int = 0

    def decoder(self, stream: Stream) -> Decoder:
        return self.decoders.setdefault(stream.name, Decoder(stream))

    def next_number(self) -> int:
        """Number of the next reading: it names the segments and the calls."""
        self.windows += 1
        return self.windows


async def cut(
    run: Extraction, window: Window, today: date
) -> list[tuple[Window, Page | ApiError | None]]:
    """The window, cut in two until each part is small, with the first page of each.

    A part whose first page could not be read comes with its error.
    """
    if not window.stream.paged:
        return [(window, None)]
    try:
        page = await first_page(run.client, window)
    except AuthError:
        raise
    except ApiError as error:
        return [(window, error)]
    halves = window.halves(today) if (page.count or 0) > WINDOW_ROWS else None
    if halves is None:
        run.on_rows(window.stream.name, page.count or 0, 0)
        return [(window, page)]
    older, newer = await asyncio.gather(*(cut(run, half, today) for half in halves))
    return [*older, *newer]


async def first_page(client: Client, window: Window) -> Page:
    """Page 1 of a paged window: its count says how large the window is."""
    asked = {**window.params, "page_size": str(PAGE_SIZE), "page": "1"}
    return parse_page(await client.get(window.stream.path, asked, company=window.rut), 1)


async def extract(run: Extraction, window: Window, first: Page | ApiError | None) -> Entry:
    """Reads and commits a window; raises only what stops the run (AuthError, the disk).

    A refused company, a server that gave up or a list that kept changing is committed as
    incomplete, with the reason and without rows: the next run reads it again.
    """
    if isinstance(first, ApiError):
        return _commit(run, window, None, {}, _reason(window, first))
    for attempt in range(1, TRIES + 1):
        number = run.next_number()
        writer = WindowWriter(run.lake, run.run_id, number, window.stream)
        call = f"{run.run_id}/{number}"
        reading = Reading(run.client, window, run.decoder(window.stream), writer, call)
        try:
            torn = await reading.read(first if attempt == 1 else None, run.stale, run.on_rows)
            if torn is None:
                segments = await asyncio.to_thread(writer.close)
                return _commit(run, window, reading, segments, reading.missing)
        except AuthError:
            raise
        except ApiError as error:
            return _commit(run, window, reading, {}, _reason(window, error))
        finally:
            writer.abandon()
    return _commit(run, window, reading, {}, f"kept changing while it was read: {torn}")


def _reason(window: Window, error: ApiError) -> str | None:
    """None for an endpoint that an older contract does not have: that is no failure."""
    if isinstance(error, NotFound) and window.stream.since > "2026-04":
        return None
    return str(error)


def _commit(
    run: Extraction,
    window: Window,
    reading: Reading | None,
    segments: dict[str, Any],
    reason: str | None,
) -> Entry:
    return run.manifest.append(
        "window",
        {
            "run": run.run_id,
            "number": run.windows,  # an upper bound is enough to go on from after a crash
            **window.described,
            "started_at": (reading.started_at if reading else utcnow()).isoformat(),
            "expected": reading and reading.expected,
            "seen": reading.seen if reading and segments else 0,
            "rejected": reading.rejected if reading and segments else 0,
            "requests": len(reading.calls) if reading else 1,
            "complete": reason is None,
            "reason": reason,
            "read_at": utcnow().isoformat(),
            "calls": reading.calls if reading else [],
            "segments": segments,
        },
    )
