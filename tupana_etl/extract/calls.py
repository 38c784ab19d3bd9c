"""How the manifest names an API call, for lineage."""

from __future__ import annotations

from typing import Any

from tupana_etl.api.client import Reply
from tupana_etl.api.pages import Page
from tupana_etl.domain import utcnow
from tupana_etl.errors import ApiError


def answered(call: str, reply: Reply, page: Page | None) -> dict[str, Any]:
    """A call whose answer came; ``page`` if it is one of a list."""
    return {
        "call": call,
        "path": reply.path,
        "status": reply.status,
        "request_id": reply.request_id,
        "page": page and page.number,
        "count": page and page.count,
        "newest_id": page and page.first_id,
        "rows": 1,
        "fetched_at": reply.fetched_at.isoformat(),
    }


def given_up(call: str, error: ApiError) -> list[dict[str, Any]]:
    """A call that failed for good; none if the error is not that of a call."""
    if error.path is None:
        return []
    return [
        {
            "call": call,
            "path": error.path,
            "status": error.status,
            "request_id": error.request_id,
            "page": None,
            "count": None,
            "newest_id": None,
            "rows": 0,
            "fetched_at": utcnow().isoformat(),
            "error": str(error),
        }
    ]
