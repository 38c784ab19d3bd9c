"""The reading half of a sync: every window that is due, a few at a time, into the lake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from tupana_etl import domain, home
from tupana_etl.api.client import Client
from tupana_etl.api.reads import Company, companies, resolve
from tupana_etl.errors import ConfigError
from tupana_etl.extract.dated import Listing, filters_dates, read_by_dates, read_undivided
from tupana_etl.extract.extraction import Extraction, read_parts
from tupana_etl.extract.reading import OnRows
from tupana_etl.extract.sweep import due_periods
from tupana_etl.extract.windows import Window, months_before, slices
from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.settings import Settings
from tupana_etl.streams import STREAMS, Stream
from tupana_etl.warehouse.known import Known

HISTORY_MONTHS = 24
"""How far back the first sync reads when no start date is set."""

LISTED = {stream for stream in STREAMS.values() if not stream.is_child}
"""Streams with a list of their own; the others come with them."""

THREADS = 3
"""Threads beside the one that reads the network."""

OLDEST, NEWEST = "2026-04", "2026-08"
"""The contracts a server may keep; whether it filters dates tells them apart."""

IN_FULL = ", in full"

RESUMABLE = timedelta(hours=24)
"""An interrupted run older than this is begun anew: what it read has aged."""


@dataclass(frozen=True)
class Order:
    """What one sync was asked for."""

    settings: Settings
    streams: list[Stream]
    entity: str | None = None
    since: date | None = None
    full: bool = False

    @property
    def companies(self) -> tuple[str, ...]:
        """RUTs or ids it is narrowed to; none is every company of the key."""
        return (self.entity,) if self.entity else self.settings.entities

    @property
    def whole(self) -> bool:
        """Whether it is about everything: only such runs keep what is old verified."""
        return not self.companies and set(self.streams) == LISTED

    @property
    def asked(self) -> str:
        """The order in words, the same for the same order."""
        names = sorted(s.name for s in self.streams)
        what = "everything" if set(self.streams) == LISTED else ", ".join(names)
        whom = f" of {', '.join(sorted(self.companies))}" if self.companies else ""
        return f"{what}{whom}{IN_FULL if self.full else ''}"


@dataclass
class Taken:
    """What one sync read."""

    run_id: str
    entries: list[Entry] = field(default_factory=list)
    unknown_fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    requests: int = 0
    hidden: list[str] = field(default_factory=list)
    """RUTs of companies once read that the key no longer shows; they were tried all the same."""


@dataclass(frozen=True)
class Begun:
    """A run that is open in the manifest, perhaps since before a crash."""

    run_id: str
    start: date
    done: list[Entry]
    number: int = 0
    """Readings so far, whole or not: the next one needs another number."""


async def take_in(order: Order, manifest: Manifest, known: Known, on_rows: OnRows) -> Taken:
    """Reads every due window and commits it. Windows that fail are committed as incomplete.

    Raises AuthError, OriginError, ConfigError and what :func:`companies` raises before
    anything is written; later only AuthError or an error of the disk.
    """
    settings, today = order.settings, domain.today()
    # Each thread keeps memory of its own: one that decodes, one that compares, one that writes.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    async with Client(settings) as client:
        visible = await companies(client)
        home.check_origin(settings, [c.rut for c in visible])
        chosen = await chosen_companies(order, client, visible)
        hidden = [] if order.companies else _hidden(known, visible)
        runs = known.runs_last_week()
        begun = begin(order, manifest)
        work = Extraction(
            client,
            settings.lake,
            manifest,
            known,
            begun.run_id,
            on_rows,
            runs=runs,
            windows=begun.number,
        )
        read = await _read(work, order, [*chosen, *hidden], begun, today)
        entries = [*begun.done, *read]
        end(manifest, begun.run_id, entries, client.requests)
        unknown = {name: d.unknown for name, d in work.decoders.items() if d.unknown}
        return Taken(begun.run_id, entries, unknown, client.requests, [c.rut for c in hidden])


async def chosen_companies(
    order: Order, client: Client, visible: list[Company] | None = None
) -> list[Company]:
    """The companies an order is about; ``visible`` are those the key sees, if they were asked
    for already. ConfigError when the key sees none."""
    chosen = await resolve(client, order.companies, visible)
    if not chosen:
        raise ConfigError(
            "The key sees no company: none of its credentials is valid. Enrol or renew one "
            "in Tu Pana, then run again. Nothing was written."
        )
    return chosen


def _hidden(known: Known, visible: list[Company]) -> list[Company]:
    """Companies that were read before and are no longer shown: an expired credential hides
    one, and what it had must not be forgotten in silence."""
    shown = {company.id for company in visible}
    return [Company(i, rut, "") for i, rut in known.companies().items() if i not in shown]


async def _read(
    work: Extraction, order: Order, chosen: list[Company], begun: Begun, today: date
) -> list[Entry]:
    skip = _skip(begun.done)
    due = [
        window
        for stream in order.streams
        for window in _in_turn(work, order, list(slices(stream, chosen, begun.start, today)))
    ]
    dated = [w for w in due if "window" in w.stream.slices]
    others = [w for w in due if w not in dated and not skip(w)]
    documents = list(slices(STREAMS["documents"], chosen, begun.start, today))
    entries: list[Entry] = []

    async def plain(window: Window) -> None:
        entries.extend(entry for _, entry in await read_parts(work, window, today))

    async def listing(one: Listing, by_dates: bool) -> None:
        entries.extend(await (read_by_dates(one) if by_dates else read_undivided(one)))

    listings = [Listing(work, w, begun.start, today, order.full, skip) for w in dated]
    work.ask_early([window for one in listings for window in one.due])

    try:
        async with asyncio.TaskGroup() as group:
            at_once = [w for w in others if _offered(w, OLDEST)]
            for window in at_once:
                group.create_task(plain(window))
            by_dates = await filters_dates(work, documents)
            contract = NEWEST if by_dates else OLDEST
            for one in listings:
                group.create_task(listing(one, by_dates))
            for window in others:
                if window not in at_once and _offered(window, contract):
                    group.create_task(plain(window))
    finally:
        work.forget_early()
    return entries


def _offered(window: Window, contract: str) -> bool:
    """Whether a server of this contract has what the window asks for."""
    if window.stream.since > contract:
        return False
    return window.direction != "received" or window.stream.directions_since <= contract


def _in_turn(work: Extraction, order: Order, windows: list[Window]) -> Iterator[Window]:
    """Leaves out the months of SII's books that may wait for a later run."""
    months: dict[Company, list[Window]] = {}
    for window in windows:
        if window.period is None or window.company is None:
            yield window
        else:
            months.setdefault(window.company, []).append(window)
    for company, found in months.items():
        verified = work.known.periods(found[0].stream.name, company.id)
        periods = [w.period for w in found if w.period]
        due = due_periods(periods, verified, domain.today(), work.runs, order.full)
        yield from (w for w in found if w.period in due)


