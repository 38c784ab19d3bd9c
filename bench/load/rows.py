"""Documents rendered once, each as wide as the next, newest first.

Equal width makes a page one slice of the file, whatever filter chose it: no index, no
rendering, and two million documents cost the server no memory of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

COMPANY_ID = 2205607
COMPANY_RUT = "76086428-5"
FIRST_ID = 10_000_000
SPAN = timedelta(days=700)
"""Time the documents are spread over: inside what a first sync reads."""

WIDTH = {True: 1984, False: 1528}
"""Bytes of a document with its comma, with and without traces."""

PAID, UNPAID = b'"is_paid":true ', b'"is_paid":false'
"""As wide as each other, so that a document is paid in place."""

_GOODS = (
    *("Servicio de mantención preventiva mensual", "Flete Santiago a Concepción, 28 pallets"),
    *("Asesoría contable y tributaria", "Arriendo de grúa horquilla 2.5 toneladas"),
    *("Licencias de software, plan anual", "Papel multipropósito carta, caja de 10 resmas"),
)


def moment(number: int, documents: int, today: date) -> datetime:
    """When document ``number`` (0 is the newest) was issued and stored, UTC."""
    newest = datetime(today.year, today.month, today.day, 6, tzinfo=UTC)
    return newest - SPAN * (number / documents)


def id_of(number: int, documents: int) -> int:
    return FIRST_ID + documents - number


def document(number: int, documents: int, today: date, *, traces: bool) -> dict[str, Any]:
    """One issued document as the API lists it since 2026-08."""
    at = moment(number, documents, today)
    day, stored = at.date().isoformat(), at.isoformat().replace("+00:00", "Z")
    draw = (number + 1) * 2_654_435_761 % 2**32
    net = 10_000 + draw % 5_000_000
    exempt = draw % 5 == 0
    iva = 0 if exempt else (net * 19 + 50) // 100
    half, buyer = net // 2, 500 + draw % 800
    name = f"Comercial e Industrial {buyer} SpA"
    parties = {"sender_name": "Distribuidora del Maipo Ltda", "receiver_name": name}
    totals = {"net_amount": float(net), "iva_amount": float(iva), "total_amount": float(net + iva)}
    return {
        "id": id_of(number, documents),
        "folio": str(documents - number),
        "date_issued": day,
        "amount_with_iva": float(net + iva),
        "amount_without_iva": float(net),
        "amount_iva": float(iva),
        "dte_type_code": "34" if exempt else "33",
        "created_at": stored,
        "updated_at": stored,
        "currency": "CLP",
        "sender_id": COMPANY_ID,
        "sender_tax_id": COMPANY_RUT,
        "receiver_id": str(buyer),
        "receiver_tax_id": rut(77_000_000 + buyer),
        **parties,
        "dte_type_description": "Factura exenta" if exempt else "Factura electrónica",
        "state": "issued",
        "is_paid": draw % 3 == 0,
        "has_credit_note": False,
        "vat_withheld": None,
        "header": {
            "payment_method": "2",
            "due_date": (at + timedelta(days=30)).date().isoformat(),
        },
        "document_total": totals,
        "details": [
            _line(1, _GOODS[draw % 6], half),
            _line(2, _GOODS[draw // 7 % 6], net - half),
        ],
        "references": [
            {
                "reference_folio": f"OC-{draw % 100_000}",
                "reference_date": day,
                "reference_reason": "Orden de compra",
                "dte_type_code": "801",
            }
        ],
        "document_states": [{"label": "Con acuse", "state_type": "acknowledged"}],
        "has_trace": True,
        "latest_trace_info": {**_summary(at), "events_count": 2},
        **({"traces": [trace(at)]} if traces else {}),
        "book_metadata": {"in_sii_venta_book": True, "venta_loading_period": f"{at:%Y%m}"},
        "json_param": {"order": str(draw)},
    }


def _line(number: int, name: str, total: int) -> dict[str, Any]:
    return {
        "line_number": number,
        "item_name": name,
        "quantity": 1,
        "unit": "UN",
        "unit_price": float(total),
        "item_total": float(total),
    }


def _summary(at: datetime) -> dict[str, Any]:
    received = (at + timedelta(hours=3)).isoformat(timespec="seconds").replace("+00:00", "Z")
    told = {"has_acknowledgments": True, "has_claims": False, "is_rejected": False}
    return {"date_reception": received, **told}


def trace(at: datetime) -> dict[str, Any]:
    """The claim register's entry with its events."""
    return {**_summary(at), "events": events(at)}


def events(at: datetime) -> list[dict[str, Any]]:
    """Two events of SII's claim register, newest first."""
    told = (
        ("ACD", "Acepta contenido del documento", 4),
        ("ERM", "Otorga recibo de mercaderías", 2),
    )
    return [
        {
            "event_code": code,
            "event_description": text,
            "event_date": (at + timedelta(days=days)).isoformat(timespec="seconds"),
            "responsable_rut": 12_345_678,
            "responsable_dv": "5",
        }
        for code, text, days in told
    ]


def rut(body: int) -> str:
    """With its check digit, modulo 11."""
    rest = 11 - sum(int(d) * (2 + i % 6) for i, d in enumerate(reversed(str(body)))) % 11
    return f"{body}-{ {10: 'K', 11: '0'}.get(rest, rest) }"


def rendered(number: int, documents: int, today: date, *, traces: bool) -> bytes:
    """The document as compact JSON of exactly ``WIDTH`` bytes, its comma included."""
    told = document(number, documents, today, traces=traces)
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    text = text.replace(b'"is_paid":true,', PAID + b",")
    room = WIDTH[traces] - 1 - len(text)
    if room < 0:
        raise ValueError(f"document {number} is {-room} bytes too long: raise WIDTH")
    return text[:-1] + b" " * room + b"},"


def render(path: Path, documents: int, today: date, *, traces: bool) -> None:
    """Writes all documents, newest first; a file that is there is whole."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.writelines(_rows(documents, today, traces=traces))
    part.replace(path)


def _rows(documents: int, today: date, *, traces: bool) -> Iterator[bytes]:
    for number in range(documents):
        yield rendered(number, documents, today, traces=traces)
