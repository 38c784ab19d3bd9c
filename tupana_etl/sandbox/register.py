"""SII's register of claims and acknowledgments (Ley 19.983): what it takes, and when."""

from __future__ import annotations

from datetime import datetime, timedelta

from tupana_etl.sandbox.model import ACKNOWLEDGE_CODES, CLAIM_CODES, Document, Event
from tupana_etl.sandbox.render import EIGHT_DAYS

_NO_CREDIT = frozenset({"1", "3"})
"""Paid at once, or free of charge."""


def refusal(document: Document, code: str, at: datetime) -> str | None:
    """Why SII does not take an event of the receiver, None when it does."""
    if not document.has_trace or document.received_at is None:
        return "el documento no está en el registro de reclamos"
    if document.payment_method in _NO_CREDIT:
        return "el documento es al contado o gratuito"
    if at > document.received_at + EIGHT_DAYS:
        return "pasaron los 8 días desde la recepción"
    return _standing(code, {e.code for e in document.events})


def _standing(code: str, codes: set[str]) -> str | None:
    """What stands in the register against one event more (SII, web service v1.2)."""
    if code in codes:
        return "el evento ya fue registrado"
    if code in ACKNOWLEDGE_CODES and codes & CLAIM_CODES:
        return "el documento ya fue reclamado"
    if code in CLAIM_CODES and codes & ACKNOWLEDGE_CODES:
        return "el documento ya fue aceptado"
    return None


def add(document: Document, code: str, at: datetime | None = None) -> None:
    """Registers an event of the receiver, after whatever happened last."""
    if document.received_at is None:
        raise ValueError(f"document {document.id} was never received")
    # A second later: two events never share a moment.
    last = max([document.received_at, *(e.at for e in document.events)]) + timedelta(seconds=1)
    when = last if at is None else max(last, at.replace(microsecond=0))
    body, digit = document.receiver.rut.split("-")
    document.events.append(Event(code, when, body, digit))
    document.updated_at = max(document.updated_at, when) + timedelta(seconds=1)
