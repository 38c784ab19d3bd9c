"""From the rows of a source to the payments that would be booked and the acts that would be
registered at SII, or to what is wrong."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from tupana_etl import domain
from tupana_etl.outbox import about, cells, known, legal_acts
from tupana_etl.outbox.about import Asked
from tupana_etl.outbox.drafts import Draft, Row, canonical
from tupana_etl.outbox.known import Known, Received
from tupana_etl.outbox.legal_acts import Act
from tupana_etl.outbox.payment_contract import ACCEPTANCES, COLUMNS, LEGAL_ACTS, PAYABLE
from tupana_etl.outbox.reasons import Problem
from tupana_etl.outbox.states import PAYMENT


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


def entry_of(payload: bytes | None) -> Payment | Act:
    """What a row asks for: an entry on one of our documents, or an act about one received."""
    payment = msgspec.json.decode(payload or b"", type=Payment)
    if payment.event_code not in LEGAL_ACTS:
        return payment
    return msgspec.json.decode(payload or b"", type=Act)


def act_of(op: str, payload: bytes | None) -> Act | None:
    """The act at SII that a row asks for; None of every other row."""
    entry = None if op != PAYMENT or payload is None else entry_of(payload)
    return entry if isinstance(entry, Act) else None


@dataclass(frozen=True)
class Terms:
    """Under which a source is planned."""

    now: datetime
    allow_claims: bool = False
    under_way: Collection[str] = ()
    """Row keys that were sent: whether they may be sent is no question any more."""


def payment_drafts(rows: Sequence[tuple[str, Row]], analytics: Path, terms: Terms) -> list[Draft]:
    """One draft a row, in the order of the source.

    ``rows`` are (place, columns); ``analytics`` is the published database. Raises
    ConfigError when nothing was published yet.
    """
    asked = [_read(place, row, terms) for place, row in rows]
    acts = [each for each in asked if _is_act(each)]
    issued = known.documents(analytics, about.documents_of(e for e in asked if not _is_act(e)))
    received = known.received(analytics, about.documents_of(acts)) if acts else {}

    def find(each: Asked) -> Known | None:
        if each.document is None:
            return None
        return received.get(each.document) if _is_act(each) else issued.get(each.document)

    beside = _beside(asked, acts, terms)
    drafts = []
    for each in about.sound(asked, find, _subject):
        found = find(each)
        if isinstance(found, Received):
            drafts.append(_act(each, found, beside, terms))
        else:
            drafts.append(_payment(each, found))
    return about.once(drafts)


def _read(place: str, row: Row, terms: Terms) -> Asked:
    problems: list[Problem] = []
    legal = str(row.get("event")).strip().upper()
    if legal in LEGAL_ACTS:
        row = {**row, "event": legal}
        if not terms.allow_claims and str(row.get("row_key")).strip() not in terms.under_way:
            problems.append(_not_allowed(legal))
    excuse = row.get("no_match")
    if not cells.is_empty(excuse):
        problems.append(Problem("no_match", " ".join(str(excuse).split())[:300]))
        row = {**row, "no_match": None}
    return about.read(place, row, COLUMNS, _check, problems)


def _is_act(asked: Asked) -> bool:
    return asked.values.get("event") in LEGAL_ACTS


def _subject(asked: Asked) -> Hashable:
    """Paid or not is one question; of acts, each is one."""
    return asked.document, asked.values.get("event") if _is_act(asked) else ""


def _check(values: Mapping[str, Any]) -> Iterator[Problem]:
    if values["event"] in LEGAL_ACTS:
        yield from legal_acts.check(values)
        return
    paid_on = values.get("paid_on")
    if values["dte_type"] not in PAYABLE:
        kinds = ", ".join(PAYABLE)
        yield Problem("bad_value", f"Only {kinds} are marked as paid, no {values['dte_type']}.")
    if "reason" in values:
        yield Problem(
            "not_for_type", "reason is filled, and is for acceptances and claims; take source."
        )
    if values["event"] == "PAID" and paid_on is None:
        yield Problem("missing", "paid_on is empty; a payment has a day.")
    elif paid_on is not None and paid_on > domain.today():
        yield Problem("out_of_range", f"paid_on is {paid_on}, a day that is still to come.")


def _not_allowed(code: str) -> Problem:
    return Problem(
        "legal_act",
        f"{code} is an acceptance or a claim at SII, a legal act of the receiver. Plan it with "
        "--allow-claims if that is what you want.",
    )


Beside = Callable[[Asked], Iterator[Problem]]


def _beside(asked: Sequence[Asked], acts: Sequence[Asked], terms: Terms) -> Beside:
    """What the other rows of the source say against an act."""
    payments = sum(1 for each in asked if each.values.get("event") and not _is_act(each))
    said = {(e.document, e.values["event"] in ACCEPTANCES) for e in acts}

    def problems(each: Asked) -> Iterator[Problem]:
        if payments and terms.allow_claims:
            yield Problem(
                "legal_act",
                "Acceptances and claims have an approval of their own: plan them from a source "
                "that holds no payments.",
            )
        if {(each.document, True), (each.document, False)} <= said:
            yield Problem(
                "same_document",
                "The source accepts and claims this document; keep what is right.",
            )

    return problems


def _act(asked: Asked, found: Received, beside: Beside, terms: Terms) -> Draft:
    draft, code = asked.draft(found), asked.values["event"]
    draft = replace(draft, company=found.receiver_rut)
    if asked.problems:
        return draft
    if asked.key not in terms.under_way:
        problems = (*beside(asked), *legal_acts.of_the_document(code, found, terms.now))
        if problems:
            return replace(draft, problems=problems)
    until = found.deadline
    act = Act(
        found.document_id,
        code,
        asked.values["reason"],
        asked.values["issuer_rut"],
        None if until is None else until.isoformat(),
    )
    there = code in found.events or until is None
    said = {"document": asked.document, "event": code, "reason": act.reason}
    return replace(
        draft,
        payload=canonical(act),
        said_sha256=hashlib.sha256(canonical(said)).hexdigest(),
        until="" if until is None else legal_acts.told(until),
        remark="It is registered already: it is adopted, nothing is sent." if there else "",
    )


def _payment(asked: Asked, found: Known | None) -> Draft:
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
