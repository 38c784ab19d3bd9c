"""Documents that the warehouse knows, by issuer, type and folio."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True)
class Candidate:
    """What ``marts.factoring_candidates`` says of an invoice."""

    eligible: bool
    reasons: list[str]


def candidates(analytics: Path, keys: Collection[Key]) -> dict[Key, Candidate]:
    """Those of the keys that are open receivables, and whether they may be ceded."""
    return {key: Candidate(*facts) for key, facts in _asked(analytics, keys, _CANDIDATES)}


def documents(analytics: Path, keys: Collection[Key]) -> dict[Key, Known]:
    """Those of the keys that are documents issued by one of the user's companies.

    Raises ConfigError when nothing was published yet, DataError when it cannot be read.
    """
    return {
        key: Known(str(facts[0]), *facts[1:])
        for key, facts in _asked(analytics, keys, _DOCUMENTS)
        if _IDENTIFIER.fullmatch(str(facts[0]))
    }


def _asked(analytics: Path, keys: Collection[Key], sql: str) -> Iterator[tuple[Key, list[Any]]]:
    wanted = sorted({f"{issuer}|{kind}|{folio}" for issuer, kind, folio in keys})
    wanted = [key for key in wanted if _SAFE.fullmatch(key)]
    for start in range(0, max(len(wanted), 1), AT_ONCE):
        listed = ", ".join(f"'{key}'" for key in wanted[start : start + AT_ONCE]) or "NULL"
        _, rows = source_rows.of_query(analytics, sql.format(listed), what="What is published")
        for issuer, kind, folio, *facts in rows:
            yield (issuer, kind, folio), facts


_CANDIDATES = """SELECT issuer_rut, dte_type_code, folio, eligible, reasons
FROM marts.factoring_candidates
WHERE issuer_rut || '|' || dte_type_code || '|' || folio IN ({})"""

_DOCUMENTS = """SELECT issuer_rut, dte_type_code, folio, issued_document_id, buyer_rut,
    date_issued::VARCHAR, coalesce(total_clp, 0)::DECIMAL(18,0), coalesce(is_paid, false)
FROM marts.documents WHERE issued_document_id IS NOT NULL AND doc_key IN ({})"""
