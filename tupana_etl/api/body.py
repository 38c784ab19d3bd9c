r"""Whether an answer is JSON, and what is done about halves of characters in it.

A text cut after so many UTF-16 units may end in one: ``"\ud83d"`` alone is JSON by the grammar
(RFC 8259 §8.2) and stands for no character. One in a name would make its page, and so the
window that page is of, unreadable for ever.
"""

from __future__ import annotations

import re

import msgspec

_JSON = msgspec.json.Decoder(msgspec.Raw)

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # both halves
    rb"|(u[dD][89a-fA-F][0-9a-fA-F]{2})"  # one
    rb"|.)",  # any other: its second character begins no escape
    re.DOTALL,
)


def json_of(body: bytes) -> bytes | None:
    """The body if it is JSON, whole and well formed, with U+FFFD for half a character."""
    if _is_json(body):
        return body
    mended = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
    return mended if mended != body and _is_json(mended) else None


def _is_json(body: bytes) -> bool:
    """It is only skipped through, at gigabytes a second."""
    try:
        _JSON.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True
