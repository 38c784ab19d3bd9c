"""The files of a document, PDF and XML, fetched at once: their URLs live about an hour."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tupana_etl import analysis, home
from tupana_etl.api.client import Client
from tupana_etl.domain import canonical_rut
from tupana_etl.errors import ApiError, AuthError, ConfigError, NotFound, ServerError
from tupana_etl.settings import Settings

KINDS = ("pdf", "xml")

_SOURCES = {"pdf": ("pdf", "pdf_url", "pdf_file"), "xml": ("xml", "xml_url", "xml_file")}
"""Where a detail may hold each file, best first. ``xml`` is the text itself or a URL."""

_ENCODING = re.compile(r"""<\?xml[^>]*encoding=["']([A-Za-z0-9._-]+)["']""")


@dataclass
class Kept:
    """What was kept of one document, and why the rest was not."""

    document_id: str
    issuer_rut: str
    dte_type_code: str
    folio: str
    paths: dict[str, Path] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Kind → why: the API does not have it."""
    failed: dict[str, str] = field(default_factory=dict)
    """Kind → why: it is there, and could not be fetched."""


async def keep(document: str, settings: Settings, kinds: Sequence[str] = KINDS) -> Kept:
    """Fetches the files of a document, named by id or ``ISSUER_RUT:TYPE:FOLIO``, into
    ``files/<issuer>/<type>-<folio>.<kind>`` of the home.

    A file that is not to be had is in ``missing`` or ``failed``, not raised. Raises
    ConfigError for a document that cannot be named like that or was not synced, NotFound,
    AuthError and what ``Client.get`` raises.
    """
    document_id = _document_id(document, settings)
    async with Client(settings.need_key()) as client:
        detail = await _detail(client, document_id)
        kept = Kept(document_id, *_names(detail))
        folder = settings.home / "files" / _safe(kept.issuer_rut or "unknown")
        stem = f"{_safe(kept.dte_type_code or '0')}-{_safe(kept.folio or f'id{document_id}')}"
        for kind in kinds:
            try:
                content = await _content(client, detail, kind)
            except AuthError:
                raise
            except ApiError as error:
                kept.failed[kind] = str(error)
                continue
            if isinstance(content, str):
                kept.missing[kind] = content
                continue
            for level in (folder.parent, folder):  # a parent alone would be open to others
                home.prepare(level)
            kept.paths[kind] = _write(folder / f"{stem}.{kind}", content)
    return kept


async def _detail(client: Client, document_id: str) -> dict[str, Any]:
    try:
        reply = await client.get(f"/documents/{document_id}", document=document_id)
        return msgspec.json.decode(reply.body, type=dict[str, Any])
    except NotFound as error:
        raise NotFound(
            "Tu Pana has no such document, or this key may not see it.",
            status=error.status,
            request_id=error.request_id,
            document=document_id,
        ) from None
    except msgspec.MsgspecError:
        raise ServerError("The detail of the document is no JSON object.") from None


def _document_id(document: str, settings: Settings) -> str:
    if ":" not in document:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", document):
            raise ConfigError(f"{document!r} is no document id, nor ISSUER_RUT:TYPE:FOLIO.")
        return document
    parts = [part.strip() for part in document.split(":")]
    rut = canonical_rut(parts[0])
    if len(parts) != 3 or rut is None or not all(parts):
        raise ConfigError(f"{document!r}: write ISSUER_RUT:TYPE:FOLIO, such as 76086428-5:33:1042.")
    query = """SELECT id FROM raw.documents
        WHERE sender_tax_id = ? AND dte_type_code = ? AND folio = ?
        ORDER BY _deleted_at IS NOT NULL, try_cast(id AS BIGINT) DESC LIMIT 1"""
    with analysis.answer(query, settings, params=[rut, *parts[1:]]) as found:
        ids = [str(row[0]) for row in found.rows]
    if not ids:
        raise ConfigError(
            f"No document {document} was read so far. Check RUT, type and folio, or run "
            "`tupana sync documents`; a document's id works without a sync."
        )
    return ids[0]


def _names(detail: dict[str, Any]) -> tuple[str, str, str]:
    """Issuer, type and folio as the detail tells them; '' for what it does not."""
    issuer = _at(detail, "sender_tax_id", "sender.tax_id", "document_issuer.rut")
    type_code = _at(detail, "dte_type_code", "dte_type.code")
    return canonical_rut(issuer) or issuer, type_code, _at(detail, "folio")


def _at(detail: dict[str, Any], *places: str) -> str:
    for place in places:
        found: Any = detail
        for key in place.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if found is not None:
            return str(found)
    return ""


def _safe(text: str) -> str:
    """A file name, whatever the API said."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:80]


async def _content(client: Client, detail: dict[str, Any], kind: str) -> bytes | str:
    """The file's bytes, or a sentence why there are none."""
    source = next((s for n in _SOURCES[kind] if (s := _at(detail, n)).strip()), "")
    if not source:
        why = _at(detail, f"{kind}_error")
        return f"The API has no {kind.upper()} of this document{f' ({why})' if why else ''}."
    if kind == "xml" and source.lstrip("\ufeff \t\r\n").startswith("<"):
        return _encoded(source)
    content = await client.download(source.strip())
    starts = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:5]
    if not starts.startswith(b"%PDF-" if kind == "pdf" else b"<"):
        return f"What came for the {kind.upper()} is not one, so it was not kept."
    return content


def _encoded(xml: str) -> bytes:
    """The text in the encoding it declares: any other would not be read back the same."""
    declared = _ENCODING.match(xml.lstrip("\ufeff"))
    try:
        return xml.encode(declared[1] if declared else "utf-8", "xmlcharrefreplace")
    except LookupError:
        return xml.encode("utf-8")


def _write(target: Path, content: bytes) -> Path:
    """Whole or not at all, for this user alone."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as f:
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
