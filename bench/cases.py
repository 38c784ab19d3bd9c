"""What is measured: each case runs its contestants under one condition and yields samples."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench import contestants, measure, truth
from bench.contestants import Contestant
from bench.load.running import Server
from bench.samples import Condition, Sample

NEW_SHARE = 100
"""One document in so many is new when an incremental run comes."""


@dataclass(frozen=True)
class Bench:
    """Where the bench works and whom it tells what."""

    work: Path
    logs: Path
    tell: Callable[[Sample], None]


@contextmanager
def folder(bench: Bench) -> Iterator[Path]:
    """A fresh working folder for one contestant, removed after it."""
    with tempfile.TemporaryDirectory(dir=bench.work, prefix="run-") as made:
        yield Path(made)


def once(
    bench: Bench,
    server: Server,
    contestant: Contestant,
    condition: Condition,
    work: Path,
    *,
    strike: Callable[[], bool] | None = None,
) -> Sample:
    """One process of one contestant; the server must be in its mood already."""
    environ = contestant.environ(server.url, work, condition.in_flight, condition.mode)
    environ["BENCH_DOCUMENTS"] = str(condition.documents)
    log = bench.logs / f"{contestant.key}.log"
    cost = measure.run([str(contestant.python), *contestant.command], environ, log, strike)
    counts = server.counts()
    kept = contestant.file and (work / contestant.file).exists() and strike is None
    wrong = asdict(truth.found(contestant, work, server.world)) if kept else None
    sample = Sample(
        condition=condition,
        contestant=contestant.key,
        seconds=round(cost.seconds, 3),
        cpu=round(cost.cpu, 3),
        peak_mb=round(cost.peak_mb, 1),
        status=cost.status,
        requests=counts.requests,
        pages=counts.pages,
        bytes=counts.bytes,
        most_in_flight=counts.most_in_flight,
        wrong=wrong,
    )
    bench.tell(sample)
    return sample


def full(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """Everything, into an empty folder."""
    server.set(latency_ms=condition.latency_ms, first=0, last=server.world.documents)
    with folder(bench) as work:
        yield once(bench, server, contestants.ALL[key], condition, work)


def incremental(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """A second run, after one document in a hundred came and as many old ones were paid or not."""
    total = server.world.documents
    contestant = contestants.ALL[key]
    server.set(first=total // NEW_SHARE, last=total)
    with folder(bench) as work:
        begin = replace(condition, case="before", latency_ms=0)
        once(replace(bench, tell=lambda _: None), server, contestant, begin, work)
        flip(server, total // NEW_SHARE)
        server.set(latency_ms=condition.latency_ms, first=0)
        yield once(bench, server, contestant, condition, work)


def commands(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """``tupana sync`` as people run it, and then other commands in the home it made."""
    server.set(latency_ms=condition.latency_ms, first=0, last=server.world.documents)
    with folder(bench) as work:
        for one in (contestants.ALL[key], *contestants.AFTER_SYNC):
            server.set(latency_ms=condition.latency_ms)
            yield once(bench, server, one, condition, work)


def flip(server: Server, count: int) -> None:
    """Pays, or takes the payment back of, documents spread over the older half."""
    total = server.world.documents
    step = max(1, total // 2 // count)
    server.flip(list(range(total // 2, total, step))[:count])
