"""Reads the tax document inside a SII DTE XML, refusing anything that could expand.

Rules: SII Formato DTE 2.2 and its XSD. Element names are matched without namespace,
since issuers leave it out. Entities and DTDs are refused before they are looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from tupana_etl import domain
from tupana_etl.errors import DataError, HostileXml

Fields = dict[str, str | bool | None]
"""One child row under the column names of its stream; numbers are their exact text."""

_ENVELOPES = {"DTE", "EnvioDTE", "EnvioBOLETA", "SetDTE"}
_BODIES = {"Documento", "Exportaciones", "Liquidacion"}
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")

CURRENCIES = {"DOLAR USA": "USD", "EURO": "EUR", "PESO CL": "CLP"}
"""Customs' names of currencies (TpoMoneda) as the API writes them."""

WITHHELD_IVA = frozenset({"15", *(str(code) for code in range(30, 50))})
"""TipoImp of IVA withheld by the buyer of a 46: 15 in full, 30 to 49 by product."""

_EXEMPT_TYPES = frozenset({"34", "41", "110", "111", "112"})


@dataclass(frozen=True)
class Dte:
    """One tax document. Amounts are in ``currency``; None where the element is absent."""

    dte_type: str
    """TipoDTE"""
    folio: str
    """Folio"""
    date_issued: date
    """FchEmis"""
    due_date: date | None
    """FchVenc"""
    payment_method: str | None
    """FmaPago: 1 cash, 2 credit, 3 free; FmaPagExp never takes its place."""
    issuer_rut: str
    """RUTEmisor, canonical"""
    issuer_name: str
    """RznSoc, or RznSocEmisor in receipts"""
    receiver_rut: str
    """RUTRecep, canonical"""
    receiver_name: str | None
    """RznSocRecep"""
    currency: str
    """TpoMoneda of an export document, else CLP"""
    net: Decimal | None
    """MntNeto"""
    exempt: Decimal | None
    """MntExe"""
    iva: Decimal | None
    """IVA"""
    total: Decimal | None
    """MntTotal"""
    iva_withheld: Decimal | None
    """Sum of ImptoReten/MontoImp whose TipoImp is in WITHHELD_IVA"""
    lines: list[Fields]
    """Detalle, under the columns of stream document_lines"""
    references: list[Fields]
    """Referencia, under the columns of stream document_references"""


def parse_dte(xml: bytes | str) -> Dte:
    """The one document inside a DTE, an EnvioDTE or a SetDTE.

    Raises HostileXml for a DTD or an entity, DataError for broken XML, for anything but
    exactly one document, and for a value that has not the shape SII gives it.
    """
    body = _body(_root(xml))
    identity, issuer = _need(body, "Encabezado/IdDoc"), _need(body, "Encabezado/Emisor")
    receiver, totals = _need(body, "Encabezado/Receptor"), _need(body, "Encabezado/Totales")
    dte_type = _must(identity, "TipoDTE")
    return Dte(
        dte_type=dte_type,
        folio=_must(identity, "Folio"),
        date_issued=_day(_must(identity, "FchEmis"), "FchEmis"),
        due_date=_maybe_day(identity, "FchVenc"),
        payment_method=_text(identity, "FmaPago"),
        issuer_rut=_rut(issuer, "RUTEmisor"),
        issuer_name=_text(issuer, "RznSoc") or _must(issuer, "RznSocEmisor"),
        receiver_rut=_rut(receiver, "RUTRecep"),
        receiver_name=_text(receiver, "RznSocRecep"),
        currency=_currency(totals),
        net=_amount(totals, "MntNeto"),
        exempt=_amount(totals, "MntExe"),
        iva=_amount(totals, "IVA"),
        total=_amount(totals, "MntTotal"),
        iva_withheld=_withheld(totals),
        lines=[_line(e, dte_type) for e in _children(body, "Detalle")],
        references=[_reference(e) for e in _children(body, "Referencia")],
    )


def declared_encoding(xml: bytes) -> str:
    """The encoding an XML file says it has (ISO-8859-1 as a rule), UTF-8 when it says none."""
    found = _ENCODING.match(xml[:200].removeprefix(b"\xef\xbb\xbf"))
    return found[1].decode() if found else "utf-8"


