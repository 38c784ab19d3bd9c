"""Documents that the warehouse knows, by issuer, type and folio."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tupana_etl.warehouse import source_rows

Key = tuple[str, str, str]
"""Issuer RUT (canonical), type and folio."""

AT_ONCE = 2_000
"""Documents of one question."""

_SAFE = re.compile(r"[0-9A-Za-z|-]+")
_IDENTIFIER = re.compile(r"[0-9A-Za-z_-]+")


@dataclass(frozen=True)
class Known:
    """What was published of one of the user's own issued documents."""

    document_id: str
    """Tu Pana's id on the issuer's side."""
    receiver_rut: str
    date_issued: str
    """``YYYY-MM-DD``"""
    total: Decimal
    """Pesos."""
    is_paid: bool
    is_ceded: bool


def documents(analytics: Path, keys: Collection[Key]) -> dict[Key, Known]:
    """Those of the keys that are documents issued by one of the user's companies.

    Raises ConfigError when nothing was published yet, DataError when it cannot be read.
    """
    wanted = sorted({f"{issuer}|{kind}|{folio}" for issuer, kind, folio in keys})
    wanted = [key for key in wanted if _SAFE.fullmatch(key)]
    found: dict[Key, Known] = {}
    for start in range(0, max(len(wanted), 1), AT_ONCE):
        listed = ", ".join(f"'{key}'" for key in wanted[start : start + AT_ONCE]) or "NULL"
        _, rows = source_rows.of_query(analytics, _QUERY.format(listed), what="marts.documents")
        for issuer, kind, folio, document_id, *facts in rows:
            if _IDENTIFIER.fullmatch(str(document_id)):
                found[issuer, kind, folio] = Known(str(document_id), *facts)
    return found


_QUERY = """SELECT issuer_rut, dte_type_code, folio, issued_document_id, buyer_rut,
    date_issued::VARCHAR, coalesce(total_clp, 0)::DECIMAL(18,0), coalesce(is_paid, false),
    coalesce(is_ceded, false)
FROM marts.documents WHERE issued_document_id IS NOT NULL AND doc_key IN ({})"""
