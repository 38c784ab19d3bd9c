"""Documents as the API's JSON, rendered once and kept as fragments.

An answer is these fragments joined, so that a page of a hundred rows costs no more than
reading them. Each fragment but the first starts with its comma; none has braces.
Field names and types: the vendor's published schema and its known exceptions
(``deviations``).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from tupana_etl.domain import DTE_TYPES, IVA_PERCENT, SANTIAGO
from tupana_etl.sandbox import books, dates
from tupana_etl.sandbox.model import EVENT_NAMES, Document, Event, Line, Reference

EIGHT_DAYS = timedelta(days=8)


class Bodies(NamedTuple):
    lean: str
    """The seven fields every contract lists."""
    trace_info: str
    """has_trace and latest_trace_info, listed since 2026-08."""
    rest: str
    """What the detail says beyond them, but for the next."""
    log: str
    """When Tu Pana last asked SII about it: changes by itself every day."""
    traces: str
    book: str


def bodies(document: Document, today: date) -> Bodies:
    """The JSON fragments of a document as seen on a day (the calendar moves some fields)."""
    trace = _trace(document, today) if document.has_trace else None
    return Bodies(
        lean(document),
        fragment({"has_trace": document.has_trace, "latest_trace_info": _summary(trace)}),
        fragment(_rest(document)),
        fragment({"trace_update_log": _update_log(document, today)}),
        fragment({"traces": [] if trace is None else [trace]}),
        fragment({"book_metadata": books.metadata(document)}),
    )


def lean(document: Document) -> str:
    """The seven fields every contract lists, as the inside of a JSON object."""
    return fragment(_lean(document))[1:]


def fragment(values: dict[str, Any]) -> str:
    """A JSON object's inside, after a comma."""
    return "," + msgspec.json.encode(values).decode()[1:-1]


def utc(at: datetime | None) -> str | None:
    """``2026-04-01T12:33:21.123456Z``"""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def local(at: datetime) -> str:
    """``2026-04-01T09:33:21-03:00``"""
    return at.astimezone(SANTIAGO).isoformat()


def events(document: Document) -> list[dict[str, Any]]:
    """Events newest first."""
    return [_event(e) for e in reversed(document.events)]


def number(amount: Decimal | None) -> float | None:
    """Amounts are JSON floats: ``119000.0``."""
    return None if amount is None else float(amount)


def _lean(d: Document) -> dict[str, Any]:
    return {
        "id": d.id,
        "folio": d.folio,
        "date_issued": d.issued_on,
        "amount_with_iva": number(d.total),
        "dte_type_code": d.dte_type,
        "created_at": utc(d.created_at),
        "updated_at": utc(d.updated_at),
    }


def _rest(d: Document) -> dict[str, Any]:
    loaded = d.xml is not None
    return {
        "amount_iva": number(d.iva),
        "amount_without_iva": number(d.net),
        "currency": d.currency,
        "sender_id": d.sender.id,
        "sender_name": d.sender.name,
        "sender_tax_id": d.sender.rut,
        "receiver_id": None if d.receiver.id is None else str(d.receiver.id),
        "receiver_name": d.receiver.name,
        "receiver_tax_id": d.receiver.rut,
        "dte_type_description": DTE_TYPES[d.dte_type].name if d.dte_type in DTE_TYPES else None,
        "state": d.state,
        "is_paid": d.is_paid,
        "has_credit_note": d.has_credit_note,
        "vat_withheld": d.vat_withheld,
        "exchange_rate": None if d.exchange_rate is None else str(d.exchange_rate),
        "original_amount": None if d.exchange_rate is None else str(d.total),
        "json_param": None if d.json_param is None else msgspec.Raw(d.json_param.encode()),
        "header": _header(d),
        "document_issuer": {"rut": d.sender.rut, "business_name": d.sender.name},
        "document_receiver": {"rut": d.receiver.rut, "business_name": d.receiver.name},
        "document_total": totals(d),
        "details": None if loaded else [line(x) for x in d.lines],
        "references": None if loaded else [_reference(x) for x in d.references],
        "document_states": _labels(d),
        "xml_error": None,
        **({"is_sandbox": True} if d.is_sandbox else {}),
    }


