"""One small world, one home that was synced from it, and the real command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tupana_etl.sandbox.server import World, running

from .runner import CANARY, Runner

WORLD = World(documents=200, companies=2, months=6, seed=5)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = tmp_path_factory.mktemp("cli-world") / "world.sqlite"
    with running(database, WORLD, key=CANARY) as url:
        yield url


@pytest.fixture(scope="session")
def synced(server: str, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """A command line whose home holds the whole world. For tests that only look."""
    folder = tmp_path_factory.mktemp("cli-synced")
    tupana = Runner(folder, server)
    done = tupana("sync")
    assert done.code == 0, done.err
    return tupana


@pytest.fixture
def tupana(server: str, tmp_path: Path) -> Runner:
    """A command line with an empty home."""
    return Runner(tmp_path, server)