def _root(xml: bytes | str) -> Element:
    try:
        root: Element = fromstring(xml, forbid_dtd=True)
    except DefusedXmlException as refused:
        raise HostileXml(f"The XML declares a DTD or entities: {refused}") from None
    except (ParseError, ValueError, LookupError) as broken:
        raise DataError(f"The XML cannot be read: {broken}") from None
    return root


def _body(root: Element) -> Element:
    if _local(root) not in _ENVELOPES:
        raise DataError(f"The XML is a {_local(root)}, not a DTE.")
    found = [
        child
        for dte in root.iter()
        if _local(dte) == "DTE"
        for child in dte
        if _local(child) in _BODIES
    ]
    if len(found) != 1:
        raise DataError(f"The XML holds {len(found)} documents; one was expected.")
    return found[0]


def _line(element: Element, dte_type: str) -> Fields:
    return {
        "line_number": _number(element, "NroLinDet"),
        "item_name": _text(element, "NmbItem"),
        "item_description": _text(element, "DscItem"),
        "item_code": _text(element, "CdgItem/VlrCodigo"),
        "item_type_code": _text(element, "CdgItem/TpoCodigo"),
        "quantity": _number(element, "QtyItem"),
        "unit": _text(element, "UnmdItem"),
        "unit_price": _number(element, "PrcItem"),
        "discount_percent": _number(element, "DescuentoPct"),
        "is_exempt": dte_type in _EXEMPT_TYPES or _text(element, "IndExe") == "1",
        "item_total": _number(element, "MontoItem"),
    }


def _reference(element: Element) -> Fields:
    day = _maybe_day(element, "FchRef")
    return {
        "reference_folio": _text(element, "FolioRef"),
        "reference_date": day.isoformat() if day else None,
        "reference_code": _text(element, "CodRef"),
        "reference_reason": _text(element, "RazonRef"),
        "dte_type_code": _text(element, "TpoDocRef"),
    }


def _currency(totals: Element) -> str:
    name = _text(totals, "TpoMoneda")
    return CURRENCIES.get(name, name) if name else "CLP"


def _withheld(totals: Element) -> Decimal | None:
    amounts = [
        amount
        for tax in _children(totals, "ImptoReten")
        if _text(tax, "TipoImp") in WITHHELD_IVA
        if (amount := _amount(tax, "MontoImp")) is not None
    ]
    return sum(amounts, Decimal(0)) if amounts else None


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _children(element: Element, name: str) -> Iterator[Element]:
    return (child for child in element if _local(child) == name)


def _find(element: Element, path: str) -> Element | None:
    found: Element | None = element
    for name in path.split("/"):
        found = next(_children(found, name), None) if found is not None else None
    return found


def _need(element: Element, path: str) -> Element:
    found = _find(element, path)
    if found is None:
        raise DataError(f"The XML lacks {path}.")
    return found


def _text(element: Element, path: str) -> str | None:
    found = _find(element, path)
    text = (found.text or "").strip() if found is not None else ""
    return text or None


def _must(element: Element, name: str) -> str:
    text = _text(element, name)
    if text is None:
        raise DataError(f"The XML lacks {name}.")
    return text


def _number(element: Element, name: str) -> str | None:
    text = _text(element, name)
    if text is not None and not _NUMBER.fullmatch(text):
        raise DataError(f"{name} is {text[:40]!r}, not a number.")
    return text


def _amount(element: Element, name: str) -> Decimal | None:
    text = _number(element, name)
    return None if text is None else Decimal(text)


def _rut(element: Element, name: str) -> str:
    text = _must(element, name)
    rut = domain.canonical_rut(text)
    if rut is None:
        raise DataError(f"{name} is {text[:40]!r}, not a RUT.")
    return rut


def _day(text: str, name: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DataError(f"{name} is {text[:40]!r}, not a date.") from None


def _maybe_day(element: Element, name: str) -> date | None:
    text = _text(element, name)
    return None if text is None else _day(text, name)
