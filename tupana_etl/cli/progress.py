"""Progress of a sync on a terminal: what was found, what was read, when it may end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from tupana_etl.outbox.states import State

Tell = Callable[[Mapping[State, int]], None]
UNDER_WAY = frozenset(
    {State.READY, State.BOUND, State.IN_FLIGHT, State.UNKNOWN, State.ACCEPTED, State.ISSUED}
)

OnRows = Callable[[str, int, int], None]
"""Told (stream, rows found to be read, rows read), as ``pipeline.sync`` asks for."""


@contextmanager
def reading(*, shown: bool) -> Iterator[OnRows]:
    """What ``sync`` tells about rows while it reads, drawn on stderr if ``shown``.

    Lists say how many rows they have before they are read, so the end is known early;
    rows that nobody announced make the total grow. Nothing is left behind at the end.
    """
    if not (shown and sys.stderr.isatty()):
        yield lambda stream, found, read: None
        return
    with _bar() as bar:
        task = bar.add_task("connecting", total=None)
        found_rows = read_rows = 0

        def on_rows(stream: str, found: int, read: int) -> None:
            nonlocal found_rows, read_rows
            found_rows, read_rows = found_rows + found, read_rows + read
            bar.update(
                task,
                description=f"reading {stream:<19}",
                total=max(found_rows, read_rows, 1),
                completed=read_rows,
            )

        yield on_rows


@contextmanager
def sending(*, shown: bool) -> Iterator[Tell]:
    """What ``issue`` tells about rows while it sends, drawn on stderr if ``shown``."""
    if not (shown and sys.stderr.isatty()):
        yield lambda counts: None
        return
    with _bar() as bar:
        task = bar.add_task("connecting", total=None)
        at_rest: list[int] = []

        def tell(counts: Mapping[State, int]) -> None:
            done = sum(n for state, n in counts.items() if state not in UNDER_WAY)
            at_rest.append(done)
            open_rows = sum(n for state, n in counts.items() if state in UNDER_WAY)
            done -= at_rest[0]  # of this run alone
            bar.update(task, description="sending", total=max(done + open_rows, 1), completed=done)

        yield tell


def _bar() -> Progress:
    return Progress(
        SpinnerColumn(),  # applying and building after the last row take time too
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
