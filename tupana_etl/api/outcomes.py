"""What became of a POST: six classes, and the evidence for one of them.

A write has three ends, not two: done, not done, and not known. Everything that is not
proven to be one of the first two is AMBIGUOUS, and is looked up before it is repeated.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import Any

import msgspec

from tupana_etl.api.failures import capped, error_of, leaves, request_id_of, strike, what_is
from tupana_etl.api.retry import http_date
from tupana_etl.api.wire import REDIRECTS, Answer
from tupana_etl.errors import ApiError, CompanyRefused, Invalid, Refused, ServerError


class Kind(StrEnum):
    """What a POST came to."""

    NOT_SENT = "not_sent"
    """No byte of the request left this machine."""
    NOT_PROCESSED = "not_processed"
    """429 or 503: the server says that it did not take it."""
    REFUSED = "refused"
    """400, 413, 422: it was looked at, and nothing was made of it."""
    HALT = "halt"
    """Nothing was made of it, and the next one would fare no better."""
    ACCEPTED = "accepted"
    """2xx with a batch id: taken in, not yet issued."""
    AMBIGUOUS = "ambiguous"
    """It may have happened, and may still happen."""


@dataclass(frozen=True)
class Item:
    """What an answer says of the document at one position of a batch."""

    index: int
    status: str = ""
    document: Mapping[str, Any] | None = field(default=None, repr=False)
    errors: str = ""


@dataclass(frozen=True)
class Outcome:
    """One POST: its class, and what proves it. Holds no secret and no request."""

    kind: Kind
    reason: str
    """A sentence for a person."""
    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    response_sha256: str | None = None
    skew: float | None = None
    """Seconds by which the server's clock is ahead of ours; None when it did not say."""
    retry_after: float | None = None
    """Seconds the server asked to wait."""
    batch_id: str | None = None
    items: tuple[Item, ...] | None = field(default=None, repr=False)
    """None when the answer names no documents."""
    refused: Mapping[int, str] = field(default_factory=dict, repr=False)
    """Positions the server refused by name, each with its reason."""
    answer: bytes = field(default=b"", repr=False)
    """The whole body, of what is answered without a batch of documents; never kept."""
    company_only: bool = False
    """A HALT that concerns one company and not the key."""


class _Document(msgspec.Struct):
    index: int
    status: str | None = None
    document: dict[str, Any] | None = None
    errors: Any = None


class Batch(msgspec.Struct):
    """A batch as POST and GET answer it."""

    batch_id: str | int | None = None
    cession_batch_id: str | int | None = None
    id: str | int | None = None
    status: str | None = None
    documents: msgspec.Raw = msgspec.Raw()
    idempotency_key: str | None = None

    @property
    def name(self) -> str | None:
        """The batch id as text; all its spellings are met."""
        return next(
            (
                str(n)
                for n in (self.batch_id, self.cession_batch_id, self.id)
                if n not in (None, "")
            ),
            None,
        )

    def items(self, secrets: tuple[str, ...] = ()) -> tuple[Item, ...] | None:
        """What it says of each document, or None when it says it in no known way."""
        try:
            found = _DOCUMENTS.decode(self.documents)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        if found is None:
            return None
        return tuple(
            Item(d.index, (d.status or "").lower(), d.document, words(d.errors, secrets))
            for d in found
        )


_BATCH = msgspec.json.Decoder(Batch)
_DOCUMENTS = msgspec.json.Decoder(list[_Document] | None)


def batch_of(body: bytes) -> Batch | None:
    """The batch in an answer, or None when it holds none."""
    try:
        return _BATCH.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def judge(
    answer: Answer,
    now: datetime,
    *,
    secrets: tuple[str, ...],
    company: str | None,
    expects_batch: bool = True,
) -> Outcome:
    """The class of a whole answer. Never raises, whatever the body.

    ``now`` is our time (UTC) when it came. With ``expects_batch`` off, any JSON object in a
    2xx is ACCEPTED.
    """
    evidence: dict[str, Any] = {
        "status": answer.status,
        "request_id": _request_id(answer, secrets),
        "answer": b"" if expects_batch else answer.body,
        "response_sha256": hashlib.sha256(answer.body).hexdigest(),
        "skew": skew_of(answer.headers, now),
    }
    if 200 <= answer.status < 300:
        return _taken(answer, evidence, secrets, expects_batch)
    if answer.status in REDIRECTS:
        # Its text would be the other place's; where it leads is nobody's business here.
        reason = (
            "The server redirects a POST: not followed, key and documents stay here. "
            "Is TUPANA_BASE_URL right?"
        )
        return Outcome(Kind.HALT, reason, **evidence)
    error = error_of(answer.status, answer.headers, answer.body, secrets=secrets, company=company)
    kind = _KINDS.get(answer.status, Kind.AMBIGUOUS)
    no_credentials = answer.status == 400 and _OF_CREDENTIALS.search(error.message)
    if no_credentials:
        kind = Kind.HALT
    return Outcome(
        kind,
        error.message,
        code=error.code,
        retry_after=error.retry_after,
        refused=_refused(answer.body, secrets) if kind is Kind.REFUSED else {},
        company_only=bool(no_credentials)
        or (kind is Kind.HALT and isinstance(error, CompanyRefused)),
        **evidence,
    )


