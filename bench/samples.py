"""One run of one contestant under one condition, as results keep it; medians over several."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Condition:
    """What was asked. Samples of the same condition and contestant are runs of one thing."""

    case: str
    documents: int
    latency_ms: int = 0
    in_flight: int = 8
    embedded: bool = True
    """Events come with the list; else each document has to be asked for its own."""
    mode: str = "windows"
    """windows: everything is read and merged again; cursor: newest first, up to what is known;
    own: whichever of them the contestant's documentation advises."""


@dataclass(frozen=True)
class Sample:
    condition: Condition
    contestant: str
    seconds: float
    cpu: float
    peak_mb: float
    status: int
    requests: int = 0
    pages: int = 0
    bytes: int = 0
    most_in_flight: int = 0
    wrong: dict[str, int] | None = None
    """rows, lost, ghosts, doubled and stale of its table; None where nothing is kept."""
    load: float = field(default_factory=lambda: round(os.getloadavg()[0], 2))
    """Average load of the machine over the last minute, after the run."""


@dataclass(frozen=True)
class Summary:
    """All runs of one contestant under one condition."""

    condition: Condition
    contestant: str
    runs: int
    seconds: float
    """Median."""
    least: float
    most: float
    cpu: float
    peak_mb: float
    requests: int
    bytes: int
    most_in_flight: int
    wrong: int | None
    """Rows lost, double, stale or ghosts: the worst run."""
    failed: int
    """Runs that ended with another status than 0."""


@dataclass(frozen=True)
class Results:
    """Everything one run of the bench measured."""

    about: dict[str, Any]
    samples: list[Sample]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"about": self.about, "samples": [asdict(s) for s in self.samples]}
        path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> Results:
    told = json.loads(path.read_text(encoding="utf-8"))
    samples = [Sample(**{**s, "condition": Condition(**s["condition"])}) for s in told["samples"]]
    return Results(told["about"], samples)


def machine() -> dict[str, Any]:
    """Where and under what load; part of every result."""
    return {
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "load_at_start": [round(x, 2) for x in os.getloadavg()],
    }


def summaries(samples: Iterable[Sample]) -> Iterator[Summary]:
    """In the order of the first sample of each."""
    groups: dict[tuple[Condition, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.condition, sample.contestant), []).append(sample)
    for (condition, contestant), runs in groups.items():
        seconds = [run.seconds for run in runs]
        wrong = [sum(v for k, v in r.wrong.items() if k != "rows") for r in runs if r.wrong]
        yield Summary(
            condition=condition,
            contestant=contestant,
            runs=len(runs),
            seconds=median(seconds),
            least=min(seconds),
            most=max(seconds),
            cpu=median(run.cpu for run in runs),
            peak_mb=median(run.peak_mb for run in runs),
            requests=round(median(run.requests for run in runs)),
            bytes=round(median(run.bytes for run in runs)),
            most_in_flight=max(run.most_in_flight for run in runs),
            wrong=max(wrong) if wrong else None,
            failed=sum(run.status != 0 for run in runs),
        )
