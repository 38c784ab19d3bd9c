"""What a fault makes of a batch's answer: entries gone, added, moved, somebody else's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from tupana_etl.sandbox.faults import Fault


def _fewer(body: Any, _: Fault) -> Any:
    return _with_entries(body, lambda entries: entries[:-1])


def _more(body: Any, _: Fault) -> Any:
    def more(entries: list[Any]) -> list[Any]:
        return [*entries, {**_STRANGER, "index": len(entries)}]

    return _with_entries(body, more)


def _reordered(body: Any, _: Fault) -> Any:
    return _with_entries(body, lambda entries: entries[::-1])


def _shifted(body: Any, _: Fault) -> Any:
    def shifted(entries: list[Any]) -> list[Any]:
        return [{**e, "index": (e["index"] + 1) % len(entries)} for e in entries]

    return _with_entries(body, shifted)


def _with_entries(body: Any, change: Callable[[list[Any]], list[Any]]) -> Any:
    """A batch with its entries changed; any other answer stays."""
    if not isinstance(body, dict) or not isinstance(body.get("documents"), list):
        return body
    return {**body, "documents": change(body["documents"])}


def _other_batch(body: Any, _: Fault) -> Any:
    name = next((n for n in ("batch_id", "id") if n in body), None)
    return body if name is None else {**body, name: str(uuid.uuid4())}


def _foreign(body: Any, fault: Fault) -> Any:
    return {**_other_batch(body, fault), "idempotency_key": "k-9", "documents": [_STRANGER]}


_STRANGER = {
    "index": 0,
    "status": "success",
    "document": {
        "id": 77,
        "folio": "77",
        "date_issued": "2026-01-02",
        "amount_with_iva": 1190.0,
        "dte_type": {"code": "33", "description": "Factura electrónica"},
    },
    "errors": None,
}

CHANGES: dict[str, Callable[[Any, Fault], Any]] = {
    "fewer_entries": _fewer,
    "more_entries": _more,
    "reordered_entries": _reordered,
    "shifted_indexes": _shifted,
    "other_batch_id": _other_batch,
    "foreign_answer": _foreign,
}
