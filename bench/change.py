"""Right under change: what is lost, double, stale or a ghost when the account does not stand still.

Each contestant reads as its documentation has it: those with a cursor up to what they know,
the others everything again. After the change come two quiet runs, as a schedule would bring
them; what is wrong then stays wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bench.cases import Bench, flip, folder, once
from bench.contestants import ALL, Contestant
from bench.load.running import Server
from bench.samples import Condition, Sample

MOVED = 4
"""Documents that come or go while pages are read."""
FLIPPED = 50
QUIET_RUNS = 2

Case = Callable[[Bench, Server, str, Condition], Iterator[Sample]]


def _while_paging(
    bench: Bench,
    server: Server,
    contestant: Contestant,
    condition: Condition,
    *,
    before: tuple[int, int],
    after: tuple[int, int],
) -> Iterator[Sample]:
    """The shown documents go from ``before`` to ``after`` at half of the pages."""
    half = condition.documents // 200
    mood = {"latency_ms": condition.latency_ms, "after": half}
    server.set(first=before[0], last=before[1], then_first=after[0], then_last=after[1], **mood)
    server.world.first, server.world.last = after
    with folder(bench) as work:
        _quietly(bench, server, contestant, condition, work)
        yield from _quiet_runs(bench, server, contestant, condition, work)


def _quiet_runs(
    bench: Bench, server: Server, contestant: Contestant, condition: Condition, work: Path
) -> Iterator[Sample]:
    """Yields the last one only: what is wrong after it is what counts."""
    for left in reversed(range(QUIET_RUNS)):
        server.set(latency_ms=condition.latency_ms)
        if left:
            _quietly(bench, server, contestant, condition, work)
        else:
            yield once(bench, server, contestant, condition, work)


def _quietly(
    bench: Bench,
    server: Server,
    contestant: Contestant,
    condition: Condition,
    work: Path,
    *,
    strike: Callable[[], bool] | None = None,
) -> Sample:
    """A run that leads up to the one that counts, and is not told."""
    silent = replace(bench, tell=lambda _: None)
    return once(silent, server, contestant, condition, work, strike=strike)


def inserted(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """New documents push what was read onto the next page."""
    last = server.world.documents
    yield from _while_paging(
        bench, server, ALL[key], condition, before=(MOVED, last), after=(0, last)
    )


def deleted(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """The newest documents vanish: as many unread ones move onto a page that was read."""
    last = server.world.documents
    yield from _while_paging(
        bench, server, ALL[key], condition, before=(0, last), after=(MOVED, last)
    )


def replaced(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """The newest vanish while old ones come to light: the server's count stays as it was."""
    last = server.world.documents
    before, after = (0, last - MOVED), (MOVED, last)
    yield from _while_paging(bench, server, ALL[key], condition, before=before, after=after)


def flipped(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """Old documents are paid, or their payment is taken back, between two runs."""
    server.set(first=0, last=server.world.documents, latency_ms=condition.latency_ms)
    with folder(bench) as work:
        _quietly(bench, server, ALL[key], condition, work)
        flip(server, FLIPPED)
        yield from _quiet_runs(bench, server, ALL[key], condition, work)


def busy(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """Every seventh request is answered 429 with Retry-After: 1."""
    server.set(first=0, last=server.world.documents, latency_ms=condition.latency_ms, busy_every=7)
    with folder(bench) as work:
        yield once(bench, server, ALL[key], condition, work)


def failing(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """Every seventh request is answered 500."""
    server.set(first=0, last=server.world.documents, latency_ms=condition.latency_ms, fail_every=7)
    with folder(bench) as work:
        yield once(bench, server, ALL[key], condition, work)


def killed(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """SIGKILL after 60 % of the pages, then the same again: the pages of that are what counts."""
    due = condition.documents // 100 * 6 // 10
    server.set(first=0, last=server.world.documents, latency_ms=condition.latency_ms)
    with folder(bench) as work:
        strike = lambda: server.counts().pages >= due  # noqa: E731
        _quietly(bench, server, ALL[key], condition, work, strike=strike)
        server.set(latency_ms=condition.latency_ms)
        yield once(bench, server, ALL[key], condition, work)


CASES: dict[str, Case] = {
    "inserted while paging": inserted,
    "deleted while paging": deleted,
    "deleted, and as many come to light": replaced,
    "old rows flip": flipped,
    "429 every 7th": busy,
    "500 every 7th": failing,
    "killed at 60 %": killed,
}
