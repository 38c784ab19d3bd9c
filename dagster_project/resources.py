"""Where the data come from: the account of TUPANA_API_KEY, or a sandbox when there is no key."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dagster as dg
from pydantic import Field

from tupana_etl import settings as configuration
from tupana_etl.errors import ConfigError, Retriable, TupanaError
from tupana_etl.home import prepare
from tupana_etl.sandbox.server import DEMO_KEY, World, running
from tupana_etl.settings import Settings

WRITER_POOL = "warehouse_writer"
"""Steps that open the warehouse; dagster.yaml lets one in at a time."""

RETRIES = 2
RETRY_SECONDS = 30


class TupanaResource(dg.ConfigurableResource[Any]):
    """Settings from the environment and `.env`, read when a step runs.

    There is no field for the key, so that none can be typed into the UI and kept in clear
    in its run storage: set TUPANA_API_KEY before starting Dagster.
    """

    demo_documents: int = Field(
        default=World().documents,
        description="Without a key: documents of the sandbox, when its world is first made.",
    )

    def settings(self) -> Settings:
        """The settings in effect: the demo's own home when there is no key."""
        return in_effect(configuration.load())

    @contextmanager
    def api(self) -> Iterator[Settings]:
        """Settings whose server answers: without a key a sandbox runs inside the block."""
        settings = self.settings()
        if settings.api_key:
            yield settings
            return
        for private in (settings.home.parent, settings.home):
            prepare(private)
        world = World(documents=self.demo_documents)
        with running(settings.home / "sandbox.sqlite", world) as url:
            yield replace(settings, base_url=url, api_key=DEMO_KEY)


def in_effect(settings: Settings) -> Settings:
    """Without a key, the demo: a home below the real one, and nothing else of the real one."""
    return settings if settings.api_key else Settings(home=settings.home / "demo")


def origin() -> str:
    """One sentence for people: whose data these are. Never the key; never raises."""
    try:
        settings = in_effect(configuration.load())
    except ConfigError as wrong:
        return f"Cannot run yet: {wrong}"
    if settings.api_key:
        return f"Real data: reads {settings.base_url} with your TUPANA_API_KEY."
    return "Demo data: no TUPANA_API_KEY is set, so a sandbox on this machine answers."


@contextmanager
def told() -> Iterator[None]:
    """An error for people becomes the step's failure, in its own one sentence.

    Tried again only if time may cure it: a server that is down, another run in the home.
    A retry policy on the step would also repeat a wrong key, and our own bugs.
    """
    try:
        yield
    except Retriable as error:
        raise dg.RetryRequested(RETRIES, RETRY_SECONDS) from error
    except TupanaError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