def _header(d: Document) -> dict[str, Any]:
    return {
        "payment_method": d.payment_method,
        "due_date": d.due_date.isoformat() if d.due_date else None,
        "purchase_transaction_type": "1" if d.dte_type in {"33", "34", "46"} else None,
        "sale_transaction_type": "1" if d.dte_type in {"33", "34"} else None,
        "vat_withheld": d.vat_withheld,
        "retention_type": d.retention_type,
        "purchase_type": None,
    }


def totals(d: Document) -> dict[str, Any]:
    return {
        "net_amount": number(d.net),
        "exempt_amount": number(d.exempt),
        "iva_rate": float(IVA_PERCENT) if d.iva else None,
        "iva_amount": number(d.iva),
        "total_amount": number(d.total),
        "retention_amount": number(d.retention),
    }


def line(told: Line) -> dict[str, Any]:
    code = told.item_type_code
    return {
        "line_number": _number_or_none(told.line_number),
        "item_name": told.item_name,
        "item_description": told.item_description,
        "item_code": told.item_code,
        "item_type_code": int(code) if code is not None and code.isdigit() else code,
        "quantity": _number_or_none(told.quantity),
        "unit": told.unit,
        "unit_price": _float_or_none(told.unit_price),
        "discount_percent": _float_or_none(told.discount_percent),
        "other_tax": None,
        "is_exempt": told.is_exempt,
        "item_total": _float_or_none(told.item_total),
    }


def _number_or_none(text: str | None) -> float | int | None:
    if text is None:
        return None
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _float_or_none(text: str | None) -> float | None:
    return None if text is None else float(text)


def _reference(reference: Reference) -> dict[str, Any]:
    """Tax documents by integer folio, orders by text folio and an integer type."""
    folio, kind = reference.reference_folio or "", reference.dte_type_code
    is_order = kind == "801"
    return {
        "reference_folio": int(folio) if folio.isdigit() and not is_order else folio,
        "reference_date": reference.reference_date,
        "reference_reason": reference.reference_reason,
        "dte_type_code": 801 if is_order else kind,
    }


def _labels(d: Document) -> list[dict[str, str]]:
    told = (
        (d.is_paid, "Pagado", "paid"),
        (d.has_credit_note, "Con nota de crédito", "credit_note"),
        (d.has_claims, "Reclamado", "rejected"),
        (d.has_acknowledgments, "Con acuse", "acknowledged"),
    )
    return [
        {"label": label, "description": f"Documento {label.lower()}", "state_type": kind}
        for holds, label, kind in told
        if holds
    ]


def _update_log(d: Document, today: date) -> dict[str, Any] | None:
    if not d.has_trace:
        return None
    asked = dates.end_of(today) - timedelta(seconds=d.id % 7200)
    return {"updated_at": utc(asked), "status": "success"}


def _trace(d: Document, today: date) -> dict[str, Any]:
    if d.received_at is None:
        raise ValueError(f"document {d.id} has a trace but no reception")
    merit = (d.due_date or dates.local_day(d.received_at) + timedelta(days=30)) - today
    left = None if d.is_paid_cash or d.has_claims else max(merit.days, 0)
    return {
        "date_reception": local(d.received_at),
        "has_receiver_access": False,
        "has_issuer_access": True,
        "has_holder_access": False,
        "is_paid_cash": d.is_paid_cash,
        "has_claims": d.has_claims,
        "is_more_than_eight_days": d.received_at + EIGHT_DAYS < dates.end_of(today),
        "has_acknowledgments": d.has_acknowledgments,
        "has_guide_reference": None,
        "is_rejected": d.has_claims,
        "days_until_executive_merit": left,
        "executive_merit_alert_level": _alert(left),
        "events": events(d),
    }


def _alert(days_left: int | None) -> str:
    if days_left is None or days_left > 7:
        return "none"
    return "warning" if days_left > 0 else "critical"


def _summary(trace: dict[str, Any] | None) -> dict[str, Any] | None:
    if trace is None:
        return None
    reception = datetime.fromisoformat(trace["date_reception"])
    kept = ("has_acknowledgments", "has_claims", "is_more_than_eight_days", "is_rejected")
    return {
        **{name: trace[name] for name in kept},
        "date_reception": utc(reception),
        "events_count": len(trace["events"]),
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "event_code": event.code,
        "event_description": EVENT_NAMES[event.code],
        "event_date": local(event.at),
        "responsable_rut": int(event.responsable_rut),
        "responsable_dv": event.responsable_dv,
    }
