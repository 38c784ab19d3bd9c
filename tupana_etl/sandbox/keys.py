"""API keys of the sandbox's one user: what each may do and where its documents go."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any, Literal

import msgspec

from tupana_etl.sandbox import store

DEMO_KEY = "sandbox-demo-key"
PRODUCTION_KEY = "production-demo-key"
READER_KEY = "reader-demo-key"


@dataclass(frozen=True)
class Key:
    """``production`` documents get a number as folio, ``sandbox`` ones ``SANDBOX-{id}``."""

    environment: Literal["sandbox", "production"] = "sandbox"
    can_issue: bool = True
    """Permission ``document:create``."""
    is_valid: bool = True
    name: str = ""
    """Tells keys apart without showing them."""


@cache
def standing(own: str) -> dict[str, Key]:
    """The keys a server starts with: its own, one of production, one that only reads."""
    keys = {own: Key(), PRODUCTION_KEY: Key("production"), READER_KEY: Key(can_issue=False)}
    return {text: replace(key, name=named(text)) for text, key in keys.items()}


def named(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def find(connection: sqlite3.Connection, own: str, authorization: str) -> Key | None:
    """The key a request was sent with; None for a missing, wrong or withdrawn one."""
    for text, key in _known(connection, own):
        if hmac.compare_digest(authorization.encode(), f"Api-Key {text}".encode()):
            return key if key.is_valid else None
    return None


def change(connection: sqlite3.Connection, own: str, text: str, wanted: dict[str, Any]) -> Key:
    """Makes or changes a key, for good. ValueError says what is wrong."""
    before = dict(_known(connection, own)).get(text, Key(name=named(text)))
    try:
        key = msgspec.convert({**asdict(before), **wanted, "name": named(text)}, Key)
    except msgspec.ValidationError as wrong:
        raise ValueError(f"key: {wrong}") from None
    changed = {**_changed(connection), text: asdict(key)}
    store.set_meta(connection, "keys", msgspec.json.encode(changed).decode())
    return key


def _known(connection: sqlite3.Connection, own: str) -> Iterator[tuple[str, Key]]:
    changed = _changed(connection)
    for text, key in standing(own).items():
        if text not in changed:
            yield text, key
    for text, told in changed.items():
        yield text, Key(**told)


def _changed(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    stored = store.find_meta(connection, "keys")
    found: dict[str, dict[str, Any]] = {} if stored is None else msgspec.json.decode(stored)
    return found
