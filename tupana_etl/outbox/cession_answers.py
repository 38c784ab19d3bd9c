"""What the API says of cessions: in its answer, of a batch, in its list. Two contracts.

Until 2026-04 the answer itself names each document; since 2026-08 the batch does. A cession
is listed once SII has confirmed it (API reference, GET /cessions).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec

from tupana_etl.domain import canonical_rut
from tupana_etl.outbox.rows import Intent

_OBJECT = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_ROWS = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)

LIVE = frozenset({"success", "processing"})
"""Statuses of a cession that stands, or may."""


@dataclass(frozen=True)
class Listed:
    """A cession as the list shows it."""

    id: str
    document_id: str
    assignee_rut: str | None
    """Canonical."""
    amount: Decimal | None
    status: str
    is_external: bool
    """Made elsewhere than at Tu Pana."""
    at: str
    """When SII had it, else when it was recorded: ISO 8601."""


def listed(rows: bytes) -> list[Listed] | None:
    """The rows of a page of GET /cessions; None when one is no cession."""
    try:
        found = [_listed(row) for row in _ROWS.decode(rows)]
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        return None
    return [each for each in found if each is not None] if None not in found else None


def _listed(row: Mapping[str, Any]) -> Listed | None:
    if row.get("id") in (None, "") or row.get("document_id") in (None, ""):
        return None
    amount = row.get("assignment_amount")
    rut = row.get("assignee_rut") or row.get("assignee_tax_id")
    return Listed(
        id=str(row["id"]),
        document_id=str(row["document_id"]),
        assignee_rut=(canonical_rut(rut) or rut) if isinstance(rut, str) else None,
        amount=None if amount is None else Decimal(amount),
        status=str(row.get("status") or "").lower(),
        is_external=row.get("source") == "external",
        at=str(row.get("sii_date_sent") or row.get("created_at") or ""),
    )


def refused(answer: bytes, intents: Sequence[Intent]) -> dict[int, str]:
    """Rows that an answer names as not ceded, by their id in the ledger, with its words."""
    body = _object(answer)
    told: dict[str, str] = {}
    for name, key in (("errors", "document_id"), ("invalid_documents", "id")):
        for each in _objects(body.get(name)):
            told[f"id {each.get(key)}"] = str(each.get("error") or body.get("error") or name)
    for each in _objects(body.get("aec_results")):
        if each.get("status") == "failed":
            told[f"folio {each.get('folio')}"] = str(each.get("error") or "SII refused it")
    found = {i.id: told.get(f"id {i.document_id}", told.get(f"folio {i.folio}")) for i in intents}
    return {row_id: words for row_id, words in found.items() if words}


def statuses(body: bytes) -> dict[str, tuple[str, str]]:
    """Per document id, its status in a batch and the error's words."""
    return {
        str(each.get("document_id")): (
            str(each.get("status") or "").lower(),
            str(each.get("error_message") or "SII refused it"),
        )
        for each in _objects(_object(body).get("batch_cessions"))
    }


def _object(body: bytes) -> dict[str, Any]:
    try:
        return _OBJECT.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
