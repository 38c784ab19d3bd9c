"""Scripts of what goes wrong: plain data, written by a test or drawn from a seed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from tupana_etl.sandbox import kinds


@dataclass(frozen=True)
class Fault:
    """What goes wrong, where, after how many matching requests and how many times.

    Only requests with the right key are seen. ``insert_while_paging`` and
    ``delete_while_paging`` see list pages of /documents, the other kinds that change a
    list see lists.
    """

    kind: str
    """One of those below."""
    path: str = ""
    """Beginning of the path without /v1; empty for every path."""
    company: str | int = ""
    """Id of the company that the request is about; empty for any."""
    skip: int = 0
    """Matching requests that pass before it strikes."""
    times: int | None = 1
    """How often it strikes; null: until the script is replaced."""
    argument: str | int | None = None
    """As the kind says."""
    method: str = ""
    """GET or POST; empty for both."""
    seconds: float | None = None
    """How long from its first hit on it strikes, by the sandbox's clock; null: no end."""


@dataclass
class Watched:
    """A fault on duty. A hit without effect (an empty page has no row to spoil) is undone."""

    fault: Fault
    seen: int = 0
    hits: int = 0
    ends: float | None = None

    def strikes(self, now: float) -> bool:
        """Counts a matching request; whether the fault is due on it."""
        self.seen += 1
        times = self.fault.times
        if self.seen <= self.fault.skip or (times is not None and self.hits >= times):
            return False
        if self.ends is None and self.fault.seconds is not None:
            self.ends = now + self.fault.seconds
        return self.ends is None or now < self.ends


class Script:
    """The faults that a server follows: of those due on a request, the first strikes."""

    def __init__(self, faults: list[Fault]) -> None:
        self.watched: list[Watched] = []
        self.replace(faults)

    def replace(self, faults: list[Fault]) -> None:
        self.watched = [Watched(fault) for fault in faults]

    def told(self) -> list[dict[str, Any]]:
        return [{**asdict(w.fault), "seen": w.seen, "hits": w.hits} for w in self.watched]


def written(text: str) -> Fault:
    """A fault of ``KIND[=ARGUMENT][*TIMES]``. ValueError says what is wrong.

    Kinds that readers are drawn for strike anything, the others POST /documents/batch.
    """
    what, star, times = text.partition("*")
    kind, given, argument = what.partition("=")
    if star and not (times.isascii() and times.isdigit()):
        raise ValueError(f"{text!r}: {times!r} is not a number of times")
    told: dict[str, Any] = {"kind": kind, "times": int(times or 1)}
    if given:
        told["argument"] = int(argument) if argument.lstrip("-").isdigit() else argument
    if kind == "cession_fails":
        told |= {"path": "/cessions/batch", "method": "POST"}
    elif kind not in kinds.READING:
        told |= {"path": "/documents/batch", "method": "POST"}
    return parse([told])[0]


def parse(faults: object) -> list[Fault]:
    """Faults of JSON. ValueError says what is wrong."""
    try:
        found = msgspec.convert(faults, list[Fault])
    except msgspec.ValidationError as wrong:
        raise ValueError(f"faults: {wrong}") from None
    for fault in found:
        if fault.kind not in kinds.ALL:
            raise ValueError(f"kind {fault.kind!r} is none of {', '.join(kinds.ALL)}")
        if fault.kind in kinds.OF_COMPANY and not fault.company:
            raise ValueError(f"{fault.kind} needs a company")
        if fault.kind in kinds.OF_A_NUMBER and not isinstance(fault.argument, int | None):
            raise ValueError(f"{fault.kind} needs a number, not {fault.argument!r}")
        if fault.kind == "outcome":
            kinds.outcome(fault.argument)
    return found
