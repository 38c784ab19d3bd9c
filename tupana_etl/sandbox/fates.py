"""What becomes of documents: drafts and failures, claims, payment, cession."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from tupana_etl import domain
from tupana_etl.sandbox import amounts, dates
from tupana_etl.sandbox.model import Cession, Document, Entity, Event
from tupana_etl.sandbox.parties import Cast

CLAIM_SHARE, ACKNOWLEDGE_SHARE, NEVER_PAID, CEDED_SHARE = 0.015, 0.40, 0.12, 0.08
EIGHT_DAYS = timedelta(days=8)
HANDED_ON = timedelta(days=5)
"""From a cession to the next one of the same invoice."""

PAY_MU, PAY_SIGMA, PAY_CAP = 2.944, 1.377, 365
"""Days from issue to payment, lognormal: median 19, mean 49, 63 % within 30."""

FIRST_CESSION = 91_001


def unhappy(rng: Random, documents: list[Document], cast: Cast) -> None:
    """Three drafts, one failed, one refused by SII and one dated in the future.

    All of them the user's own: nobody sees another's draft.
    """
    own = {e.rut for e in cast.own}
    plain = [
        d
        for d in documents
        if d.dte_type == "33" and d.sender.rut in own and d.receiver.rut not in own
    ]
    if len(plain) < 20:
        return
    chosen = rng.sample(plain[-max(20, len(plain) // 10) :], 6)
    for document, state in zip(
        chosen, ("draft", "draft", "draft", "failed", "rejected"), strict=False
    ):
        document.state, document.received_at = state, None
    future = chosen[-1]
    future.date_issued = cast.today + timedelta(days=3)
    if future.due_date is not None:
        future.due_date = future.date_issued + timedelta(days=30)


def live(rng: Random, documents: list[Document], today: date) -> dict[int, date]:
    """Registers events and payments up to ``today``; payment dates by ``id(document)``."""
    paid_on: dict[int, date] = {}
    for document in documents:
        if document.has_trace:
            _register(rng, document, today)
        day = _payment(rng, document)
        if day is not None and day <= today:
            paid_on[id(document)] = day
            document.is_paid = True
        touched = [e.at for e in document.events]
        document.updated_at = max(document.updated_at, *touched, document.created_at)
        document.events.sort(key=lambda e: (e.at, e.code))
    return paid_on


def _register(rng: Random, document: Document, today: date) -> None:
    if document.received_at is None:
        return
    if document.is_paid_cash:
        document.events.append(_event("PAG", document.received_at, document.receiver.rut))
        return
    dice = rng.random()
    if dice < CLAIM_SHARE:
        codes: tuple[str, ...] = (rng.choice(("RCD", "RCD", "RFP", "RFT")),)
    elif dice < CLAIM_SHARE + ACKNOWLEDGE_SHARE:
        codes = rng.choice((("ERM",), ("ERM",), ("ACD",), ("ERM", "ACD")))
    else:
        return
    at = document.received_at + timedelta(minutes=rng.randint(60, 8 * 24 * 60 - 60))
    if at > dates.end_of(today):
        return
    document.events += [
        _event(code, at + timedelta(seconds=7 * i), document.receiver.rut)
        for i, code in enumerate(codes)
    ]


def _event(code: str, at: datetime, rut: str) -> Event:
    body, digit = rut.split("-")
    return Event(code, at, body, digit)


def _payment(rng: Random, document: Document) -> date | None:
    """When it is paid, or None. Claimed, annulled and unissued documents never are."""
    days = min(round(rng.lognormvariate(PAY_MU, PAY_SIGMA)), PAY_CAP)
    never = rng.random() < NEVER_PAID
    kind = domain.DTE_TYPES[document.dte_type]
    owes = kind.book_sign > 0 and document.is_issued
    if not owes or document.has_claims or any(e.code == "NCA" for e in document.events):
        return None
    if document.is_paid_cash:
        return document.date_issued
    return None if never else document.date_issued + timedelta(days=days)


def cede(
    rng: Random, documents: list[Document], paid_on: dict[int, date], cast: Cast
) -> list[Cession]:
    """Cessions of accepted credit invoices: the newest are in process, some are refused,
    some are handed on by the first assignee."""
    times = [
        (at, document)
        for document in documents
        if (at := _cession_time(rng, document, paid_on.get(id(document)), cast.today))
    ]
    times.sort(key=lambda pair: (pair[0], pair[1].id))
    own_ruts, cessions = {e.rut for e in cast.own}, []
    for index, (at, document) in enumerate(times):
        factor = rng.choice(cast.factors)
        mine = document.sender.rut in own_ruts
        status = _cession_status(index, len(times))
        cessions.append(_cession(rng, document, factor, at, status, internal=mine))
        later = at + HANDED_ON
        if status == "success" and index % 9 == 4 and later < dates.end_of(cast.today):
            other = rng.choice([f for f in cast.factors if f.rut != factor.rut])
            cessions.append(_cession(rng, document, other, later, "success", internal=False))
    cessions.sort(key=lambda c: (c.created_at, c.document_id))
    for number, cession in enumerate(cessions, FIRST_CESSION):
        cession.id = number
    return cessions


def _cession_status(index: int, count: int) -> str:
    if index >= count - 2:
        return "processing"
    return "rejected" if index % 13 == 6 else "success"


def _cession_time(
    rng: Random, document: Document, paid: date | None, today: date
) -> datetime | None:
    if rng.random() >= CEDED_SHARE or not document.has_trace or document.received_at is None:
        return None
    if document.payment_method != "2" or document.has_claims or document.has_credit_note:
        return None
    waits = timedelta(0) if document.has_acknowledgments else EIGHT_DAYS
    accepted = max([document.received_at + waits, *(e.at for e in document.events)])
    at = accepted + timedelta(hours=rng.randint(2, 200))
    too_late = at > dates.end_of(today) or (paid is not None and dates.local_day(at) >= paid)
    return None if too_late else at


def _cession(
    rng: Random, document: Document, factor: Entity, at: datetime, status: str, *, internal: bool
) -> Cession:
    share = Decimal("0.95") if rng.random() < 0.1 else Decimal(1)
    if status == "success":
        document.events.append(_event("CED", at, document.sender.rut))
    return Cession(
        id=0,
        document_id=document.id,
        assignee_rut=factor.rut,
        assignee_name=factor.name,
        assignee_id=factor.id if rng.random() < 0.6 else None,
        amount=amounts.half_up(document.total * share),
        status=status,
        status_message="Monto o deudor no corresponde" if status == "rejected" else None,
        source="internal" if internal and rng.random() < 0.75 else "external",
        sent_at=at if status != "processing" else None,
        created_at=at + timedelta(seconds=rng.randint(5, 600)),
    )
