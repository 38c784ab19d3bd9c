"""A sandbox, a home that syncs with it, and the comparison of one with the other."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tupana_etl.columns import Kind
from tupana_etl.domain import today
from tupana_etl.pipeline import SyncResult, sync
from tupana_etl.sandbox.server import DEMO_KEY, World, running
from tupana_etl.settings import Settings
from tupana_etl.streams import STREAMS

TODAY = today()
"""Worlds end with the day they are read, as the one of every user does: what a sync is due to
look at again depends on how old it is."""


@dataclass(frozen=True)
class Site:
    """A running sandbox and a home of its own."""

    url: str
    settings: Settings
    unpublished: bool = False
    """Runs stop at the warehouse, and queries look there."""

    def sync(self, *streams: str, **options: Any) -> SyncResult:
        return sync(self.settings, streams, **{"marts": not self.unpublished, **options})

    def admin(self, action: str, **body: Any) -> Any:
        answer = _HTTP.post(f"{self.url.removesuffix('/v1')}/_admin/{action}", json=body)
        answer.raise_for_status()
        return answer.json()

    def truth(self, stream: str) -> list[dict[str, Any]]:
        answer = _HTTP.get(f"{self.url.removesuffix('/v1')}/_admin/truth/{stream}")
        rows: list[dict[str, Any]] = answer.json()["rows"]
        return rows

    def look(self, what: str) -> dict[str, Any]:
        answer = _HTTP.get(f"{self.url.removesuffix('/v1')}/_admin/{what}")
        found: dict[str, Any] = answer.json()
        return found

    def stats(self) -> dict[str, Any]:
        return self.look("stats")

    @contextmanager
    def tables(self) -> Iterator[duckdb.DuckDBPyConnection]:
        file = self.settings.warehouse if self.unpublished else self.settings.analytics
        with duckdb.connect(str(file), read_only=True) as con:
            con.execute("SET TimeZone = 'UTC'")
            yield con

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.tables() as con:
            return con.execute(sql).fetchall()

    def with_settings(self, **changes: Any) -> Site:
        return replace(self, settings=replace(self.settings, **changes))


_KEY = {"Authorization": f"Api-Key {DEMO_KEY}"}
_HTTP = httpx.Client(headers=_KEY, timeout=60)
"""One for all: each client of its own would load the certificates again, at 50 ms."""


@contextmanager
def site(folder: Path, **world: Any) -> Iterator[Site]:
    """A sandbox with a world of its own, and an empty home, below ``folder``."""
    shape = {"documents": 200, "months": 6, "today": TODAY, **world}
    # From where the world begins, whatever day it is read: the default is 24 months before today.
    start = TODAY.replace(day=1) - timedelta(days=31 * shape["months"] + 4)
    with running(folder / "world.sqlite", World(**shape)) as url:
        yield Site(
            url,
            Settings(api_key=DEMO_KEY, base_url=url, home=folder / "home", start_date=start),
        )


@contextmanager
def unpublished(folder: Path, **world: Any) -> Iterator[Site]:
    """A site for what is read, not what is made of it: the models would cost most of the time."""
    with site(folder, **world) as here:
        yield replace(here, unpublished=True)


Change = Callable[[Request, Any], tuple[int, Any]]
"""Gets a request and the JSON that answers it; gives the status and JSON to send on."""


@contextmanager
def tampered(here: Site, change: Change) -> Iterator[Site]:
    """The same site behind a proxy that changes answers on their way."""
    upstream = httpx.AsyncClient(base_url=here.url.removesuffix("/v1"), timeout=30)

    async def forward(request: Request) -> JSONResponse:
        answer = await upstream.get(request.url.path, params=request.query_params, headers=_KEY)
        # Links in the answer name the server behind; a proxy that is one names itself.
        text = answer.text.replace(here.url, f"{request.base_url}v1")
        if answer.is_error:
            return JSONResponse(json.loads(text), answer.status_code)
        status, body = change(request, json.loads(text))
        return JSONResponse(body, status)

    app = Starlette(routes=[Route("/{path:path}", forward)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield here.with_settings(base_url=f"http://127.0.0.1:{port}/v1")
    finally:
        server.should_exit = True
        thread.join()


def differences(here: Site) -> dict[str, list[Any]]:
    """Per stream, rows of the truth that the tables lack and the other way round."""
    with here.tables() as con:
        compared = {name: _compared(con, name, here.truth(name)) for name in STREAMS}
    return {name: rows for name, rows in compared.items() if rows}


def _compared(con: duckdb.DuckDBPyConnection, name: str, truth: list[dict[str, Any]]) -> list[Any]:
    """A few rows that the table lacks, ``"|"``, a few that are too many; empty when equal."""
    if not truth:
        (count,) = con.sql(f"SELECT count(*) FROM raw.{name}").fetchall()[0]
        return ["|", f"{count} rows, none true"] if count else []
    columns = list(truth[0])
    names = ", ".join(f'"{c}"' for c in columns)
    ours = con.execute(f"SELECT {names} FROM raw.{name} WHERE _deleted_at IS NULL").fetchall()
    true = sorted((tuple(_exact(name, c, r[c]) for c in columns) for r in truth), key=repr)
    mine = sorted(
        (tuple(_exact(name, c, v) for c, v in zip(columns, row, strict=True)) for row in ours),
        key=repr,
    )
    if true == mine:
        return []
    lacking, extra = set(true) - set(mine), set(mine) - set(true)
    return [*list(lacking)[:3], "|", *list(extra)[:3]]


def _exact(stream: str, column: str, value: Any) -> Any:
    if value is None:
        return None
    match STREAMS[stream].by_name[column].kind:
        case Kind.MONEY | Kind.QUANTITY:
            return Decimal(str(value)).normalize()
        case Kind.TIME:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
            return moment.astimezone(UTC)
        case Kind.DATE:
            return date.fromisoformat(value) if isinstance(value, str) else value
        case Kind.INT:
            return int(value)
    return value


def versions(here: Site) -> dict[str, int]:
    """Rows of every history table: grows exactly by what changed."""
    return {name: here.query(f"SELECT count(*) FROM history.{name}")[0][0] for name in STREAMS}
