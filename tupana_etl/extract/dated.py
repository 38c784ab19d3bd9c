"""Reads one listing of documents: its windows of dates, then whatever has no date.

The server's own counts are the proof: the windows must add up to what it counts from the
start date on, and rows it counts outside every date are looked for and read too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date

from tupana_etl.errors import ApiError, AuthError
from tupana_etl.extract.extraction import Extraction, commit, extract, read_parts, refused
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
    rows: dict[Window, int] = field(default_factory=dict)
    """Each window of the present cut with its rows."""
    entries: list[Entry] = field(default_factory=list)


async def filters_dates(run: Extraction, listings: list[Window]) -> bool:
    """Whether the server honours date filters: some ignore them in silence.

    Asked once a run, of the first listing that has rows: none is issued after year 9000.
    """
    for listing in listings:
        none = replace(listing, date_from=FAR_FUTURE)
        try:
            rows, late = await asyncio.gather(*(count(run.client, w) for w in (listing, none)))
            if rows:
                return not late
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
        missing, everything = await asyncio.gather(
            _outside_windows(listing), _counted(listing, listing.whole)
        )
        if isinstance(missing, ApiError):
            listing.entries.append(await refused(listing.run, listing.whole, missing))
            return listing.entries
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
    def are(parts: list[Window]) -> None:
        listing.rows.pop(window, None)
        listing.rows |= dict.fromkeys(parts, 0)

    for part, entry in await read_parts(listing.run, window, listing.today, are):
        listing.entries.append(entry)
        listing.rows[part] = entry.body["expected"] or entry.body["seen"]


async def _counted(listing: Listing, window: Window) -> int | ApiError | None:
    """How many rows the server says a window has; None when it does not say."""
    try:
        return await count(listing.run.client, window)
    except AuthError:
        raise
    except ApiError as error:
        return error


async def _outside_windows(listing: Listing) -> int | ApiError:
    """Rows from the start date on that the server counts and the windows do not hold."""
    counted = await _counted(listing, replace(listing.whole, date_from=listing.start))
    if isinstance(counted, ApiError):
        return counted
    return 0 if counted is None else counted - sum(listing.rows.values())


async def _read_undated(listing: Listing, everything: int | ApiError | None) -> None:
    """Reads the rows without a date, if the server counts any among ``everything``."""
    window = replace(listing.whole, undated=True)
    if listing.skip(window) or everything is None:
        return
    dated: int | ApiError | None = sum(listing.rows.values())
    if everything != dated and not isinstance(everything, ApiError):
        dated = await _counted(listing, replace(listing.whole, date_from=BEGINNING))
    if isinstance(everything, ApiError):
        listing.entries.append(await refused(listing.run, window, everything))
        return
    if isinstance(dated, ApiError):
        listing.entries.append(await refused(listing.run, window, dated))
        return
    unseen = everything - (dated or 0)
    known = await asyncio.to_thread(listing.run.known.undated, window.where)
    if unseen > 0 or known:
        entry = await extract(listing.run, window, None, undated=unseen)
        listing.entries.append(entry)
