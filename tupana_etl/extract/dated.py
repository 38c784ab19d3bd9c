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
from tupana_etl.extract.closing import Closing, Count, counted
from tupana_etl.extract.extraction import Extraction, commit, extract, read_parts, refused
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
    rows: dict[Window, int] = field(default_factory=dict)
    """Each window of the present cut with its rows."""
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.due = _plan(self)
        """Windows to read, oldest first."""
        self.closing = Closing(self.run.client, self.whole, self.start)


async def filters_dates(run: Extraction, listings: list[Window]) -> bool:
    """Whether the server honours date filters: some ignore them in silence.

    Asked once a run, of the first listing that has rows: none is issued after year 9000.
    """
    for listing in listings:
        none = replace(listing, date_from=FAR_FUTURE)
        rows, late = await asyncio.gather(_rows(run, listing), counted(run.client, none))
        for found in (rows, late):
            if isinstance(found, AuthError):
                raise found
        if isinstance(rows, int) and rows and not isinstance(late, ApiError):
            return not late
        # One that fails will say so itself when it is read.
    return True


async def _rows(run: Extraction, listing: Window) -> Count:
    """How many rows a listing shows: on a first page that was asked early, if there are any."""
    early = run.early(listing)
    first = await early if early else None
    if isinstance(first, Page) and first.count:
        return first.count
    return await counted(run.client, listing)


async def read_undivided(listing: Listing) -> list[Entry]:
    """Reads a listing whose server ignores date filters: all of it, in one window."""
    listing.closing.asking.close()  # counts from a date on prove nothing there
    window = replace(listing.whole, date_from=listing.start, by_server=False)
    if not listing.skip(window):
        await _read_parts(listing, window)
    return listing.entries


async def read_by_dates(listing: Listing) -> list[Entry]:
    """Reads the windows that are due. Raises AuthError and what stops the run."""
    with listing.closing.open():
        return await _read_by_dates(listing)


async def _read_by_dates(listing: Listing) -> list[Entry]:
    due = listing.due
    for _ in range(ROUNDS):
        listing.closing.asking.begin(*due)
        await asyncio.gather(*(_read_parts(listing, window) for window in due))
        if any(not entry.body["complete"] for entry in listing.entries):
            return listing.entries
        since, everything = await listing.closing.counts()
        if isinstance(since, ApiError):
            listing.entries.append(await refused(listing.run, listing.whole, since))
            return listing.entries
        missing = 0 if since is None else since - sum(listing.rows.values())
        if not missing:
            break
        # Something changed where this run did not look yet, or else while it looked.
        read = {entry.body["label"] for entry in listing.entries}
        unread = [w for w in listing.rows if w.label not in read and not listing.skip(w)]
        due = unread or [w for w in listing.rows if w.date_to is None]
    else:
        reason = f"its windows hold {sum(listing.rows.values())} rows, the server {missing} more"
        listing.entries.append(await commit(listing.run, listing.whole, reason=reason))
    await _read_undated(listing, everything)
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
    def are(cut: Window, parts: list[Window]) -> None:
        listing.rows.pop(cut, None)
        listing.rows |= dict.fromkeys(parts, 0)

    asking = listing.closing.asking
    for part, entry in await read_parts(listing.run, window, listing.today, are, asking):
        listing.entries.append(entry)
        listing.rows[part] = entry.body["expected"] or entry.body["seen"]


async def _read_undated(listing: Listing, everything: Count) -> None:
    """Reads the rows without a date, if the server counts any among ``everything``."""
    window = replace(listing.whole, undated=True)
    if listing.skip(window) or everything is None:
        return
    dated: Count = sum(listing.rows.values())
    if everything != dated and not isinstance(everything, ApiError):
        since = replace(listing.whole, date_from=BEGINNING)
        dated = await counted(listing.run.client, since)
        if isinstance(dated, AuthError):
            raise dated
    if isinstance(everything, ApiError):
        listing.entries.append(await refused(listing.run, window, everything))
        return
    if isinstance(dated, ApiError):
        listing.entries.append(await refused(listing.run, window, dated))
        return
    unseen = everything - (dated or 0)
    known = await asyncio.to_thread(listing.run.known.undated, window.where)
    if unseen > 0 or known:
        entry = await extract(listing.run, window, unseen)
        listing.entries.append(entry)
