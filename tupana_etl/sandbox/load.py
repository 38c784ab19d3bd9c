"""Turns a directory of DTE XML files into documents of the world."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from tupana_etl.arrow.dte_xml import Dte, Fields, declared_encoding, parse_dte
from tupana_etl.domain import SANTIAGO
from tupana_etl.errors import ConfigError, DataError, HostileXml
from tupana_etl.sandbox.model import ZERO, Content, Document, Entity, Line, Party, Reference

FIRST_LOADED_ENTITY, FIRST_LOADED_DOCUMENT = 3_100_001, 890_001


def load_directory(directory: Path, content: Content) -> None:
    """Adds every ``*.xml`` of the directory; its issuers and receivers become own companies.

    Raises ConfigError when there is none, HostileXml or DataError naming the file.
    """
    files = sorted(directory.glob("*.xml"))
    if not files:
        raise ConfigError(f"{directory} holds no .xml file to load.")
    by_rut = {e.rut: e for e in content.entities}
    first = max([FIRST_LOADED_DOCUMENT, *(d.id + 1 for d in content.documents)])
    for number, file in enumerate(files, first):
        raw = file.read_bytes()
        dte = _parsed(file, raw)
        issuer = _own(by_rut, content, dte.issuer_rut, dte.issuer_name)
        receiver = _own(by_rut, content, dte.receiver_rut, dte.receiver_name)
        content.documents.append(_document(number, dte, issuer, receiver, _text(file, raw)))


def _parsed(file: Path, raw: bytes) -> Dte:
    try:
        return parse_dte(raw)
    except HostileXml as refused:
        raise HostileXml(f"{file}: {refused}") from None
    except DataError as broken:
        raise DataError(f"{file}: {broken}") from None


def _own(by_rut: dict[str, Entity], content: Content, rut: str, name: str | None) -> Entity:
    if rut not in by_rut:
        loaded = sum(e.id >= FIRST_LOADED_ENTITY for e in by_rut.values())
        by_rut[rut] = Entity(FIRST_LOADED_ENTITY + loaded, rut, name or rut)
        content.entities.append(by_rut[rut])
    by_rut[rut].own = True
    return by_rut[rut]


def _document(number: int, dte: Dte, issuer: Entity, receiver: Entity, xml: str) -> Document:
    stored = _noon(dte.date_issued)
    return Document(
        id=number,
        dte_type=dte.dte_type,
        folio=dte.folio,
        date_issued=dte.date_issued,
        sender=Party(issuer.id, issuer.rut, dte.issuer_name),
        receiver=Party(receiver.id, receiver.rut, dte.receiver_name),
        net=dte.net or ZERO,
        exempt=dte.exempt or ZERO,
        iva=dte.iva or ZERO,
        total=dte.total if dte.total is not None else ZERO,
        currency=dte.currency,
        payment_method=dte.payment_method,
        due_date=dte.due_date,
        received_at=stored,
        created_at=stored + timedelta(minutes=5, microseconds=1),
        updated_at=stored + timedelta(minutes=5, microseconds=1),
        xml=xml,
        lines=[_line(fields) for fields in dte.lines],
        references=[_reference(fields) for fields in dte.references],
    )


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), SANTIAGO).astimezone(UTC)


def _line(fields: Fields) -> Line:
    return Line(is_exempt=fields["is_exempt"] is True, **_texts(fields))


def _reference(fields: Fields) -> Reference:
    return Reference(**_texts(fields))


def _texts(fields: Fields) -> dict[str, str | None]:
    return {k: v for k, v in fields.items() if not isinstance(v, bool)}


def _text(file: Path, raw: bytes) -> str:
    """The file as the API hands it out: text, with its own encoding declaration.

    The XML parser forgives bytes its encoding has no character for; text cannot.
    """
    try:
        return raw.decode(declared_encoding(raw)).removeprefix("\ufeff")
    except (UnicodeDecodeError, LookupError) as broken:
        raise DataError(f"{file}: {broken}") from None
