"""What POST /documents/batch refuses of a document, field by field, as documented.

Sources: the published schemas of ``Document`` and its parts; DOCS-V1 (which type needs
what, gross prices, the reason of a full credit note); DOCS-NEW (unknown fields, warnings).
Nothing here looks at the world: see ``issuing`` for credentials and references.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from tupana_etl import domain
from tupana_etl.sandbox import fields

Node = dict[str, Any]
Unknown = Literal["strict", "warn", "ignore"]

_GROSS = frozenset({"39", "41"})
_HONORARIOS = frozenset({"80", "90"})
_RETENTIONS = frozenset({"RETRECEPTOR", "RETCONTRIBUYENTE"})
CURRENCIES = {"13": "USD", "USD": "USD", "142": "EUR", "EUR": "EUR", "200": "CLP", "CLP": "CLP"}
"""Customs' codes (2026-08) and ISO's (2026-04) of the currencies a world knows."""

_RUT = re.compile(r"[0-9]{7,8}-[0-9K]")
_RATE = re.compile(r"[0-9]{1,9}(\.[0-9]{1,4})?")
_REQUIRED, _NO_CHOICE = "Este campo es requerido.", '"{}" no es una elección válida.'
_NO_TEXT, _NO_NUMBER = "No es una cadena válida.", "Se requiere un número válido."
_NO_DATE = "Fecha con formato erróneo. Use YYYY-MM-DD."


@dataclass(frozen=True)
class Rules:
    """How strictly a document is read."""

    contract: str
    defaults: bool
    """``X-Use-Defaults: true``"""
    unknown: Unknown


@dataclass
class Found:
    """What is wrong with one document."""

    rules: Rules
    errors: Node = field(default_factory=dict)
    warnings: list[Node] = field(default_factory=list)

    def refuse(self, path: str, message: str) -> None:
        """``details.0.quantity``: a message of the field under its names."""
        *above, name = path.split(".")
        node = self.errors
        for step in above:
            node = node.setdefault(step, {})
        node.setdefault(name, []).append(message)

    def doubt(self, path: str, code: str, message: str) -> None:
        """A warning, or an error of a strict reader."""
        if self.rules.unknown == "strict":
            self.refuse(path, message)
        elif self.rules.unknown == "warn":
            told = {"field": path, "code": code, "message": message, "suggestion": None}
            self.warnings.append(told)


def check(asked: object, rules: Rules) -> Found:
    """Everything wrong with a document of a batch."""
    found = Found(rules)
    if not isinstance(asked, dict):
        found.refuse("non_field_errors", "Datos inválidos. Se esperaba un diccionario.")
        return found
    _unknown(found, "", asked)
    code = _type(found, asked)
    _text(found, asked, "date_issued", day=True, required=not rules.defaults)
    _text(found, asked, "folio")
    _text(found, asked, "additional_info", longest=1000)
    for name in ("document_issuer", "document_receiver"):
        _party(found, asked, name)
    _details(found, asked, code)
    header = _part(found, asked, "header")
    _header(found, header, code)
    _references(found, asked, code)
    _export(found, asked, code)
    transport = _part(found, asked, "transport_data")
    if transport:
        _choice(found, transport, "transport_data.transport_type", set("123456789"), True)
    if not isinstance(asked.get("json_param"), dict | None):
        found.refuse("json_param", "Se esperaba un objeto JSON.")
    return found


def _type(found: Found, asked: Node) -> str:
    if found.rules.defaults and asked.get("dte_type") is None:
        return "33"
    kind = _part(found, asked, "dte_type", required=True)
    known = fields.types(found.rules.contract)
    if kind is None:
        return ""
    return _choice(found, kind, "dte_type.code", known, required=True) or ""


def _party(found: Found, asked: Node, name: str) -> None:
    party = _part(found, asked, name, required=True)
    if party is None:
        return
    rut = _text(found, party, f"{name}.rut", required=True)
    if rut is not None and not _RUT.fullmatch(rut):
        found.refuse(f"{name}.rut", "RUT sin puntos y con guion, ej: 76543210-K.")
    elif rut is not None and not domain.valid_rut(rut):
        found.doubt(f"{name}.rut", "invalid_rut", "El dígito verificador no corresponde.")
    needs_name = not found.rules.defaults
    _text(found, party, f"{name}.business_name", longest=100, required=needs_name)
    for other in sorted(fields.PARTS[name] - {"rut", "business_name", "activity_code"}):
        _text(found, party, f"{name}.{other}")


def _details(found: Found, asked: Node, code: str) -> None:
    lines = asked.get("details")
    if not isinstance(lines, list) or not lines:
        found.refuse("details", _REQUIRED if not lines else "Se esperaba una lista.")
        return
    for at, line in enumerate(lines):
        if isinstance(line, dict):
            _line(found, f"details.{at}", line, code)
        else:
            found.refuse(f"details.{at}", "Se esperaba un objeto.")
    priced = {"gross_unit_price" in x for x in lines if isinstance(x, dict)}
    if len(priced) > 1:
        found.refuse("details", "Todas las líneas deben usar unit_price o gross_unit_price.")


def _line(found: Found, path: str, line: Node, code: str) -> None:
    _unknown(found, "details", line, path)
    _text(found, line, f"{path}.item_name", required=True)
    _number(found, line, f"{path}.quantity", required=True, above=Decimal(0))
    gross = "gross_unit_price" in line
    if gross and code not in _GROSS:
        found.refuse(f"{path}.gross_unit_price", "Solo válido para boletas (39, 41).")
    if gross and "unit_price" in line:
        found.refuse(f"{path}.gross_unit_price", "No se puede combinar con unit_price.")
    price = "gross_unit_price" if gross else "unit_price"
    _number(found, line, f"{path}.{price}", required=True, least=Decimal(0))
    _number(found, line, f"{path}.discount_percent", least=Decimal(0), most=Decimal(100))
    for name in ("item_description", "unit"):
        _text(found, line, f"{path}.{name}")
    if line.get("other_tax"):
        found.refuse(f"{path}.other_tax", "Este servidor no emite con otros impuestos.")
    if not isinstance(line.get("is_exempt"), bool | None):
        found.refuse(f"{path}.is_exempt", "Debe ser un booleano.")


def _header(found: Found, header: Node | None, code: str) -> None:
    asked = header or {}
    _choice(found, asked, "header.payment_method", set("123"))
    _text(found, asked, "header.due_date", day=True)
    _choice(found, asked, "header.purchase_type", set("1234567"))
    _choice(found, asked, "header.retention_type", _RETENTIONS, required=code in _HONORARIOS)
    _text(found, asked, "header.purchase_transaction_type", required=code == "46")
    _text(found, asked, "header.sale_transaction_type")
    if not isinstance(asked.get("vat_withheld"), bool | None):
        found.refuse("header.vat_withheld", "Debe ser un booleano.")


def _references(found: Found, asked: Node, code: str) -> None:
    references = asked.get("references")
    if references is None or references == []:
        if code == "61":
            found.refuse("references", "Una nota de crédito requiere referencias.")
        return
    if not isinstance(references, list):
        found.refuse("references", "Se esperaba una lista.")
        return
    for at, reference in enumerate(references):
        path = f"references.{at}"
        if not isinstance(reference, dict):
            found.refuse(path, "Se esperaba un objeto.")
            continue
        _unknown(found, "references", reference, path)
        folio = reference.get("reference_folio")
        if not isinstance(folio, int | str) or isinstance(folio, bool) or folio == "":
            found.refuse(f"{path}.reference_folio", _REQUIRED)
        _text(found, reference, f"{path}.reference_date", day=True, required=True)
        _text(found, reference, f"{path}.reference_reason", longest=90)
        kind = reference.get("dte_type_code")
        if not isinstance(kind, int | str) or isinstance(kind, bool) or kind == "":
            found.refuse(f"{path}.dte_type_code", _REQUIRED)


def _export(found: Found, asked: Node, code: str) -> None:
    data = _part(found, asked, "export_data", required=code == "110")
    if not data:
        if data is not None and code == "110":
            found.refuse("export_data", _REQUIRED)
        return
    for name in sorted(fields.PARTS["export_data"] - {"currency_code", "exchange_rate"}):
        _text(found, data, f"export_data.{name}")
    currency = _choice(found, data, "export_data.currency_code", set(CURRENCIES), code == "110")
    rate = data.get("exchange_rate")
    foreign = currency is not None and CURRENCIES[currency] != "CLP"
    if rate is None:
        if foreign:
            found.refuse("export_data.exchange_rate", _REQUIRED)
    elif not _RATE.fullmatch(str(rate)) or not Decimal(str(rate)):
        found.refuse("export_data.exchange_rate", _NO_NUMBER)


def _part(found: Found, asked: Node, name: str, *, required: bool = False) -> Node | None:
    part = asked.get(name)
    if part is None:
        if required:
            found.refuse(name, _REQUIRED)
        return None
    if not isinstance(part, dict):
        found.refuse(name, "Se esperaba un objeto.")
        return None
    _unknown(found, name, part, name)
    return part


def _unknown(found: Found, place: str, node: Node, path: str = "") -> None:
    known = fields.PARTS.get(place) or (fields.LINE if place == "details" else fields.REFERENCE)
    if found.rules.contract == "2026-04":
        known = known - fields.NEWER.get(place, set())
    for name in node:
        if name not in known:
            where = f"{path}.{name}" if path else name
            found.doubt(where, "unknown_field", f"Campo desconocido: {name}.")


def _text(
    found: Found,
    node: Node,
    path: str,
    *,
    day: bool = False,
    required: bool = False,
    longest: int | None = None,
) -> str | None:
    value = node.get(path.rpartition(".")[2])
    if value is None or value == "":
        if required:
            found.refuse(path, _REQUIRED)
        return None
    if not isinstance(value, str):
        found.refuse(path, _NO_DATE if day else _NO_TEXT)
        return None
    if day and not _is_day(value):
        found.refuse(path, _NO_DATE)
    if longest is not None and len(value) > longest:
        found.refuse(path, f"Asegúrese de que este campo no tenga más de {longest} caracteres.")
    return value


def _choice(
    found: Found, node: Node, path: str, choices: set[str] | frozenset[str], required: bool = False
) -> str | None:
    value = _text(found, node, path, required=required)
    if value is None or value in choices:
        return value
    found.refuse(path, _NO_CHOICE.format(value))
    return None


def _number(
    found: Found,
    node: Node,
    path: str,
    *,
    required: bool = False,
    above: Decimal | None = None,
    least: Decimal | None = None,
    most: Decimal | None = None,
) -> None:
    value = node.get(path.rpartition(".")[2])
    if value is None:
        if required:
            found.refuse(path, _REQUIRED)
    elif isinstance(value, bool) or not isinstance(value, int | Decimal):
        found.refuse(path, _NO_NUMBER)
    elif above is not None and value <= above:
        found.refuse(path, f"Asegúrese de que este valor es mayor a {above}.")
    elif (least is not None and value < least) or (most is not None and value > most):
        found.refuse(path, "Este valor está fuera de rango.")


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
