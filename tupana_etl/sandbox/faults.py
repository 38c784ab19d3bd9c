"""Scripts of what goes wrong: plain data, drawn from a seed or written by a test."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import msgspec

KINDS = {
    "429": "Too many requests; argument: seconds or 'date' for Retry-After, null for none.",
    "500": "An error of the server, as JSON.",
    "502_html": "A gateway's HTML page.",
    "503": "Busy; argument as of 429.",
    "401": "The key is refused.",
    "not_json": "200 with an HTML page.",
    "reset": "The connection is reset before an answer.",
    "reset_body": "The connection closes halfway through the body.",
    "truncated": "A whole answer of half a body: the length is right, the JSON is cut.",
    "slow": "The body drips over argument milliseconds (1000).",
    "403_company": "A company's lists answer 403.",
    "hide_company": "A company is gone from /credentials and everything of it answers 403.",
    "empty": "A list of a company that has rows answers none.",
    "insert_while_paging": "A document appears in the list just asked for; argument: its date.",
    "delete_while_paging": "A document of the list just asked for is deleted; argument: its id.",
    "unknown_fields": "Keys nobody documented on every second row of a page.",
    "wrong_types": "One row of a page has an object in a field; argument: which field.",
}
"""Kinds of faults and what their argument says."""

OF_COMPANY = frozenset({"403_company", "hide_company", "empty"})
"""Need a company."""

SOME = 6
"""Faults of a random script, unless a number is asked for."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong, where, after how many matching requests and how many times.

    Only requests with the right key are seen. ``insert_while_paging`` and
    ``delete_while_paging`` see list pages of /documents, the other kinds that change a
    list see lists.
    """

    kind: str
    path: str = ""
    """Beginning of the path without /v1; empty for every path."""
    company: str | int = ""
    """Id of the company that the request is about; empty for any."""
    skip: int = 0
    times: int | None = 1
    """None: until the script is replaced."""
    argument: str | int | None = None


@dataclass
class Watched:
    """A fault on duty. A hit without effect (an empty page has no row to spoil) is undone."""

    fault: Fault
    seen: int = 0
    hits: int = 0

    def strikes(self) -> bool:
        """Counts a matching request; whether the fault is due on it."""
        self.seen += 1
        times = self.fault.times
        return self.seen > self.fault.skip and (times is None or self.hits < times)


class Script:
    """The faults that a server follows: of those due on a request, the first strikes."""

    def __init__(self, faults: list[Fault]) -> None:
        self.watched: list[Watched] = []
        self.replace(faults)

    def replace(self, faults: list[Fault]) -> None:
        self.watched = [Watched(fault) for fault in faults]

    def told(self) -> list[dict[str, Any]]:
        return [{**asdict(w.fault), "seen": w.seen, "hits": w.hits} for w in self.watched]


def parse(faults: object) -> list[Fault]:
    """Faults of JSON. ValueError says what is wrong."""
    try:
        found = msgspec.convert(faults, list[Fault])
    except msgspec.ValidationError as wrong:
        raise ValueError(f"faults: {wrong}") from None
    for fault in found:
        if fault.kind not in KINDS:
            raise ValueError(f"kind {fault.kind!r} is none of {', '.join(KINDS)}")
        if fault.kind in OF_COMPANY and not fault.company:
            raise ValueError(f"{fault.kind} needs a company")
    return found


def random_faults(seed: int, companies: list[str], n: int = SOME) -> list[Fault]:
    """``n`` faults of a seed, always the same; each ends by itself after some hits.

    A refused key (401) is never drawn: it is not a fault to live with but a key to change.
    """
    rng = Random(f"faults/{seed}")
    kinds = [k for k in KINDS if k != "401" and (companies or k not in OF_COMPANY)]
    return [_random(rng, rng.choice(kinds), companies) for _ in range(n)]


def _random(rng: Random, kind: str, companies: list[str]) -> Fault:
    paged = kind in {"insert_while_paging", "delete_while_paging"}
    needs = kind in OF_COMPANY
    company = rng.choice(companies) if companies and (needs or rng.random() < 0.3) else ""
    path = "" if paged or needs else rng.choice(("", "", "/documents", "/documents", "/cessions"))
    return Fault(
        kind,
        path,
        company,
        skip=rng.randint(0, 12),
        times=rng.choice(_TIMES.get(kind, (1, 1, 2, 3))),
        argument=rng.choice(_ARGUMENTS.get(kind, (None,))),
    )


_TIMES = {
    "429": (1, 3, 12),
    "503": (1, 3, 8),
    "403_company": (1, 6, 20),
    "hide_company": (4, 20),
    "empty": (1, 4),
}
_ARGUMENTS: dict[str, tuple[str | int | None, ...]] = {
    "429": (None, 0, 0, 1, "date"),
    "503": (None, 0, 1),
    "slow": (50, 200, 400),
}