def failure(outcome: Outcome, what: str, *, company: str, reason: str = "") -> ApiError | None:
    """The error of a call that surely made nothing; None when it did, or when nobody knows.

    ``what`` names what was asked for; ``reason`` takes the place of the outcome's own.
    """
    reason = reason or outcome.reason
    about: dict[str, Any] = {
        "status": outcome.status,
        "request_id": outcome.request_id,
        "company": company,
    }
    match outcome.kind:
        case Kind.ACCEPTED | Kind.AMBIGUOUS:
            return None
        case Kind.REFUSED:
            return Invalid(f"Tu Pana refused the {what}: {reason}", **about)
        case Kind.HALT:
            return Refused(reason, **about)
        case _:
            return ServerError(f"Nothing was registered: {reason}", **about)


_OF_CREDENTIALS = re.compile(r"credential|credencial|certificad", re.IGNORECASE)
"""A 400 for an issuer without valid SII credentials: none of its documents would fare better."""

_KINDS = {
    **dict.fromkeys((429, 503), Kind.NOT_PROCESSED),
    **dict.fromkeys((400, 413, 422), Kind.REFUSED),
    **dict.fromkeys((401, 403, 404), Kind.HALT),
}


def skew_of(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds by which the ``Date`` of an answer is ahead of ``now``; None without one."""
    moment = http_date(headers.get("date"))
    return None if moment is None else (moment - now).total_seconds()


def _taken(
    answer: Answer, evidence: dict[str, Any], secrets: tuple[str, ...], expects_batch: bool
) -> Outcome:
    batch = batch_of(answer.body)
    if batch is None:
        reason = f"The server said all is well, with {_not_a_batch(answer.body)}."
        return Outcome(Kind.AMBIGUOUS, reason, **evidence)
    if expects_batch and batch.name is None:
        return Outcome(
            Kind.AMBIGUOUS, "The server said all is well, but named no batch.", **evidence
        )
    return Outcome(
        Kind.ACCEPTED, "taken in", batch_id=batch.name, items=batch.items(secrets), **evidence
    )


def _not_a_batch(body: bytes) -> str:
    try:
        msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return what_is(body)
    return "JSON that is no batch"


def _refused(body: bytes, secrets: tuple[str, ...]) -> dict[int, str]:
    """Positions a refusal names: ``documents`` as a map by position, or as a list.

    The API page shows the map with positions as text; queued keys wrap it in ``errors``,
    others in ``details``.
    """
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return {}
    for holder in _holders(data):
        found = holder.get("documents")
        if isinstance(found, list):
            found = {str(i): what for i, what in enumerate(found)}
        if isinstance(found, dict):
            named = {
                int(place): words(what, secrets)
                for place, what in found.items()
                if place.isascii() and place.isdigit() and what
            }
            if named:
                return named
    return {}


def _holders(data: Any) -> list[dict[str, Any]]:
    if not isinstance(data, dict):
        return []
    inner = [data.get(name) for name in ("errors", "details", "error")]
    return [data, *(each for each in inner if isinstance(each, dict))]


def words(errors: Any, secrets: tuple[str, ...] = ()) -> str:
    """A few words for the errors of one document, whatever their shape."""
    shown = islice((f"{path}: {text}" if path else text for path, text in leaves(errors)), 3)
    return capped(str(strike("; ".join(shown), secrets)))


def _request_id(answer: Answer, secrets: tuple[str, ...]) -> str | None:
    found = request_id_of(answer.headers)
    return None if found is None else capped(str(strike(found, secrets)))
