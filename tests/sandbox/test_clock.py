"""Three days later: what the calendar and the vendor's jobs change, and nothing else."""

from __future__ import annotations

from typing import Any

import httpx

from tupana_etl.streams import STREAMS

from .helpers import Row, companies, every_document, get, post, truth

VOLATILE = frozenset(
    {
        *("is_more_than_eight_days", "days_until_executive_merit"),
        *("executive_merit_alert_level", "trace_update_log", "pdf", "scraped_at"),
        *("last_status_code", "last_sent_at", "success_rate", "last_delivery"),
    }
)


def still(value: Any) -> Any:
    """A value without what may change by itself."""
    if isinstance(value, dict):
        return {k: still(v) for k, v in value.items() if k not in VOLATILE}
    return [still(v) for v in value] if isinstance(value, list | tuple) else value


def everything(api: httpx.Client) -> dict[str, Any]:
    asked = {"include_trace_events": "true", "include_book_metadata": "true"}
    rows: list[tuple[int, str, Row]] = every_document(api, **asked)
    own = companies(api)
    return {
        "documents": rows,
        "details": [get(api, f"/documents/{row['id']}") for _, _, row in rows[:20]],
        "webhooks": get(api, "/webhooks"),
        "books": [get(api, "/book-summaries", master_entity_id=c, period="202610") for c in own],
        "sync": [get(api, "/sync-status", master_entity_id=c) for c in own],
        "truth": {name: truth(api, name) for name in STREAMS},
    }


def test_only_volatile_fields_move(fresh: httpx.Client) -> None:
    before = everything(fresh)
    assert post(fresh, "/_admin/clock", days=3)["today"] == "2026-11-23"
    after = everything(fresh)
    assert still(after) == still(before)
    for name in ("documents", "webhooks", "books"):
        assert after[name] != before[name]
    assert after["sync"] == before["sync"]
    changed = [
        (a["traces"][0], b["traces"][0], b["trace_update_log"], a["trace_update_log"])
        for (_, _, a), (_, _, b) in zip(before["documents"], after["documents"], strict=True)
        if a["traces"]
    ]
    assert all(x != y for _, _, x, y in changed)
    for name in ("days_until_executive_merit", "is_more_than_eight_days"):
        assert any(a[name] != b[name] for a, b, _, _ in changed)


def test_the_clock_goes_on_from_there(fresh: httpx.Client) -> None:
    post(fresh, "/_admin/clock", days=20)
    (made,) = post(fresh, "/_admin/add", company=companies(fresh)[0])["document_ids"]
    assert get(fresh, f"/documents/{made}")["date_issued"] == "2026-12-10"
    for bad in (0, -1, "x", None):
        assert fresh.post("/_admin/clock", json={"days": bad}).status_code == 400
