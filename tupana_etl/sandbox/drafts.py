"""A document as it was asked for, as the record the world keeps: parties, lines, totals."""

from __future__ import annotations

import sqlite3
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tupana_etl import domain
from tupana_etl.sandbox import amounts, dates, store
from tupana_etl.sandbox.model import Document, Line, Party, Reference
from tupana_etl.sandbox.validation import CURRENCIES

Node = dict[str, Any]

_EXEMPT_TYPES = frozenset({"34", "41", "110", "111", "112"})
_GROSS_DIVISOR = 100 + domain.IVA_PERCENT

_encode = msgspec.json.Encoder(decimal_format="number").encode

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def read(text: bytes | str) -> Any:
    """JSON with its decimal numbers exact."""
    return _decode(text)


def as_text(asked: object) -> str:
    """The JSON of something decoded with decimals."""
    return _encode(asked).decode()


def filled(asked: Node, today: date) -> Node:
    """A valid request with the defaults that ``X-Use-Defaults`` stands for (DOCS-V1)."""
    given = {name: value for name, value in asked.items() if value is not None}
    header = given.get("header") or {}
    return {
        "dte_type": {"code": "33"},
        "date_issued": today.isoformat(),
        **given,
        "header": {**header, "payment_method": header.get("payment_method") or "2"},
    }


def made(connection: sqlite3.Connection, asked: Node, document_id: int, at: datetime) -> Document:
    """The document of a valid request, without folio; ``at`` is when it is stored."""
    header = asked.get("header") or {}
    today, day = store.today(connection), date.fromisoformat(asked["date_issued"])
    # A world may stand on an earlier day than the request: nothing is received before issue.
    stored = moment(max(today, min(day, dates.local_day(at))), at)
    code = asked["dte_type"]["code"]
    document = Document(
        document_id,
        code,
        None,
        day,
        _party(connection, asked["document_issuer"]),
        _party(connection, asked["document_receiver"]),
        payment_method=header.get("payment_method"),
        due_date=date.fromisoformat(header["due_date"]) if header.get("due_date") else None,
        retention_type=header.get("retention_type"),
        vat_withheld=header.get("vat_withheld") if code in {"46", "61"} else None,
        received_at=stored,
        created_at=stored,
        updated_at=stored,
        json_param=None if asked.get("json_param") is None else as_text(asked["json_param"]),
        references=[_reference(r) for r in asked.get("references") or []],
    )
    _foreign(document, asked.get("export_data") or {})
    _total(document, asked["details"])
    return document


def moment(day: date, at: datetime) -> datetime:
    """That time of Santiago's day, on another day."""
    wall = at.astimezone(domain.SANTIAGO).timetz()
    return datetime.combine(day, wall.replace(tzinfo=domain.SANTIAGO)).astimezone(UTC)


def _party(connection: sqlite3.Connection, asked: Node) -> Party:
    """As asked for, with the registry's name where none was given."""
    rut = asked["rut"]
    row = connection.execute("SELECT id, name FROM entity WHERE rut = ?", (rut,)).fetchone()
    known = (None, None) if row is None else (row["id"], row["name"])
    return Party(known[0], rut, asked.get("business_name") or known[1] or f"CONTRIBUYENTE {rut}")


def _foreign(document: Document, data: Node) -> None:
    if document.dte_type == "110":
        document.currency = CURRENCIES[data["currency_code"]]
        if document.currency != "CLP":
            document.exchange_rate = Decimal(str(data["exchange_rate"]))


def _total(document: Document, details: list[Node]) -> None:
    places = "1" if document.currency == "CLP" else "0.01"
    document.lines = [_line(i, x, places) for i, x in enumerate(details, 1)]
    note_of_exempt = document.dte_type in {"61", "56"} and any(
        r.dte_type_code in _EXEMPT_TYPES for r in document.references
    )
    if note_of_exempt:
        for line in document.lines:
            line.is_exempt = True
    amounts.total(document)
    if document.dte_type == "39" and any("gross_unit_price" in x for x in details):
        _from_gross(document)


def _from_gross(document: Document) -> None:
    """Net and IVA out of prices with IVA: the total is what the lines say."""
    gross = document.net
    document.net = Decimal((int(gross) * 200 + _GROSS_DIVISOR) // (2 * _GROSS_DIVISOR))
    document.iva = gross - document.net
    document.total = gross + document.exempt


def _line(number: int, asked: Node, places: str) -> Line:
    quantity = Decimal(asked["quantity"])
    price = Decimal(asked["gross_unit_price" if "gross_unit_price" in asked else "unit_price"])
    discount = asked.get("discount_percent")
    kept = 1 - Decimal(discount or 0) / 100
    kind = asked.get("item_type_code")
    return Line(
        line_number=str(number),
        item_name=asked["item_name"],
        item_description=asked.get("item_description"),
        item_code=None if asked.get("item_code") is None else str(asked["item_code"]),
        item_type_code=None if kind is None else str(kind),
        quantity=_plain(quantity),
        unit=asked.get("unit"),
        unit_price=_plain(price),
        discount_percent=None if discount is None else _plain(Decimal(discount)),
        is_exempt=asked.get("is_exempt") is True,
        item_total=_plain(amounts.half_up(quantity * price * kept, places)),
    )


def _plain(number: Decimal) -> str:
    """Without exponent and without zeros that say nothing: ``1E+2`` is ``100``."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _reference(asked: Node) -> Reference:
    return Reference(
        str(asked["reference_folio"]),
        asked["reference_date"],
        None,
        asked.get("reference_reason"),
        str(asked["dte_type_code"]),
    )
