"""Tax documents out of XML: to the peso, in any wrapping, and nothing that could expand."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tupana_etl.arrow.dte_xml import declared_encoding, parse_dte
from tupana_etl.errors import DataError, HostileXml
from tupana_etl.streams import STREAMS

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"

BODY = """
<Documento><Encabezado>
  <IdDoc><TipoDTE>46</TipoDTE><Folio>12</Folio><FchEmis>2026-03-05</FchEmis>
    <FmaPago>2</FmaPago><FchVenc>2026-04-04</FchVenc></IdDoc>
  <Emisor><RUTEmisor>76.354.771-k</RUTEmisor><RznSoc> Compañía Ñire &amp; Hijos </RznSoc></Emisor>
  <Receptor><RUTRecep>96790240-3</RUTRecep><RznSocRecep/></Receptor>
  <Totales><MntNeto>1000</MntNeto><MntExe>50</MntExe><IVA>190</IVA>
    <ImptoReten><TipoImp>15</TipoImp><TasaImp>19</TasaImp><MontoImp>190</MontoImp></ImptoReten>
    <ImptoReten><TipoImp>27</TipoImp><MontoImp>7</MontoImp></ImptoReten>
    <MntTotal>1050</MntTotal></Totales>
</Encabezado>
<Detalle><NroLinDet>1</NroLinDet>
  <CdgItem><TpoCodigo>INT1</TpoCodigo><VlrCodigo>007</VlrCodigo></CdgItem>
  <CdgItem><TpoCodigo>EAN13</TpoCodigo><VlrCodigo>999</VlrCodigo></CdgItem>
  <NmbItem>Leña</NmbItem><DscItem>seca</DscItem><QtyItem>2.500000</QtyItem>
  <UnmdItem>M3</UnmdItem><PrcItem>421.052632</PrcItem><DescuentoPct>5.00</DescuentoPct>
  <MontoItem>1000</MontoItem></Detalle>
<Detalle><NroLinDet>2</NroLinDet><IndExe>1</IndExe><NmbItem>Flete</NmbItem>
  <MontoItem>50</MontoItem></Detalle>
<Referencia><NroLinRef>1</NroLinRef><TpoDocRef>801</TpoDocRef><FolioRef>OC-7</FolioRef>
  <FchRef>2026-02-28</FchRef><CodRef>3</CodRef><RazonRef>pedido</RazonRef></Referencia>
