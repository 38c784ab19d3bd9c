"""From the rows of a source to the payments that would be booked, or to what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from tupana_etl import domain
from tupana_etl.outbox import cells, known
from tupana_etl.outbox.drafts import Draft, Row, canonical, key_of
from tupana_etl.outbox.known import Known
from tupana_etl.outbox.payment_contract import COLUMNS, LEGAL_ACTS
from tupana_etl.outbox.reasons import Problem, Unfit


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


@dataclass(frozen=True)
class _Read:
    place: str
    key: str
    values: dict[str, Any]
    problems: tuple[Problem, ...]

    @property
    def document(self) -> known.Key | None:
        names = ("issuer_rut", "dte_type", "folio")
        issuer, kind, folio = (self.values.get(name) for name in names)
        if not (issuer and kind and folio):
            return None
        return domain.canonical_rut(issuer) or "", kind, folio


def payment_drafts(rows: Sequence[tuple[str, Row]], analytics: Path) -> list[Draft]:
    """One draft a row, in the order of the source.

    ``rows`` are (place, columns); ``analytics`` is the published database. Raises
    ConfigError when nothing was published yet.
    """
    read = [_read(place, row) for place, row in rows]
    documents = known.documents(analytics, {r.document for r in read if r.document})
    keys = Counter(r.key for r in read if r.key)
    about = Counter(r.document for r in read)
    drafts = []
    for each in read:
        found = documents.get(each.document) if each.document else None
        problems = [*_repeated(each, keys, about), *each.problems]
        if not problems and found is None:
            problems = [_unknown(each)]
        drafts.append(_draft(each, found, problems))
    return _once(drafts)


def _read(place: str, row: Row) -> _Read:
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    try:
        key = str(cells.read(COLUMNS["row_key"], key_of(row)))
    except Unfit as unfit:
        return _Read(place, "", values, (unfit.problem,))
    legal = str(row.get("event")).strip().upper()
    if legal in LEGAL_ACTS:
        problems.append(_legal_act(legal))
        row = {**row, "event": None}
    excuse = row.get("no_match")
    if not cells.is_empty(excuse):
        problems.append(Problem("no_match", " ".join(str(excuse).split())[:300]))
    for column in COLUMNS.values():
        if column.name in ("row_key", "no_match") or cells.is_empty(row.get(column.name)):
            continue
        try:
            values[column.name] = cells.read(column, row[column.name])
        except Unfit as unfit:
            problems.append(unfit.problem)
    return _Read(place, key, values, (*problems, *(() if problems else _missing(values))))


def _missing(values: dict[str, Any]) -> Iterator[Problem]:
    for column in COLUMNS.values():
        if column.always and column.name != "row_key" and column.name not in values:
            yield Problem("missing", f"{column.name} is empty.")
    if values.get("event") == "PAID":
        paid_on = values.get("paid_on")
        if paid_on is None:
            yield Problem("missing", "paid_on is empty; a payment has a day.")
        elif paid_on > domain.today():
            yield Problem("out_of_range", f"paid_on is {paid_on}, a day that is still to come.")


def _legal_act(code: str) -> Problem:
    return Problem(
        "legal_act",
        f"{code} is an acceptance or a claim at SII, a legal act of the receiver. It is never "
        "sent from rows; do it at Tu Pana or at SII.",
    )


def _repeated(
    read: _Read, keys: Counter[str], about: Counter[known.Key | None]
) -> Iterator[Problem]:
    if keys[read.key] > 1:
        yield Problem(
            "duplicate_row_key",
            f"The row key {read.key} stands {keys[read.key]} times. Each payment has its own.",
        )
    elif read.document and about[read.document] > 1:
        yield Problem(
            "same_document",
            f"{about[read.document]} rows of the source are about this document. A document is "
            "paid whole or not at all; keep the one row that says how it stands.",
        )


def _unknown(read: _Read) -> Problem:
    issuer, kind, folio = read.document or ("", "", "")
    return Problem(
        "unknown_document",
        f"The warehouse knows no {kind} folio {folio} issued by your company {issuer}. Is the "
        "folio right? A document issued since the last sync is known after `tupana sync`.",
    )


def _draft(read: _Read, found: Known | None, problems: Sequence[Problem]) -> Draft:
    values = read.values
    draft = Draft(
        read.key,
        read.place,
        dte_type=values.get("dte_type", ""),
        issuer_rut=values.get("issuer_rut", ""),
        folio=values.get("folio"),
        problems=tuple(problems),
    )
    if found is None:
        return draft
    draft = replace(
        draft,
        receiver_rut=found.receiver_rut,
        date_issued=found.date_issued,
        clp=found.total,
        document_id=found.document_id,
    )
    if problems:
        return draft
    day = values.get("paid_on")
    payment = Payment(
        found.document_id, values["event"], day and day.isoformat(), values.get("source")
    )
    told = "paid" if payment.is_paid else "not paid"
    same = f"It reads as {told} already: it is adopted, nothing is sent."
    remark = same if found.is_paid is payment.is_paid else ""
    return replace(draft, payload=canonical(payment), remark=remark)


def _once(drafts: Sequence[Draft]) -> list[Draft]:
    """A row key once: of those that stand several times, the first speaks for all."""
    return [*{d.row_key: d for d in reversed(drafts) if d.row_key}.values()][::-1] + [
        d for d in drafts if not d.row_key
    ]
