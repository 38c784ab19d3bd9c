"""Whether documents go to the sandbox: proven by where they go or by what came back.

Both environments share a host, and the same key becomes real one day. So a label proves
nothing: a loopback address does, and so does the last document this key issued from here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tupana_etl.api import origin
from tupana_etl.api.client import Client
from tupana_etl.errors import ConfigError, Refused
from tupana_etl.outbox import facts
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.settings import Settings

SANDBOX, PRODUCTION, UNPROVEN = "sandbox", "production", "unproven"


@dataclass(frozen=True)
class Proof:
    """Where documents go, and how that is known."""

    environment: str
    """``sandbox``, ``production`` or ``unproven``."""
    why: str
    """A sentence for a person and for the ledger."""
    by_address: bool = False
    """Proven by where requests go, so that no document can contradict it."""

    @property
    def is_sandbox(self) -> bool:
        return self.environment == SANDBOX


def is_loopback(settings: Settings) -> bool:
    """True when the API is a server on this machine."""
    place = origin.origin_of(settings.base_url)
    return place is not None and place[1] in origin.LOOPBACK


async def prove(ledger: Ledger, settings: Settings, client: Client) -> Proof:
    """Where this key's documents go, by evidence.

    Reads back the last document that this ledger issued with this key. Raises ConfigError
    when TUPANA_ENVIRONMENT says otherwise: then nothing may be sent.
    """
    proof = await _evidence(ledger, settings, client)
    check_label(settings, proof)
    return proof


def check_label(settings: Settings, proof: Proof) -> None:
    """Raises ConfigError when the label and the evidence contradict each other."""
    label = settings.environment
    if label and proof.environment not in (UNPROVEN, label):
        raise ConfigError(
            f"TUPANA_ENVIRONMENT says {label}, but this is {proof.environment}: {proof.why} "
            "Nothing was sent. Correct the variable, or the key."
        )


async def _evidence(ledger: Ledger, settings: Settings, client: Client) -> Proof:
    if is_loopback(settings):
        return Proof(SANDBOX, "the API is a server on this machine.", by_address=True)
    last = ledger.meta(_last_of(settings))
    if not last:
        return Proof(UNPROVEN, "this key has issued nothing from this home yet.")
    try:
        reply = await client.get(f"/documents/{last}", document=last)
    except Refused:
        return Proof(UNPROVEN, f"document {last}, the last this key issued, cannot be read.")
    found = facts.of_body(reply.body)
    if found is None or not found.issued:
        return Proof(UNPROVEN, f"document {last} does not say where it was issued.")
    return of_document(found)


def of_document(found: facts.Facts) -> Proof:
    """What an issued document that was read back proves."""
    if found.sandbox:
        return Proof(SANDBOX, f"document {found.id} was read back as a sandbox document.")
    return Proof(PRODUCTION, f"document {found.id} was read back as a real document.")


def remember(ledger: Ledger, settings: Settings, document_id: str) -> None:
    """Keeps the last document that this key issued. Expects a transaction."""
    ledger.set_meta(_last_of(settings), document_id)


def key_fingerprint(settings: Settings) -> str:
    """Tells keys apart without showing them."""
    return hashlib.sha256(b"tupana key\0" + settings.api_key.encode()).hexdigest()[:16]


def _last_of(settings: Settings) -> str:
    return f"last_document.{key_fingerprint(settings)}"
