"""A company's list at Tu Pana, read whole or not believed: what is not in half a list may be
in the other half."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import TypeVar

from tupana_etl.api.pages import read_pages
from tupana_etl.domain import canonical_rut
from tupana_etl.errors import ApiError, Fatal
from tupana_etl.outbox import failpoints
from tupana_etl.outbox.run import Run

T = TypeVar("T")


async def whole(
    run: Run,
    entity: str,
    path: str,
    read: Callable[[bytes], dict[str, T] | None],
    *,
    what: str,
    params: Mapping[str, str] | None = None,
) -> dict[str, T] | None:
    """Everything in a company's list, by id; None, and the run says why, when not all of it.

    ``read`` gives a page's rows by id, or None when one of them is something else; ``what``
    names them.
    """
    company = run.companies.get(canonical_rut(entity) or entity)
    if company is None:
        run.hold(entity, "the key does not see this company, so nothing is sent for it.")
        return None
    failpoints.hit("lookup.before")
    found: dict[str, T] = {}
    count = 0
    try:
        asked = {"master_entity_id": company, **(params or {})}
        async with aclosing(read_pages(run.client, path, asked, company=entity)) as pages:
            async for page in pages:
                count = max(count, page.count or 0)
                rows = read(page.rows)
                if rows is None:
                    unread(run, entity, what, "the list holds something else")
                    return None
                found |= rows
    except Fatal:
        raise
    except ApiError as error:
        unread(run, entity, what, str(error))
        return None
    if len(found) < count:
        unread(run, entity, what, "the list changed while it was read")
        return None
    return found


def unread(run: Run, entity: str, what: str, why: str) -> None:
    """Says that a list says nothing now."""
    run.notice(f"The {what} of company {entity} could not be read, nothing follows: {why}")
