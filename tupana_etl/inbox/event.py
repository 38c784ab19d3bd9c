"""What a verified body is about: its type, its document or batch, its time, in both generations.

Now ``{event, created_at, data: {id}}``; once ``{event, timestamp, delivery_id,
data: {document_id}}``. An event of a batch names it as ``data.batch_id`` or ``data.id``: no
page shows one, so both are read. Nothing else of a body is kept: it holds personal data and
links that open documents, and whatever it says is read from the API anyway.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from tupana_etl.domain import SANTIAGO

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TYPE = re.compile(r"[a-z0-9_.]{1,64}")
_UUIDISH = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


@dataclass(frozen=True)
class Event:
    """One delivery. Texts are '' when it does not say, or says something absurd."""

    event_type: str
    document_id: str
    event_id: str
    delivery_id: str
    body_sha256: str
    batch_id: str = ""
    announced_at: datetime | None = None
    """When it happened, as the signed body says."""

    @property
    def is_about_a_document(self) -> bool:
        return self.event_type.startswith("document.") and bool(self.document_id)

    @property
    def is_about_a_batch(self) -> bool:
        return self.event_type.startswith("batch.") and bool(self.batch_id)


class _Data(msgspec.Struct):
    id: Any = None
    document_id: Any = None
    batch_id: Any = None


class _Body(msgspec.Struct):
    event: Any = None
    created_at: Any = None
    timestamp: Any = None
    delivery_id: Any = None
    data: msgspec.Raw = msgspec.Raw()


_BODY = msgspec.json.Decoder(_Body)
_DATA = msgspec.json.Decoder(_Data)


def read(body: bytes, headers: Mapping[str, str]) -> Event:
    """The event of a verified body. Never raises: what cannot be read has no type.

    The type is the body's, which is signed; the headers are not, and only fill a gap.
    """
    told, data = _Body(), _Data()
    try:
        told = _BODY.decode(body)
        data = _DATA.decode(told.data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # an event without a document is kept and told of as such
    named = headers.get("x-pana-event-type") or headers.get("x-pana-event")
    delivery = headers.get("x-pana-delivery") or _text(told.delivery_id)
    event_type = _plain(_TYPE, _text(told.event) or named)
    is_batch = event_type.startswith("batch.")
    document, batch = (data.document_id, data.id) if is_batch else (data.id, None)
    return Event(
        event_type=event_type,
        document_id=_plain(_ID, _text(document) or _text(data.document_id)),
        event_id=_plain(_UUIDISH, headers.get("x-pana-event-id")),
        delivery_id=_plain(_UUIDISH, delivery),
        body_sha256=hashlib.sha256(body).hexdigest(),
        batch_id=_plain(_ID, _text(data.batch_id) or _text(batch)),
        announced_at=_moment(told.created_at) or _moment(told.timestamp),
    )


def _moment(value: object) -> datetime | None:
    """A time of a body; one without a zone is Santiago's, as in traces."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        return found.replace(tzinfo=found.tzinfo or SANTIAGO) if found else None
    except ValueError:
        return None


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _plain(pattern: re.Pattern[str], text: str | None) -> str:
    return text if text and pattern.fullmatch(text) else ""
