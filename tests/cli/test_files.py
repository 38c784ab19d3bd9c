"""``tupana files``: what is kept of a document, and what is said when there is nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tupana_etl.errors import ConfigError
from tupana_etl.event_loop import run_async
from tupana_etl.files import keep
from tupana_etl.sandbox.server import World, running
from tupana_etl.settings import Settings

from .runner import CANARY, Runner

DTE = """<?xml version="1.0" encoding="ISO-8859-1"?>
<DTE version="1.0"><Documento ID="F1"><Encabezado><IdDoc><TipoDTE>33</TipoDTE><Folio>7</Folio>
<FchEmis>2026-09-01</FchEmis></IdDoc><Emisor><RUTEmisor>76086428-5</RUTEmisor>
<RznSoc>Ñandú Ltda.</RznSoc></Emisor><Receptor><RUTRecep>77777777-7</RUTRecep>
<RznSocRecep>Cía. Sur</RznSocRecep></Receptor><Totales><MntNeto>1000</MntNeto><IVA>190</IVA>
<MntTotal>1190</MntTotal></Totales></Encabezado><Detalle><NroLinDet>1</NroLinDet>
<NmbItem>Cosa</NmbItem><MontoItem>1000</MontoItem></Detalle></Documento></DTE>
"""


def a_document(synced: Runner) -> tuple[str, str]:
    """Id and ``RUT:TYPE:FOLIO`` of a document."""
    query = """SELECT id, sender_tax_id || ':' || dte_type_code || ':' || folio
        FROM raw.documents WHERE dte_type_code = '33' AND folio NOT LIKE 'SANDBOX%' LIMIT 1"""
    ((id_, name),) = synced.inside("query", query, "--json").json["rows"]
    return id_, name


def test_by_id_and_by_folio_is_the_same_file(synced: Runner) -> None:
    id_, name = a_document(synced)
    by_id = synced("files", id_, "--pdf", "--json")
    assert by_id.code == 0
    assert synced.inside("files", name, "--pdf", "--json").json == by_id.json
    rut, kind, folio = name.split(":")
    path = Path(by_id.json["files"]["pdf"])
    assert path == synced.home / "files" / rut / f"{kind}-{folio}.pdf"
    assert path.read_bytes().startswith(b"%PDF-")
    assert path.stat().st_mode & 0o077 == 0
    assert (synced.home / "files").stat().st_mode & 0o077 == 0


def test_what_the_api_does_not_have_is_said(synced: Runner) -> None:
    id_, _ = a_document(synced)
    both = synced("files", id_)
    assert both.code == 0
    assert "The API has no XML of this document." in both.out
    assert synced.inside("files", id_, "--xml").code == 1


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("999999999", 1, "no such document"),
        ("76086428-5:33:1", 2, "was read so far"),
        ("76086428-5:33", 2, "ISSUER_RUT:TYPE:FOLIO"),
        ("../../etc/passwd", 2, "no document id"),
    ],
)
def test_a_document_that_is_not_there(synced: Runner, name: str, code: int, said: str) -> None:
    failed = synced.inside("files", name)
    assert failed.code == code
    assert said in " ".join(failed.err.split())


def test_xml_is_written_in_its_own_encoding(tmp_path: Path) -> None:
    (tmp_path / "dte").mkdir()
    (tmp_path / "dte" / "one.xml").write_bytes(DTE.encode("latin-1"))
    world = World(documents=0, companies=1, months=3, load=tmp_path / "dte")
    with running(tmp_path / "world.sqlite", world, key=CANARY) as url:
        settings = Settings(api_key=CANARY, base_url=url, home=tmp_path / "home")
        kept = run_async(keep("890001", settings))
    assert kept.paths["xml"].name == "33-7.xml"
    assert kept.paths["xml"].read_bytes() == DTE.encode("latin-1")
    assert not kept.failed


def test_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TUPANA_API_KEY"):
        run_async(keep("1", Settings(home=tmp_path)))
