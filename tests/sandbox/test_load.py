"""Real DTE files served as documents: equal to the files to the peso, hostile ones refused."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from tupana_etl.arrow.dte_xml import Dte, parse_dte
from tupana_etl.errors import ConfigError, DataError, HostileXml
from tupana_etl.sandbox.server import World, build, running

from .helpers import TODAY, client, companies, every_document, get, shared, truth


def test_loaded_documents_equal_their_files(tmp_path: Path) -> None:
    directory = shared("data", "dte_xml")
    files = {(d.issuer_rut, d.folio): d for d in map(_parsed, sorted(directory.glob("*.xml")))}
    world = World(documents=0, companies=0, today=TODAY, load=directory)
    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        ruts = {d.issuer_rut for d in files.values()} | {d.receiver_rut for d in files.values()}
        assert len(companies(api)) == len(ruts)
        seen = every_document(api)
        assert len(seen) == 2 * len(files)
        for _, _, row in seen:
            dte = files[row["sender_tax_id"], row["folio"]]
            assert Decimal(str(row["amount_with_iva"])) == dte.total
            assert Decimal(str(row["amount_without_iva"])) == (dte.net or 0)
            assert Decimal(str(row["amount_iva"])) == (dte.iva or 0)
            assert row["date_issued"] == dte.date_issued.isoformat()
            assert row["details"] is None
            assert row["references"] is None
            xml = get(api, f"/documents/{row['id']}")["xml"]
            assert parse_dte(xml) == dte
        lines = truth(api, "document_lines")
        assert len(lines) == 2 * sum(len(d.lines) for d in files.values())
        texts = {(x["item_name"], x["item_total"]) for x in lines}
        assert texts == {(x["item_name"], x["item_total"]) for d in files.values() for x in d.lines}
        codes = {r["reference_code"] for r in truth(api, "document_references")}
        assert codes == {x["reference_code"] for d in files.values() for x in d.references}


def _parsed(path: Path) -> Dte:
    return parse_dte(path.read_bytes())


def test_loading_adds_to_a_generated_world(tmp_path: Path) -> None:
    directory = shared("data", "dte_xml")
    world = World(documents=40, companies=1, months=3, today=TODAY, load=directory)
    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        ids = {r["id"] for r in truth(api, "documents")}
        assert len(ids) == 40 + len(list(directory.glob("*.xml")))


def test_hostile_files_are_refused_by_name(tmp_path: Path) -> None:
    for file in sorted(shared("data", "xml_attacks").glob("*.xml")):
        directory = tmp_path / file.stem
        directory.mkdir()
        shutil.copyfile(file, directory / file.name)
        with pytest.raises(HostileXml, match=file.name):
            build(World(documents=0, today=TODAY, load=directory), tmp_path / "w.sqlite")
    assert not (tmp_path / "w.sqlite").exists()


def test_broken_and_missing_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \.xml"):
        build(World(documents=0, load=tmp_path), tmp_path / "w.sqlite")
    (tmp_path / "bad.xml").write_text("<DTE><Documento>")
    with pytest.raises(DataError, match=r"bad\.xml"):
        build(World(documents=0, load=tmp_path), tmp_path / "w.sqlite")
