"""Which cases a run of the bench goes through, in which order and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import cases
from bench.cases import Bench
from bench.contestants import ALL
from bench.load.running import Server
from bench.samples import Condition, Sample

Case = Callable[[Bench, Server, str, Condition], Iterator[Sample]]

FLOORS = ("floor-fetch", "floor-insert")
QUICK = (*FLOORS, "ours", "dlt-arrow", "dlt-tuned", "sdk")
EVERYONE = (*FLOORS, "ours", "dlt-arrow", "dlt-tuned", "dlt-documented", "sdk")


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
    parallel = tuple(key for key in QUICK if ALL[key].parallel)
    return [
        Step(cases.full, Condition("full", 20_000, 0, 8), QUICK),
        Step(cases.full, Condition("full", 20_000, 50, 8), QUICK),
        Step(cases.full, Condition("full", 20_000, 50, 32), parallel),
        Step(cases.incremental, Condition("incremental", 20_000, 50, 8), ("ours", "dlt-arrow")),
    ]


def whole(documents: int) -> list[Step]:
    """Everybody at every latency; who reads one page after another, only once for both widths."""
    parallel = tuple(key for key in EVERYONE if ALL[key].parallel)
    steps = [
        Step(cases.full, Condition("full", documents, latency, width), who)
        for latency in (0, 50, 200)
        for width, who in ((8, EVERYONE), (32, parallel))
    ]
    again = tuple(key for key in EVERYONE if ALL[key].kind != "floor")
    by_cursor = tuple(key for key in again if not ALL[key].parallel)
    steps += [
        Step(cases.incremental, Condition("incremental", documents, 50, 8), again),
        Step(cases.incremental, Condition("incremental", documents, 50, 8, "cursor"), by_cursor),
    ]
    return steps
