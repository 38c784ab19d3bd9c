"""Real tax documents go through the sandbox and a sync, and keep every peso."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
from defusedxml.ElementTree import parse

from tupana_etl.errors import HostileXml

from .helpers import site, unpublished

DATA = Path(__file__).parents[2].parent / "shared" / "data"

needs_data = pytest.mark.skipif(
    not DATA.exists(), reason="../shared/data (real SII files) is not beside the project"
)


def text(element: Element, path: str) -> str | None:
    """Text of the first element with this name, wherever and in whatever namespace."""
    for found in element.iter():
        if found.tag.rpartition("}")[2] == path:
            return found.text
    return None


def every(element: Element, name: str) -> list[Element]:
    return [e for e in element.iter() if e.tag.rpartition("}")[2] == name]


def amount(element: Element, name: str) -> Decimal | None:
    found = text(element, name)
    return None if found is None else Decimal(found)


@needs_data
def test_the_files_and_the_tables_agree(tmp_path: Path) -> None:
    files = sorted((DATA / "dte_xml").glob("*.xml"))
    assert len(files) == 4
    with unpublished(tmp_path, documents=0, load=DATA / "dte_xml") as here:
        result = here.sync("documents", since=date(2015, 1, 1))
        assert result.complete, [r.reasons for r in result.streams]
        for file in files:
            dte = parse(file).getroot()
            folio, kind, issuer = (text(dte, n) for n in ("Folio", "TipoDTE", "RUTEmisor"))
            # Once per side; each side must say the same.
            rows = here.query(
                f"""SELECT amount_with_iva, amount_without_iva, amount_iva, id, document_type
                FROM raw.documents WHERE sender_tax_id = '{issuer}'
                AND dte_type_code = '{kind}' AND folio = '{folio}'"""
            )
            assert {row[4] for row in rows} == {"issued", "received"}
            for total, net, iva, id_, direction in rows:
                assert total == amount(dte, "MntTotal")
                assert net == amount(dte, "MntNeto")
                assert iva == amount(dte, "IVA")
                where = f"document_id = '{id_}' AND document_type = '{direction}'"
                lines = here.query(
                    f"""SELECT item_name, item_total FROM raw.document_lines
                    WHERE {where} ORDER BY position"""
                )
                assert lines == [
                    (text(d, "NmbItem"), amount(d, "MontoItem")) for d in every(dte, "Detalle")
                ]
                references = here.query(
                    f"""SELECT dte_type_code, reference_folio, reference_code,
                        strftime(reference_date, '%Y-%m-%d')
                    FROM raw.document_references WHERE {where} ORDER BY position"""
                )
                assert references == [
                    tuple(text(r, n) for n in ("TpoDocRef", "FolioRef", "CodRef", "FchRef"))
                    for r in every(dte, "Referencia")
                ]


@needs_data
@pytest.mark.parametrize("name", sorted(p.name for p in (DATA / "xml_attacks").glob("*.xml")))
def test_hostile_xml_is_refused(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "load"
    folder.mkdir()
    shutil.copy(DATA / "xml_attacks" / name, folder)
    with pytest.raises(HostileXml), site(tmp_path, documents=0, load=folder):
        pass
