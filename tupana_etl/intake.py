"""The reading half of a sync: every window that is due, a few at a time, into the lake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from tupana_etl import domain, home
from tupana_etl.api.client import Client
from tupana_etl.api.pages import Page
from tupana_etl.api.reads import Company, companies, resolve
from tupana_etl.errors import ApiError, ConfigError
from tupana_etl.extract import Extraction, cut, extract
from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.reading import OnRows, Stale
from tupana_etl.settings import Settings
from tupana_etl.streams import Stream
from tupana_etl.windows import Window, months_before, slices

HISTORY_MONTHS = 24
"""How far back the first sync reads when no start date is set."""

RESUMABLE = timedelta(hours=24)
"""An interrupted run older than this is begun anew: what it read has aged."""

Part = tuple[Window, Page | ApiError | None]


@dataclass(frozen=True)
class Order:
    """What one sync was asked for."""

    settings: Settings
    streams: list[Stream]
    entity: str | None = None
    since: date | None = None
    full: bool = False


@dataclass
class Taken:
    """What one sync read."""

    run_id: str
    entries: list[Entry] = field(default_factory=list)
    unknown_fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    requests: int = 0


@dataclass(frozen=True)
class _Begun:
    """A run that is open in the manifest, perhaps since before a crash."""

    run_id: str
    start: date
    done: list[Entry]


async def take_in(order: Order, manifest: Manifest, stale: Stale, on_rows: OnRows) -> Taken:
    """Reads every due window and commits it. Windows that fail are committed as incomplete.

    Raises AuthError, OriginError, ConfigError and what :func:`companies` raises before
    anything is written; later only AuthError or an error of the disk.
    """
    settings, today = order.settings, domain.today()
    async with Client(settings) as client:
        home.check_origin(settings, [c.rut for c in await companies(client)])
        chosen = await _companies(order, client)
        begun = _begin(order, manifest, today)
        work = Extraction(
            client,
            settings.lake,
            manifest,
            begun.run_id,
            stale,
            on_rows,
            windows=max((e.body["number"] for e in begun.done), default=0),
        )
        due = [w for s in order.streams for w in slices(s, chosen, begun.start, today)]
        read = await _read(work, due, _skip(begun.done), today)
        entries = [*begun.done, *read]
        _end(manifest, begun.run_id, entries, client.requests)
        unknown = {name: d.unknown for name, d in work.decoders.items() if d.unknown}
        return Taken(begun.run_id, entries, unknown, client.requests)


async def _companies(order: Order, client: Client) -> list[Company]:
    wanted = (order.entity,) if order.entity else order.settings.entities
    chosen = await resolve(client, wanted)
    if not chosen:
        raise ConfigError(
            "The key sees no company: none of its credentials is valid. Enrol or renew one "
            "in Tu Pana, then run again. Nothing was written."
        )
    return chosen


async def _read(
    work: Extraction, due: list[Window], skip: Callable[[Window], bool], today: date
) -> list[Entry]:
    """Newest work first: the parts of a window just cut go before other windows, so that
    only a few first pages wait in memory."""
    waiting: list[Window | Part] = [w for w in reversed(due) if not skip(w)]
    entries: list[Entry] = []

    async def worker() -> None:
        while waiting:
            item = waiting.pop()
            if isinstance(item, Window):
                parts = await cut(work, item, today)
                waiting.extend(part for part in reversed(parts) if not skip(part[0]))
            else:
                entries.append(await extract(work, *item))

    async with asyncio.TaskGroup() as group:
        for _ in range(work.client.max_concurrency):
            group.create_task(worker())
    return entries


def _begin(order: Order, manifest: Manifest, today: date) -> _Begun:
    """Opens a run, or goes on with the one that a crash or Ctrl-C left open."""
    runs = [e for e in manifest.entries() if e.kind in ("run", "end")]
    starts = [date.fromisoformat(e.body["start"]) for e in runs if e.kind == "run"]
    wanted = order.since or order.settings.start_date
    if wanted is None:
        wanted = min(starts, default=months_before(today, HISTORY_MONTHS))
    start = min([wanted, *starts])
    last = runs[-1] if runs else None
    if last and last.kind == "run" and not order.full and _fresh(last) and starts[-1] == start:
        run_id = last.body["run"]
        done = [e for e in manifest.entries(last.seq) if e.body["run"] == run_id]
        return _Begun(run_id, start, [e for e in done if e.body["complete"]])
    now = domain.utcnow()
    run_id = now.strftime("%Y%m%dT%H%M%S%fZ")
    manifest.append(
        "run", {"run": run_id, "started_at": now.isoformat(), "start": start.isoformat()}
    )
    return _Begun(run_id, start, [])


def _fresh(run: Entry) -> bool:
    return domain.utcnow() - datetime.fromisoformat(run.body["started_at"]) < RESUMABLE


def _skip(done: Iterable[Entry]) -> Callable[[Window], bool]:
    committed = {_identity(e.body) for e in done}
    return lambda window: _identity(window.described) in committed


def _identity(body: dict[str, Any]) -> tuple[Any, ...]:
    names = ("stream", "company", "direction", "date_from", "date_to", "period")
    return tuple(body[name] for name in names)


def _end(manifest: Manifest, run_id: str, entries: list[Entry], requests: int) -> None:
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
