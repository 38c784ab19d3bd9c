"""What faults make of a batch once it is accepted: orders to whoever issues its documents."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from tupana_etl.sandbox import kinds
from tupana_etl.sandbox.faults import Fault

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
            at, steps = kinds.outcome(fault.argument)
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
