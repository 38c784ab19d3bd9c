"""The counts that close a listing: what the server says it holds once it was read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date

from tupana_etl.api.client import Client
from tupana_etl.errors import ApiError, AuthError
from tupana_etl.extract.listing import count
from tupana_etl.extract.turns import Asking
from tupana_etl.extract.windows import Window

Count = int | ApiError | None
"""Rows, why they are not told, or None where the server never tells."""


async def counted(client: Client, window: Window) -> Count:
    """How many rows the server says a window has."""
    try:
        return await count(client, window)
    except ApiError as error:
        return error


class Closing:
    """Asks the counts of a listing when the last page of its last window has come.

    Nothing the windows were read from is asked after them, so they prove the same as if
    they were asked later; but the last windows may still be decoded and written. A window
    that asks again, since it was torn or its rows lack something, makes them be asked again.
    """

    def __init__(self, client: Client, whole: Window, start: date) -> None:
        self._client = client
        self._asked = (replace(whole, date_from=start), whole)
        self._counts: asyncio.Task[list[Count]] | None = None
        self.asking = Asking(self._ask)

    def _ask(self) -> asyncio.Task[list[Count]]:
        self._stop()
        self._counts = asyncio.create_task(self._both())
        return self._counts

    async def _both(self) -> list[Count]:
        return list(await asyncio.gather(*(counted(self._client, w) for w in self._asked)))

    async def counts(self) -> tuple[Count, Count]:
        """Rows from the start date on, and all rows; windows must have been read.

        Raises AuthError.
        """
        since, everything = await (self._counts or self._ask())
        for error in (since, everything):
            if isinstance(error, AuthError):
                raise error
        return since, everything

    @contextmanager
    def open(self) -> Iterator[None]:
        """Asks nothing more when it is left: windows of a run that fails may go on for a moment."""
        try:
            yield
        finally:
            self.asking.close()
            self._stop()

    def _stop(self) -> None:
        if self._counts is not None:
            self._counts.cancel()
