from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tupana_etl.sandbox.server import World, running

from .helpers import SMALL, TODAY, client, post


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One world for all tests that only look."""
    with running(tmp_path_factory.mktemp("world") / "world.sqlite", SMALL) as url:
        yield url


@pytest.fixture(scope="session")
def api(base: str) -> Iterator[httpx.Client]:
    with client(base) as opened:
        yield opened


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A small world to issue in, shared by a file's tests: see ``issuing``."""
    world = World(documents=80, companies=2, months=6, seed=3, today=TODAY)
    path = tmp_path_factory.mktemp("desk") / "world.sqlite"
    with running(path, world) as url, client(url) as opened:
        yield opened


@pytest.fixture
def issuing(desk: httpx.Client) -> httpx.Client:
    """The shared world as if nothing had ever been issued in it."""
    post(desk, "/_admin/reset")
    return desk


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[httpx.Client]:
    """A world of its own, to be changed."""
    world = World(documents=80, companies=2, months=6, seed=3, today=TODAY)
    with running(tmp_path / "fresh.sqlite", world) as url, client(url) as opened:
        yield opened