def begin(order: Order, manifest: Manifest) -> Begun:
    """Opens a sync, or goes on with the same one that a crash or Ctrl-C left open.

    An interrupted run of another order is left as it is: what it committed counts, but it
    does not answer for what is asked now.
    """
    recent = list(manifest.recent())
    # Only just after a seal are there none: a start never moves but back, so one is enough.
    runs = _runs(recent) or _runs(manifest.entries())
    starts = [date.fromisoformat(e.body["start"]) for e in runs]
    wanted = order.since or order.settings.start_date
    if wanted is None:
        wanted = min(starts, default=months_before(domain.today(), HISTORY_MONTHS))
    start = min([wanted, *starts])
    last = runs[-1] if runs else None
    if last is None or order.full or not _goes_on(last, order, start, recent):
        return Begun(open_run(manifest, start, order.asked, whole=order.whole), start, [])
    run_id = last.body["run"]
    _resume(manifest, last, order)
    mine = [e for e in recent if e.kind == "window" and e.body["run"] == run_id]
    number = max((e.body["number"] for e in mine), default=0)
    return Begun(run_id, start, [e for e in mine if e.body["complete"]], number)


def open_run(
    manifest: Manifest, start: date, asked: str, *, whole: bool = False, single: bool = False
) -> str:
    """Writes the beginning of a run: what was asked, in words, and whether that is all
    there is; ``single`` if it is one document only."""
    now = domain.utcnow()
    run_id = now.strftime("%Y%m%dT%H%M%S%fZ")
    body = {
        "run": run_id,
        "started_at": now.isoformat(),
        "start": start.isoformat(),
        "asked": asked,
        "whole": whole,
        "single": single,
    }
    manifest.append("run", body)
    return run_id


def _resume(manifest: Manifest, run: Entry, order: Order) -> None:
    """Notes where a run goes on: what came before is applied by now, as a merge of its own.

    What was begun in full and goes on without is neither the one nor the other.
    """
    asked = order.asked
    if run.body["asked"] != asked:
        asked = f"{asked}, begun in full"
    now = domain.utcnow().isoformat()
    manifest.append("resumed", {"run": run.body["run"], "asked": asked, "resumed_at": now})


def _goes_on(last: Entry, order: Order, start: date, recent: list[Entry]) -> bool:
    """Whether the last run was interrupted a little while ago and asked for the same."""
    ended = {e.body["run"] for e in recent if e.kind == "end"}
    interrupted = last in recent and last.body["run"] not in ended and _fresh(last)
    # What was read in full is as good for a run that asks for what is due.
    asked = str(last.body.get("asked", "")).removesuffix(IN_FULL)
    return interrupted and asked == order.asked and last.body["start"] == start.isoformat()


def _runs(entries: Iterable[Entry]) -> list[Entry]:
    return [e for e in entries if e.kind == "run" and not e.body["single"]]


def _fresh(run: Entry) -> bool:
    return domain.utcnow() - datetime.fromisoformat(run.body["started_at"]) < RESUMABLE


def _skip(done: Iterable[Entry]) -> Callable[[Window], bool]:
    committed = {_identity(e.body) for e in done}
    return lambda window: _identity(window.described) in committed


def _identity(body: dict[str, Any]) -> tuple[Any, ...]:
    names = ("stream", "company", "direction", "date_from", "date_to", "period", "undated")
    return tuple(body[name] for name in names)


def end(manifest: Manifest, run_id: str, entries: list[Entry], requests: int) -> None:
    """Closes a run in the manifest, with what it could not read whole."""
    missing = [f"{e.body['label']}: {e.body['reason']}" for e in entries if e.body["reason"]]
    manifest.append(
        "end",
        {
            "run": run_id,
            "finished_at": domain.utcnow().isoformat(),
            "complete": not missing,
            "requests": requests,
            "incomplete": "\n".join(missing) or None,
        },
    )
