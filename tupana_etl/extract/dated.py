"""Reads one listing of documents: its windows of dates, then whatever has no date.

The server's own counts are the proof: the windows must add up to what it counts from the
start date on, and rows it counts outside every date are looked for and read too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

from tupana_etl.api.pages import Page
from tupana_etl.errors import ApiError, AuthError
from tupana_etl.extract.extraction import Extraction, commit, cut, extract, refused
from tupana_etl.extract.listing import count
from tupana_etl.extract.sweep import as_window, budget, split_due, tiles
from tupana_etl.extract.windows import DIRECTIONS, Window
from tupana_etl.lake.manifest import Entry
from tupana_etl.warehouse.known import KnownWindow

FAR_FUTURE = date(9000, 1, 1)
BEGINNING = date(1900, 1, 1)

ROUNDS = 3
"""Times windows are read again until they add up to the server's count."""


@dataclass
class Listing:
    """One company and direction, as this run reads it."""

    run: Extraction
    whole: Window
    """Without dates."""
    start: date
    today: date
    full: bool
    skip: Callable[[Window], bool]
    """Committed already by this run, before it was interrupted."""
    gate: asyncio.Semaphore
    """Windows in work at once."""
    rows: dict[Window, int] = field(default_factory=dict)
    """Each window of the present cut with its rows."""
    entries: list[Entry] = field(default_factory=list)


async def filters_dates(run: Extraction, listings: list[Window]) -> bool:
    """Whether the server honours date filters: some ignore them in silence.

    Asked once a run, of the first listing that has rows: none is issued after year 9000.
    """
    for listing in listings:
        try:
            if await count(run.client, listing):
                return not await count(run.client, replace(listing, date_from=FAR_FUTURE))
        except AuthError:
            raise
        except ApiError:
            continue  # the listing will say so itself when it is read
    return True


async def read_undivided(listing: Listing) -> list[Entry]:
    """Reads a listing whose server ignores date filters: all of it, in one window."""
    window = replace(listing.whole, date_from=listing.start, by_server=False)
    if not listing.skip(window):
        await _read_parts(listing, window)
    return listing.entries


async def read_by_dates(listing: Listing) -> list[Entry]:
    """Reads the windows that are due. Raises AuthError and what stops the run."""
    due = _plan(listing)
    for _ in range(ROUNDS):
        await asyncio.gather(*(_read_parts(listing, window) for window in due))
        if any(not entry.body["complete"] for entry in listing.entries):
            return listing.entries
        try:
            missing = await _outside_windows(listing)
        except AuthError:
            raise
        except ApiError as error:
            listing.entries.append(refused(listing.run, listing.whole, error))
            return listing.entries
        if not missing:
            break
        # Something changed where this run did not look yet, or else while it looked.
        read = {entry.body["label"] for entry in listing.entries}
        unread = [w for w in listing.rows if w.label not in read and not listing.skip(w)]
        due = unread or [w for w in listing.rows if w.date_to is None]
    else:
        reason = f"its windows hold {sum(listing.rows.values())} rows, the server {missing} more"
        listing.entries.append(commit(listing.run, listing.whole, reason=reason))
    await _read_undated(listing)
    return listing.entries


def _plan(listing: Listing) -> list[Window]:
    """Windows to read first; notes the rows of all."""
    whole, known = listing.whole, listing.run.known
    company = whole.company.id if whole.company else ""
    cuts: dict[str, list[KnownWindow]] = {
        d: tiles(known.windows(whole.stream.name, company, d), listing.start) for d in DIRECTIONS
    }
    mine = cuts[whole.direction or DIRECTIONS[0]]
    everything = [window for windows in cuts.values() for window in windows]
    share = budget(mine, everything, listing.run.runs)
    due, _ = split_due(mine, listing.today, share, listing.full)
    listing.rows = {as_window(whole, w): w.rows for w in mine}
    return [as_window(whole, w) for w in due if not listing.skip(as_window(whole, w))]


async def _read_parts(listing: Listing, window: Window) -> None:
    async with listing.gate:
        parts = await cut(listing.run, window, listing.today)
    listing.rows.pop(window, None)
    listing.rows |= {part: 0 for part, _ in parts}

    async def read(part: Window, first: Page | ApiError | None) -> None:
        async with listing.gate:
            entry = await extract(listing.run, part, first)
        listing.entries.append(entry)
        listing.rows[part] = entry.body["expected"] or entry.body["seen"]

    await asyncio.gather(*(read(*part) for part in parts))


async def _outside_windows(listing: Listing) -> int:
    """Rows from the start date on that the server counts and the windows do not hold."""
    counted = await count(listing.run.client, replace(listing.whole, date_from=listing.start))
    return 0 if counted is None else counted - sum(listing.rows.values())


async def _read_undated(listing: Listing) -> None:
    """Reads the rows without a date, if the server counts any."""
    client, whole = listing.run.client, listing.whole
    window = replace(whole, undated=True)
    if listing.skip(window):
        return
    try:
        everything = await count(client, whole)
        if everything is None:
            return
        dated = sum(listing.rows.values())
        if everything != dated:
            dated = await count(client, replace(whole, date_from=BEGINNING)) or 0
        known = await asyncio.to_thread(listing.run.known.undated, window.where)
    except AuthError:
        raise
    except ApiError as error:
        listing.entries.append(refused(listing.run, window, error))
        return
    if everything > dated or known:
        entry = await extract(listing.run, window, None, undated=everything - dated)
        listing.entries.append(entry)
