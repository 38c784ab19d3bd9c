"""What a sync would read, without reading it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby

from tupana_etl import domain, home
from tupana_etl.api.client import Client
from tupana_etl.api.reads import companies
from tupana_etl.errors import CompanyRefused, NotFound
from tupana_etl.extract.intake import HISTORY_MONTHS, Order, chosen_companies
from tupana_etl.extract.listing import PAGE_SIZE, count
from tupana_etl.extract.windows import Window, months_before, slices


@dataclass(frozen=True)
class Ahead:
    """What one sync would read of one stream of one company."""

    stream: str
    entity: str
    """RUT; empty for streams that are not read by company."""
    rows: int | None
    """Rows the API announces; None where it announces none."""
    requests: int
    """Requests for the lists, if nothing has to be read twice; details come on top."""
    refused: str = ""
    """What the API said, if the key may not see this company."""


async def look_ahead(order: Order) -> list[Ahead]:
    """One entry per stream and company. Writes nothing, not even whose home this is."""
    async with Client(order.settings) as client:
        visible = await companies(client)
        home.check_origin(order.settings, [c.rut for c in visible], pin=False)
        chosen = await chosen_companies(order, client)
        today = domain.today()
        start = order.since or order.settings.start_date or months_before(today, HISTORY_MONTHS)
        windows = [w for stream in order.streams for w in slices(stream, chosen, start, today)]
        parts = groupby(windows, lambda w: (w.stream.name, w.rut or ""))
        groups = [(stream, rut, list(found)) for (stream, rut), found in parts]
        return await asyncio.gather(*(_ahead(client, s, r, ws, start) for s, r, ws in groups))


async def _ahead(
    client: Client, stream: str, rut: str, windows: list[Window], start: date
) -> Ahead:
    if not windows[0].stream.paged:
        return Ahead(stream, rut, None, len(windows))
    dated = "window" in windows[0].stream.slices
    asked = [replace(w, date_from=start) if dated else w for w in windows]
    try:
        counts = [found or 0 for found in await asyncio.gather(*(count(client, w) for w in asked))]
    except NotFound:  # an endpoint that this contract does not have
        return Ahead(stream, rut, None, 0)
    except CompanyRefused as error:
        return Ahead(stream, rut, None, 0, str(error))
    return Ahead(stream, rut, sum(counts), sum(max(1, -(-n // PAGE_SIZE)) for n in counts))
