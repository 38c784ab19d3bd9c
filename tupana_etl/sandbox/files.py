"""Files of documents behind URLs that expire, as presigned ones do."""

from __future__ import annotations

import hmac
import time
from decimal import Decimal
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.arrow.dte_xml import declared_encoding
from tupana_etl.sandbox import store, web
from tupana_etl.sandbox.model import Document

LIFETIME = 3600
"""Seconds a URL lives."""


def url(request: Request, document_id: int, kind: str) -> str:
    """A URL on this server that serves the file without a key until it expires."""
    expires = int(time.time()) + LIFETIME
    token = _token(request, document_id, kind, expires)
    base = str(request.base_url).rstrip("/")
    return f"{base}/v1/documents/{document_id}/files/{kind}?expires={expires}&token={token}"


def may_open(request: Request) -> bool:
    """Whether the URL's token is right and alive."""
    asked = request.query_params
    expires = asked.get("expires", "")
    if not expires.isdigit() or int(expires) < time.time():
        return False
    right = _token(
        request, web.document_id(request), str(request.path_params["kind"]), int(expires)
    )
    return hmac.compare_digest(right, asked.get("token", ""))


async def fetch(request: Request) -> Response:
    """GET /documents/{id}/files/{pdf|xml}, by token or by key."""
    if not (may_open(request) or web.has_key(request)):
        raise web.Refusal(403, {"error": "La URL expiró o no es válida"})
    connection = web.context(request).connection
    document = store.read_document(connection, web.document_id(request))
    if document is None:
        raise web.not_found()
    if request.path_params["kind"] == "pdf":
        return Response(pdf(document), media_type="application/pdf")
    text = document.xml if document.xml is not None else dte(document)
    encoding = declared_encoding(text[:200].encode("ascii", "replace"))
    return Response(text.encode(encoding, "xmlcharrefreplace"), media_type="application/xml")


def pdf(document: Document) -> bytes:
    """One page that names the document: small, but every reader opens it."""
    title = f"DTE {document.dte_type} folio {document.folio or 'sin folio'}"
    stream = f"BT /F1 18 Tf 72 770 Td ({title}) Tj ET".encode("latin-1")
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources 6 0 R>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        b"<</Font<</F1 5 0 R>>>>",
    )
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj%b endobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    tail = b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, len(out))
    return out + head + table + tail


def dte(document: Document) -> str:
    """The document as an unsigned DTE (SII Formato DTE 2.2, the fields the world knows)."""
    d = document
    body = "Exportaciones" if d.currency != "CLP" else "Documento"
    inside = "".join(
        (
            "<Encabezado>",
            _group("IdDoc", _identity(d)),
            _group("Emisor", (("RUTEmisor", d.sender.rut), ("RznSoc", d.sender.name))),
            _group("Receptor", (("RUTRecep", d.receiver.rut), ("RznSocRecep", d.receiver.name))),
            _group("Totales", _totals(d)),
            "</Encabezado>",
            *(_detail(d, i) for i in range(len(d.lines))),
            *(_reference(d, i) for i in range(len(d.references))),
        )
    )
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>'
        f'<DTE xmlns="http://www.sii.cl/SiiDte" version="1.0"><{body}>{inside}</{body}></DTE>'
    )


def _identity(d: Document) -> tuple[tuple[str, str | None], ...]:
    return (
        ("TipoDTE", d.dte_type),
        ("Folio", d.folio or "0"),
        ("FchEmis", d.issued_on),
        ("FmaPago", d.payment_method),
        ("FchVenc", d.due_date.isoformat() if d.due_date else None),
    )


def _totals(d: Document) -> tuple[tuple[str, str | None], ...]:
    return (
        ("TpoMoneda", "DOLAR USA" if d.currency == "USD" else None),
        ("MntNeto", _some(d.net)),
        ("MntExe", _some(d.exempt)),
        ("IVA", _some(d.iva)),
        ("MntTotal", str(d.total)),
    )


def _some(amount: Decimal) -> str | None:
    return str(amount) if amount else None


def _detail(d: Document, index: int) -> str:
    line = d.lines[index]
    code = _group("CdgItem", (("TpoCodigo", line.item_type_code), ("VlrCodigo", line.item_code)))
    return (
        "<Detalle>"
        + _elements((("NroLinDet", line.line_number),))
        + (code if line.item_code else "")
        + _elements(
            (
                ("IndExe", "1" if line.is_exempt else None),
                ("NmbItem", line.item_name),
                ("DscItem", line.item_description),
                ("QtyItem", line.quantity),
                ("UnmdItem", line.unit),
                ("PrcItem", line.unit_price),
                ("DescuentoPct", line.discount_percent),
                ("MontoItem", line.item_total),
            )
        )
        + "</Detalle>"
    )


def _reference(d: Document, index: int) -> str:
    reference = d.references[index]
    return _group(
        "Referencia",
        (
            ("NroLinRef", str(index + 1)),
            ("TpoDocRef", reference.dte_type_code),
            ("FolioRef", reference.reference_folio),
            ("FchRef", reference.reference_date),
            ("CodRef", reference.reference_code),
            ("RazonRef", reference.reference_reason),
        ),
    )


def _group(name: str, fields: tuple[tuple[str, str | None], ...]) -> str:
    return f"<{name}>{_elements(fields)}</{name}>"


def _elements(fields: tuple[tuple[str, str | None], ...]) -> str:
    return "".join(f"<{n}>{escape(v)}</{n}>" for n, v in fields if v is not None)


def _token(request: Request, document_id: int, kind: str, expires: int) -> str:
    secret = store.meta(web.context(request).connection, "url_secret")
    message = f"{document_id}/{kind}/{expires}"
    return hmac.new(secret.encode(), message.encode(), "sha256").hexdigest()
