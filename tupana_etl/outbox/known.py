"""Documents that the warehouse knows, by issuer, type and folio."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
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
    """What was published of a document of one of the user's own companies."""

    document_id: str
    """Tu Pana's id on the side of that company."""
    receiver_rut: str
    date_issued: str
    """``YYYY-MM-DD``"""
    total: Decimal
    """Pesos."""
    is_paid: bool


@dataclass(frozen=True)
class Received(Known):
    """What was published of a document that one of the user's own companies received."""

    acceptance: str | None
    """As in ``marts.documents``; None of types that SII's register does not know."""
    deadline: datetime | None
    """End of the eight days to accept or claim; None when SII's reception is not known."""
    payment_method: str | None
    events: frozenset[str]
    """Codes of SII's register, as far as they were read."""


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


def received(analytics: Path, keys: Collection[Key]) -> dict[Key, Received]:
    """Those of the keys that are documents received by one of the user's companies; raises as
    :func:`documents`."""
    return {
        key: _received(*facts)
        for key, facts in _asked(analytics, keys, _RECEIVED)
        if _IDENTIFIER.fullmatch(str(facts[0]))
    }


def _received(document_id: Any, *facts: Any) -> Received:
    receiver, date, total, is_paid, acceptance, until, method, events = facts
    return Received(
        str(document_id),
        receiver,
        date,
        total,
        is_paid,
        acceptance=acceptance,
        deadline=datetime.fromisoformat(until) if until else None,
        payment_method=method,
        events=frozenset(events or ()),
    )


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

# The receiver is whoever is not the issuer: of a 43 that is the seller.
_RECEIVED = """SELECT issuer_rut, dte_type_code, folio, received_document_id,
    if(issuer_rut = seller_rut, buyer_rut, seller_rut),
    date_issued::VARCHAR, coalesce(total_clp, 0)::DECIMAL(18,0), coalesce(is_paid, false),
    acceptance, strftime(timezone('UTC', accept_deadline), '%Y-%m-%dT%H:%M:%S+00:00'),
    payment_method,
    (SELECT list(e.event_code) FROM raw.document_states AS e
     WHERE e.document_id IN (d.received_document_id, d.issued_document_id)
     AND e._deleted_at IS NULL)
FROM marts.documents AS d WHERE received_document_id IS NOT NULL AND doc_key IN ({})"""
