"""From the rows of a source to the payments that would be booked, or to what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from tupana_etl import domain
from tupana_etl.outbox import about, cells, known
from tupana_etl.outbox.about import Asked
from tupana_etl.outbox.drafts import Draft, Row, canonical
from tupana_etl.outbox.known import Known
from tupana_etl.outbox.payment_contract import COLUMNS, LEGAL_ACTS
from tupana_etl.outbox.reasons import Problem


class Payment(msgspec.Struct, frozen=True):
    """What was approved: which entry on which document. The ledger keeps it as JSON."""

    document_id: str
    event_code: str
    """``PAID`` or ``UNPAID``."""
    paid_on: str | None = None
    source: str | None = None

    @property
    def is_paid(self) -> bool:
        """How the document shall read."""
        return self.event_code == "PAID"

    @property
    def body(self) -> bytes:
        """What is sent: the API takes no more."""
        return canonical({"event_code": self.event_code})


def payment_of(payload: bytes | None) -> Payment:
    """The payment a row asks for."""
    return msgspec.json.decode(payload or b"", type=Payment)


def payment_drafts(rows: Sequence[tuple[str, Row]], analytics: Path) -> list[Draft]:
    """One draft a row, in the order of the source.

    ``rows`` are (place, columns); ``analytics`` is the published database. Raises
    ConfigError when nothing was published yet.
    """
    asked = [_read(place, row) for place, row in rows]
    documents = known.documents(analytics, about.documents_of(asked))
    drafts = [
        _draft(each, documents.get(each.document) if each.document else None)
        for each in about.sound(asked, documents)
    ]
    return about.once(drafts)


def _read(place: str, row: Row) -> Asked:
    problems: list[Problem] = []
    legal = str(row.get("event")).strip().upper()
    if legal in LEGAL_ACTS:
        problems.append(_legal_act(legal))
        row = {**row, "event": None}
    excuse = row.get("no_match")
    if not cells.is_empty(excuse):
        problems.append(Problem("no_match", " ".join(str(excuse).split())[:300]))
        row = {**row, "no_match": None}
    return about.read(place, row, COLUMNS, _check, problems)


def _check(values: Mapping[str, Any]) -> Iterator[Problem]:
    paid_on = values.get("paid_on")
    if values["event"] == "PAID" and paid_on is None:
        yield Problem("missing", "paid_on is empty; a payment has a day.")
    elif paid_on is not None and paid_on > domain.today():
        yield Problem("out_of_range", f"paid_on is {paid_on}, a day that is still to come.")


def _legal_act(code: str) -> Problem:
    return Problem(
        "legal_act",
        f"{code} is an acceptance or a claim at SII, a legal act of the receiver. It is never "
        "sent from rows; do it at Tu Pana or at SII.",
    )


def _draft(asked: Asked, found: Known | None) -> Draft:
    draft, values = asked.draft(found), asked.values
    if found is None or asked.problems:
        return draft
    day = values.get("paid_on")
    payment = Payment(
        found.document_id, values["event"], day and day.isoformat(), values.get("source")
    )
    told = "paid" if payment.is_paid else "not paid"
    same = f"It reads as {told} already: it is adopted, nothing is sent."
    remark = same if found.is_paid is payment.is_paid else ""
    return replace(draft, payload=canonical(payment), remark=remark)