</Documento>"""

NAMESPACE = ' xmlns="http://www.sii.cl/SiiDte"'
WRAPS = {
    "bare": "<DTE>{}</DTE>",
    "namespaced": "<DTE" + NAMESPACE + ">{}</DTE>",
    "set": "<SetDTE" + NAMESPACE + "><Caratula/><DTE>{}</DTE></SetDTE>",
    "envelope": "<EnvioDTE" + NAMESPACE + "><SetDTE><DTE>{}</DTE></SetDTE></EnvioDTE>",
}


def dte(body: str = BODY) -> str:
    return f"<DTE>{body}</DTE>"


def shared(folder: str) -> list[Path]:
    found = sorted((SHARED / folder).glob("*.xml"))
    if not found:
        pytest.skip(f"{SHARED / folder} is not on this machine")
    return found


def test_every_field() -> None:
    found = parse_dte(dte())
    assert (found.dte_type, found.folio, found.currency) == ("46", "12", "CLP")
    assert (found.date_issued, found.due_date) == (date(2026, 3, 5), date(2026, 4, 4))
    assert (found.issuer_rut, found.receiver_rut) == ("76354771-K", "96790240-3")
    assert (found.issuer_name, found.receiver_name) == ("Compañía Ñire & Hijos", None)
    assert found.payment_method == "2"
    assert (found.net, found.exempt, found.iva) == (Decimal(1000), Decimal(50), Decimal(190))
    assert (found.total, found.iva_withheld) == (Decimal(1050), Decimal(190))
    assert found.lines[0] == {
        "line_number": "1",
        "item_name": "Leña",
        "item_description": "seca",
        "item_code": "007",
        "item_type_code": "INT1",
        "quantity": "2.500000",
        "unit": "M3",
        "unit_price": "421.052632",
        "discount_percent": "5.00",
        "is_exempt": False,
        "item_total": "1000",
    }
    assert found.lines[1]["is_exempt"] is True
    assert found.references == [
        {
            "reference_folio": "OC-7",
            "reference_date": "2026-02-28",
            "reference_code": "3",
            "reference_reason": "pedido",
            "dte_type_code": "801",
        }
    ]


def test_keys_are_the_streams_columns() -> None:
    found = parse_dte(dte())
    own = {"master_entity_id", "document_type", "document_id", "position"}
    references = {c.name for c in STREAMS["document_references"].columns} - own
    assert set(found.references[0]) == references
    lines = {c.name for c in STREAMS["document_lines"].columns} - own
    assert lines - set(found.lines[0]) == {"gross_unit_price", "other_tax"}
    assert set(found.lines[0]) <= lines


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("encoding", ["ISO-8859-1", "UTF-8", "windows-1252"])
def test_any_wrapping_and_encoding(wrap: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + WRAPS[wrap].format(BODY)
    expected = parse_dte(dte())
    assert parse_dte(text.encode(encoding)) == expected
    assert parse_dte(text) == expected
    assert declared_encoding(text.encode(encoding)) == encoding


def test_text_is_already_decoded_whatever_it_declares() -> None:
    assert parse_dte('<?xml version="1.0" encoding="no-such-code"?>' + dte()) == parse_dte(dte())


def test_an_encoding_nobody_said() -> None:
    assert declared_encoding(b"<DTE/>") == "utf-8"
    assert declared_encoding(b"\xef\xbb\xbf<?xml version='1.0' encoding='latin1'?>") == "latin1"


@pytest.mark.parametrize(
    ("name", "code"), [("DOLAR USA", "USD"), ("EURO", "EUR"), ("PESO CL", "CLP"), ("YEN", "YEN")]
)
def test_export(name: str, code: str) -> None:
    body = BODY.replace("Documento>", "Exportaciones>").replace(">46<", ">110<")
    body = body.replace("<Totales>", f"<Totales><TpoMoneda>{name}</TpoMoneda>")
    found = parse_dte(dte(body.replace(">1050<", ">1050.2500<")))
    assert (found.currency, found.total) == (code, Decimal("1050.2500"))
    assert all(line["is_exempt"] for line in found.lines)


def test_absent_amounts_are_none_and_not_zero() -> None:
    body = re.sub(r"<Totales>.*?</Totales>", "<Totales></Totales>", BODY, flags=re.DOTALL)
    found = parse_dte(dte(body))
    assert (found.net, found.exempt, found.iva, found.total) == (None,) * 4
    assert found.iva_withheld is None


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "not xml",
        "<DTE>",
        b"\xff\xfe\x00",
        "<DTE/>",
        "<html><DTE/></html>",
        f"<EnvioDTE><DTE>{BODY}</DTE><DTE>{BODY}</DTE></EnvioDTE>",
        f"<AEC><DTE>{BODY}</DTE></AEC>",
        dte(BODY.replace("2026-03-05", "05-03-2026")),
        dte(BODY.replace("2026-02-28", "2026-02-30")),
        dte(BODY.replace(">1000<", ">1.000,00<", 1)),
        dte(BODY.replace(">1000<", ">1e3<", 1)),
        dte(BODY.replace(">1000<", ">NaN<", 1)),
        dte(BODY.replace("96790240-3", "somebody")),
        dte(BODY.replace("<Folio>12</Folio>", "")),
        dte(BODY.replace("Emisor>", "Otro>")),
        b'<?xml version="1.0" encoding="no-such-code"?><DTE/>',
        "<DTE>\ud800</DTE>",
    ],
)
def test_what_cannot_be_read_is_a_data_error(xml: str | bytes) -> None:
    with pytest.raises(DataError):
        parse_dte(xml)


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE DTE>",
        '<!DOCTYPE DTE SYSTEM "http://example.test/x.dtd">',
        '<!DOCTYPE DTE [<!ENTITY a "b">]>',
        '<!DOCTYPE DTE [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    ],
)
def test_any_dtd_is_hostile(doctype: str) -> None:
    with pytest.raises(HostileXml):
        parse_dte(doctype + dte())


def test_known_attacks() -> None:
    for file in shared("xml_attacks"):
        with pytest.raises(HostileXml):
            parse_dte(file.read_bytes())


def test_real_files() -> None:
    for file in shared("dte_xml"):
        found = parse_dte(file.read_bytes())
        assert file.stem == f"DTE--{found.issuer_rut}--{found.dte_type}--{found.folio}"
        assert found.total == (found.net or 0) + (found.exempt or 0) + (found.iva or 0)
        totals = [Decimal(str(line["item_total"])) for line in found.lines]
        assert sum(totals) == (found.net or 0) + (found.exempt or 0)


@given(
    st.decimals(min_value=0, max_value=10**12, places=6),
    st.text(st.characters(categories=("L", "N", "P", "Zs"))),
)
def test_text_survives_exactly(quantity: Decimal, name: str) -> None:
    escaped = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = f"{quantity:f}"
    body = BODY.replace("Leña", escaped).replace("2.500000", text)
    line = parse_dte(dte(body)).lines[0]
    assert line["quantity"] == text
    assert line["item_name"] == (name.strip() or None)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_document_or_an_error_with_a_name(raw: bytes) -> None:
    with pytest.raises(DataError):
        parse_dte(raw)
