from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from tupana_etl.api.client import Client
from tupana_etl.api.wire import TIMEOUTS
from tupana_etl.settings import Settings

from .server import KEY, WEBHOOK_SECRET, Naps, Server, serving

MakeClient = Callable[..., Client]


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The module's server, as if just started."""
    running.seen.clear()
    running.handle, running.most = None, 0
    return running


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
def client_of(naps: Naps) -> MakeClient:
    """Makes clients that do not really wait between tries."""

    def make(
        base_url: str,
        *,
        most: int = 8,
        budget: int = 200,
        timeouts: httpx.Timeout = TIMEOUTS,
    ) -> Client:
        settings = Settings(
            api_key=KEY,
            base_url=base_url,
            max_concurrency=most,
            webhook_secrets=(WEBHOOK_SECRET,),
        )
        return Client(settings, retry_budget=budget, sleep=naps, timeouts=timeouts)

    return make
