"""Which cases a run of the bench goes through, in which order and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from bench import cases, change, outbox
from bench.cases import Bench
from bench.contestants import ALL
from bench.load.running import Server
from bench.samples import Condition, Sample

Case = Callable[[Bench, Server, str, Condition], Iterator[Sample]]

FLOORS = ("floor-fetch", "floor-insert")
QUICK = (*FLOORS, "ours", "ours-documents", "dlt-arrow", "dlt-children", "dlt-tuned", "sdk")
EVERYONE = (*QUICK, "dlt-documented", "singer", "airbyte")
READERS = tuple(key for key in EVERYONE if ALL[key].kind != "floor")
CHANGED = tuple(key for key in READERS if key != "ours-documents")
"""Who reads while rows change; ours reads documents in the same way with and without the rest."""


@dataclass(frozen=True)
class Step:
    """One case under one condition, for some contestants."""

    case: Case
    condition: Condition
    contestants: tuple[str, ...]

    @property
    def peers(self) -> set[str]:
        return {ALL[key].peer for key in self.contestants} - {""}

    def runs_of(self, key: str, runs: int) -> int:
        """Whoever reads page after page mostly waits: its spread is small, its runs are long."""
        return runs if ALL[key].parallel else max(1, runs // 3)


def quick() -> list[Step]:
    """The floors, dlt and the SDK, on 20,000 documents: under three minutes."""
    parallel = tuple(k for k in QUICK if ALL[k].parallel and k != "ours-documents")
    return [
        Step(cases.full, Condition("full", 20_000, 0, 8), parallel),
        Step(cases.full, Condition("full", 20_000, 50, 8), QUICK),
        Step(cases.full, Condition("full", 20_000, 50, 32), parallel),
        Step(
            cases.incremental,
            Condition("incremental", 20_000, 50, 8),
            ("ours", "dlt-children"),
        ),
    ]


def _full() -> list[Step]:
    """Everybody at every latency; who reads one page after another, only once for both widths."""
    parallel = tuple(key for key in EVERYONE if ALL[key].parallel)
    return [
        Step(cases.full, Condition("full", 20_000, latency, width), who)
        for latency in (0, 50, 200)
        for width, who in ((8, EVERYONE), (32, parallel))
    ]


def _incremental() -> list[Step]:
    """Those that read the same windows again, then those that stop at what they know."""
    by_cursor = tuple(key for key in READERS if ALL[key].own_mode == "cursor")
    condition = Condition("incremental", 20_000, 50, 8)
    return [
        Step(cases.incremental, condition, READERS),
        Step(cases.incremental, replace(condition, mode="cursor"), by_cursor),
    ]


def _states() -> list[Step]:
    """Events of 2,000 documents: with the list, or one request each."""
    asked = ("floor-states", "dlt-states", "sdk-states")
    condition = Condition("states", 2_000, 50, 32)
    return [
        Step(cases.full, condition, ("ours", *asked)),
        Step(cases.full, replace(condition, embedded=False), ("ours",)),
    ]


def _growth() -> list[Step]:
    """Ten and a hundred times as many; dlt's best once."""
    grown = [(200_000, ("floor-insert", "ours", "dlt-children")), (2_000_000, ("ours",))]
    return [Step(cases.full, Condition("full", n, 50, 8), who) for n, who in grown]


def _change() -> list[Step]:
    """Right under change; the kill among more pages, so that there is something to go on from."""
    return [
        Step(
            case,
            Condition(name, 20_000 if case is change.killed else 2_000, 20, mode="own"),
            CHANGED,
        )
        for name, case in change.CASES.items()
    ]


def _commands() -> list[Step]:
    return [Step(cases.commands, Condition("commands", 20_000, 50, 8), ("ours-marts",))]


def _outbox() -> list[Step]:
    """A thousand rows to issue."""
    return [Step(outbox.outbox, Condition("outbox", 1_000, 50, 8), ("ours-marts",))]


CASES: dict[str, Callable[[], list[Step]]] = {
    "full": _full,
    "incremental": _incremental,
    "states": _states,
    "change": _change,
    "commands": _commands,
    "outbox": _outbox,
    "growth": _growth,
}


def whole(names: set[str]) -> list[Step]:
    """The steps of the named cases, in the order above."""
    return [step for name, steps in CASES.items() if name in names for step in steps()]
