"""How the issuing side behaves where nobody says how the live API does.

Every switch has the documented behaviour as its default where there is one. They are kept
in the world's file, so a restart keeps them; ``POST /_admin/switches`` sets some of them.
"""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import msgspec

from tupana_etl.sandbox import store


@dataclass(frozen=True)
class Switches:
    accepted_status: Literal[200, 201, 202] = 202
    """Of an accepted batch. 202 in the OpenAPI file, 201 in prose (DOCS-V1)."""
    accepted_body: Literal["documents", "summary"] = "documents"
    """``documents``: batch_id, status, created_at and an entry per document (OpenAPI).
    ``summary``: batch_id, status, total_documents and message (DOCS-V1, prose)."""
    replay_status: Literal[200, 201, 202] | None = None
    """Of a replay with the same key and body; null: that of the first answer."""
    processing_seconds: float = 0.0
    """From acceptance to a result, by the sandbox's clock. The first half a document is
    ``created``, then ``processing``. 0: the first read finds results."""
    step_seconds: float = 30.0
    """From one status to the next of the fault ``outcome``."""
    confirmation_seconds: float | None = None
    """For so long an issued document's entry says ``confirmation_pending`` (SDK)."""
    drafts_first: bool = False
    """Documents are in lists from acceptance on, as drafts without folio."""
    key_hours: float = 24.0
    """Life of an Idempotency-Key (LLMS); after it the same key makes a new batch."""
    key_scope: Literal["user", "api_key"] = "user"
    """Whether a rotated API key still knows the Idempotency-Keys of the old one."""
    same_key_other_body: Literal["conflict", "original"] = "conflict"
    """409 ``idempotency_key_reused`` (v2), or the original batch without a word."""
    same_key_at_once: Literal["wait", "conflict", "both"] = "wait"
    """A second POST with the key of one still in work waits for its answer, is refused
    with 409 ``idempotency_key_in_progress``, or is taken as a batch of its own."""
    intake_ms: int = 0
    """How long a POST is in work before it is stored, real time."""
    keys_burnt_by_422: bool = False
    """A refused body's key answers that refusal again, and counts as used."""
    batch_get: bool | None = None
    """Whether GET /documents/batch/{id} is there; null: since 2026-08."""
    json_param_filter: Literal["on", "ignored", "empty"] | None = None
    """``ignored``: the filter is a no-op; ``empty``: it finds nothing. null: on since
    2026-08, ignored before."""
    json_param_kept: bool = True
    """False: json_param of documents issued from now on is lost."""
    search_seconds: float = 0.0
    """From issuing until the json_param filter finds a document, by the sandbox's clock."""
    list_seconds: float = 0.0
    """From issuing until lists show a document, by the sandbox's clock."""
    repeated_payment: Literal["again", "refused", "unchanged"] = "again"
    """A PAID of what is paid: booked a second time, a 400, or 200 with event_registered
    false."""
    payments_in_states: bool = False
    """Whether PAID and UNPAID are in GET /documents/{id}/states."""
    unknown_fields: Literal["strict", "warn", "ignore"] | None = None
    """422, an entry of ``warnings``, or nothing. null: strict since 2026-08 (DOCS-NEW),
    ignored before."""
    max_documents: int = 200
    """Of a batch; 413 above it."""
    max_body_bytes: int = 10_000_000
    """Of a batch's body; a gateway's 413 above it."""
    enrollment: Literal["created", "queued"] = "created"
    """What POST /credentials answers: 201 with the credential (OpenAPI), or 202 with an
    enrollment to ask for (DOCS-NEW)."""
    enrollment_seconds: float = 15.0
    """From a queued enrollment to its end, by the sandbox's clock."""
    webhook_body: Literal["new", "old"] = "new"
    """Which generation of body events have: the documented one, or the older schema's."""
    webhook_signature: Literal["hex", "sha256", "hmac-sha256"] = "hex"
    """How the signature is spelt: bare, or with a prefix."""
    webhook_header: Literal["X-Pana-Event-Type", "X-Pana-Event"] = "X-Pana-Event-Type"
    """Which header names the event."""
    webhook_copies: int = 1
    """How often each event is delivered."""
    webhook_seconds: float = 0.0
    """From an event to its first delivery, by the sandbox's clock."""
    webhook_order: Literal["given", "reversed"] = "given"
    """In which order events of one call are delivered."""
    poison: str = ""
    """A batch whose body has this text is refused with a 422 that names no document."""


def of(connection: sqlite3.Connection) -> Switches:
    stored = store.find_meta(connection, "switches")
    return Switches() if stored is None else Switches(**msgspec.json.decode(stored))


def change(connection: sqlite3.Connection, wanted: Any) -> Switches:
    """Sets the named switches, the others stay. ValueError says what is wrong."""
    if not isinstance(wanted, dict):
        raise ValueError("The body is not an object of switches.")
    known = {f.name for f in fields(Switches)}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise ValueError(f"No switch {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    try:
        found = msgspec.convert({**asdict(of(connection)), **wanted}, Switches)
    except msgspec.ValidationError as wrong:
        raise ValueError(f"switches: {wrong}") from None
    store.set_meta(connection, "switches", msgspec.json.encode(asdict(found)).decode())
    return found
