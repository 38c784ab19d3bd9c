"""The vendor API on this machine: build a world, serve it over real HTTP."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import uvicorn

from tupana_etl import domain
from tupana_etl.errors import ConfigError
from tupana_etl.sandbox import bulk, extras, population, store
from tupana_etl.sandbox.app import application
from tupana_etl.sandbox.deviations import checked
from tupana_etl.sandbox.keys import DEMO_KEY, PRODUCTION_KEY, READER_KEY
from tupana_etl.sandbox.model import World
from tupana_etl.sandbox.web import Context
from tupana_etl.sandbox.world import generate

__all__ = ["DEMO_KEY", "PRODUCTION_KEY", "READER_KEY", "World", "build", "running", "serve"]

HOST = "127.0.0.1"
START_TIMEOUT = 20.0


def build(world: World, database: Path) -> None:
    """Creates the world in its SQLite file, or leaves the file that is there as it is.

    The same world with the same ``today`` is the same to the last byte of every answer; in
    one of the day it is built, SII was last read shortly before.
    """
    if database.exists():
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    content, copies = bulk.template(world) if bulk.is_bulk(world) else (generate(world), 1)
    if world.today is None:
        extras.read_until(content, domain.utcnow())
    unfinished = database.with_name(f"{database.name}.{os.getpid()}.building")
    unfinished.unlink(missing_ok=True)
    last = max((d.id for d in content.documents), default=480_000)
    meta = {
        "today": content.today.isoformat(),
        "seed": str(world.seed),
        "next_id": str(last + 1),
        "url_secret": f"{Random(world.seed).getrandbits(256):064x}",
    }
    store.create(unfinished, content, meta)
    if copies > 1:
        bulk.multiply(unfinished, world.documents, copies)
    unfinished.replace(database)


@contextmanager
def running(database: Path, world: World, *, port: int = 0, key: str = DEMO_KEY) -> Iterator[str]:
    """Serves in a daemon thread while the block runs; yields ``http://127.0.0.1:PORT/v1``."""
    build(world, database)
    with _bound(port) as listener, closing(_opened(database, world)) as connection:
        context = Context(connection, world, key)
        server = _server(context)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True
        )
        thread.start()
        try:
            _wait_started(server, thread)
            yield f"http://{HOST}:{listener.getsockname()[1]}/v1"
        finally:
            server.should_exit = True
            thread.join()
            context.postman.close()


def serve(database: Path, world: World, *, port: int, key: str = DEMO_KEY) -> None:
    """Serves in the foreground until Ctrl-C, which is raised again once all is closed."""
    build(world, database)
    with _bound(port) as listener, closing(_opened(database, world)) as connection:
        context = Context(connection, world, key)
        try:
            _server(context).run(sockets=[listener])
        finally:
            context.postman.close()


def _opened(database: Path, world: World) -> sqlite3.Connection:
    """The world's file, with what the world's deviations add to it."""
    checked(world.deviations)
    connection = store.connect(database)
    if "null_dates" in world.deviations:
        population.add_undated(connection)
    return connection


def _server(context: Context) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            application(context),
            log_level="warning",
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,  # the sandbox's own clock tells it
            timeout_graceful_shutdown=2,
        )
    )


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as taken:
        listener.close()
        raise ConfigError(f"Port {port} cannot be used: {taken.strerror}.") from None
    return listener


def _wait_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ConfigError("The sandbox did not start.")
        time.sleep(0.005)
