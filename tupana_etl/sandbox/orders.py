"""What faults make of a batch once it is accepted: orders to whoever issues its documents."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from tupana_etl.sandbox.faults import Fault

KINDS = {
    "outcome": "Statuses that documents take instead of success: '[INDEX:]STATUS[>STATUS…]'.",
    "duplicate": "A document is issued twice; argument: its index, null for every one.",
    "drop_json_param": "json_param is lost; argument: of which index, null for every one.",
    "other_totals": "Issued with another total; argument: how many pesos more (1000).",
    "sii_reject": "Issued, then refused by SII; argument: seconds later (0).",
    "intake_failed": "Accepted, then the batch fails whole and issues nothing.",
}
"""Kinds of faults that only take hold of a batch that was accepted."""

SUCCESS, REJECTION = "success", "sii_reject"


@dataclass
class Orders:
    """How one document fares."""

    steps: tuple[str, ...] = (SUCCESS,)
    """Statuses one after the other."""
    twice: bool = False
    without_json_param: bool = False
    more: int = 0
    """Pesos on top of the total."""
    rejected_after: float | None = None
    """Seconds from issue to SII's refusal."""

    @property
    def afterwards(self) -> tuple[str, ...]:
        return () if self.rejected_after is None else (REJECTION,)


def parse_outcome(argument: object) -> tuple[int | None, tuple[str, ...]]:
    """Index (None for every document) and statuses. ValueError when it says neither."""
    where, colon, what = str(argument or "").rpartition(":")
    if (colon and not where.isdigit()) or not all(what.split(">")):
        raise ValueError(f"outcome needs '[INDEX:]STATUS[>STATUS…]', not {argument!r}")
    return (int(where) if colon else None), tuple(what.split(">"))


def give(faults: list[Fault], count: int) -> list[Orders]:
    """Orders for each document of a batch of ``count``."""
    found = [Orders() for _ in range(count)]
    for fault in faults:
        for position, order in enumerate(found):
            _give(fault, position, order)
    return found


def _give(fault: Fault, position: int, order: Orders) -> None:
    mine = fault.argument is None or str(fault.argument) == str(position)
    match fault.kind:
        case "outcome":
            at, steps = parse_outcome(fault.argument)
            if at in {None, position}:
                order.steps = steps
        case "duplicate":
            order.twice = order.twice or mine
        case "drop_json_param":
            order.without_json_param = order.without_json_param or mine
        case "other_totals":
            order.more = int(fault.argument or 1000)
        case "sii_reject":
            order.rejected_after = float(fault.argument or 0)
        case "intake_failed":
            order.steps = ("permanent_error",)


def as_text(order: Orders) -> str:
    return msgspec.json.encode(asdict(order)).decode()


def read(text: str) -> Orders:
    told: dict[str, Any] = msgspec.json.decode(text)
    return Orders(**{**told, "steps": tuple(told["steps"])})
