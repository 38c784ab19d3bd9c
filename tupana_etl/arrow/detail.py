"""Fills what a document's detail lacks from the tax document's own XML."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from tupana_etl.arrow.dte_xml import parse_dte

_LISTS = ("details", "references")


def xml_needed(body: bytes) -> str | None:
    """The ``xml`` of a detail (text, or a URL) that does not say its lines or references.

    None when the detail has both, or has no XML.
    """
    keys = msgspec.json.decode(body, type=dict[str, Raw])
    if all(_said(keys, name) for name in _LISTS) or not _said(keys, "xml"):
        return None
    found = msgspec.json.decode(keys["xml"])
    return found if isinstance(found, str) and found.strip() else None


def with_lists(body: bytes, xml: bytes | str) -> bytes:
    """The detail with the lines and references of its XML where it had none.

    Raises HostileXml or DataError from the parser.
    """
    keys = msgspec.json.decode(body, type=dict[str, Raw])
    dte = parse_dte(xml)
    for name, rows in zip(_LISTS, (dte.lines, dte.references), strict=True):
        if not _said(keys, name):
            keys[name] = Raw(msgspec.json.encode(rows))
    return msgspec.json.encode(keys)


def _said(keys: dict[str, Raw], name: str) -> bool:
    return name in keys and bytes(keys[name]) != b"null"
