"""Credit and debit notes: each one adjusts an earlier invoice of the same issuer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from tupana_etl.sandbox import amounts, dates
from tupana_etl.sandbox.model import Document, Event, Reference

ANNULS = "ANULA DOCUMENTO DE LA REFERENCIA"
"""The reason Tu Pana asks of a credit note for the whole document (CodRef 1)."""

_REASONS = {
    "1": ANNULS,
    "2": "CORRIGE GIRO DEL RECEPTOR",
    "3": "DEVOLUCION PARCIAL DE MERCADERIA",
}


def make(rng: Random, base: list[Document], counts: dict[str, int], today: date) -> list[Document]:
    """Notes by date. CodRef 1 and 2 refer to one document; a document gets one note."""
    open_documents = [
        d for d in base if d.is_issued and d.dte_type in {"33", "34"} and d.date_issued < today
    ]
    types = [code for code, count in counts.items() for _ in range(count)]
    originals = rng.sample(open_documents, min(len(types), len(open_documents)))
    made = [_note(rng, t, o, today) for t, o in zip(types, originals, strict=False)]
    return sorted(made, key=lambda d: d.date_issued)


def _note(rng: Random, dte_type: str, original: Document, today: date) -> Document:
    code = "3" if dte_type == "56" else rng.choices("123", (45, 10, 45))[0]
    day = min(original.date_issued + timedelta(days=_delay(rng, code)), today)
    note = Document(0, dte_type, None, day, replace(original.sender), replace(original.receiver))
    note.payment_method = original.payment_method if dte_type == "56" else None
    _amount(rng, note, original, code)
    note.references = [
        Reference(
            original.folio,
            original.date_issued.isoformat(),
            code,
            _REASONS[code] if dte_type == "61" else "INTERESES POR MORA",
            original.dte_type,
        )
    ]
    received = dates.moment(rng, min(day + timedelta(days=rng.randint(0, 1)), today), today)
    note.received_at = max(received, original.received_at or received)
    note.created_at = note.updated_at = note.received_at + timedelta(
        seconds=rng.randint(1, 900), microseconds=rng.randint(1, 999_999)
    )
    if dte_type == "61":
        _mark(original, note, code)
    return note


def _delay(rng: Random, code: str) -> int:
    return rng.randint(0, 7) if code == "1" else rng.randint(2, 45)


def _amount(rng: Random, note: Document, original: Document, code: str) -> None:
    if code == "1":
        note.lines = [replace(line) for line in original.lines]
        amounts.total(note)
        return
    exempt = original.dte_type == "34"
    whole = original.exempt if exempt else original.net
    share = Decimal(0 if code == "2" else rng.randint(3, 60)) / 100
    amounts.single_line(note, "Ajuste", amounts.half_up(whole * share), is_exempt=exempt)


def _mark(original: Document, note: Document, code: str) -> None:
    """SII tells the referenced document of a credit note: NCA voids it, ENC does not."""
    original.has_credit_note = True
    if original.has_trace and note.received_at is not None:
        body, digit = note.sender.rut.split("-")
        name = "NCA" if code == "1" else "ENC"
        original.events.append(Event(name, note.received_at, body, digit))
