"""Who sent a body: HMAC-SHA256 of its raw bytes, in the three spellings that are documented.

Source: the vendor's webhook pages (bare hex; ``hmac-sha256=`` in the older ones) and its
Python package (bare hex, ``sha256=`` also accepted). Neither time nor event id is signed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

HEADER = "X-Pana-Signature"
PREFIXES = ("hmac-sha256=", "sha256=", "")


def sign(body: bytes, secret: str) -> str:
    """The bare hex signature of a body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_genuine(body: bytes, signature: str, secrets: Iterable[str]) -> bool:
    """Whether one of the secrets signed exactly these bytes. Compares in constant time.

    Every secret is tried: two are in force while one is being rotated.
    """
    prefix = next(p for p in PREFIXES if signature.lower().startswith(p))
    # Bytes: the comparison refuses text that is not ASCII, and a header may hold any.
    given = signature[len(prefix) :].strip().lower().encode()
    found = [hmac.compare_digest(sign(body, secret).encode(), given) for secret in secrets]
    return any(found)
