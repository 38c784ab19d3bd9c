"""Applies what a sync has committed while it goes on reading.

The merges are those that :func:`tupana_etl.warehouse.apply.apply` would make afterwards, of
the same borders and in the same order, only sooner: reading waits for the network, and
what it brought is merged meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Lock

import duckdb

from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.lake.segments import Committed
from tupana_etl.warehouse.apply import commit, merges
from tupana_etl.warehouse.database import WAREHOUSE

log = logging.getLogger(__name__)


@contextmanager
def applying(con: duckdb.DuckDBPyConnection, manifest: Manifest, merging: Lock) -> Iterator[None]:
    """Applies each merge that is whole, in a thread, as long as the block runs.

    It holds ``merging`` while it merges: who takes that has DuckDB's memory alone. Everything
    older must be applied before. What is left at the end is for ``apply``, and so
    is a merge that failed: it has the memory that is missing here, or raises what is wrong.
    """
    arriving: SimpleQueue[Entry | None] = SimpleQueue()
    over = Event()
    before = manifest.on_append
    with ThreadPoolExecutor(1, "apply") as pool:
        try:
            lake = Committed(manifest.lake)
            work = pool.submit(_apply_each, con.cursor(), lake, arriving, over, merging)
            work.add_done_callback(_tell_failure)
            manifest.on_append = arriving.put
            yield
        finally:
            manifest.on_append = before
            over.set()
            arriving.put(None)


def _apply_each(
    cursor: duckdb.DuckDBPyConnection,
    lake: Committed,
    arriving: SimpleQueue[Entry | None],
    over: Event,
    merging: Lock,
) -> None:
    # Closed here: who interrupts twice leaves while a merge is still under way.
    with cursor:
        cursor.execute(f"USE {WAREHOUSE}")
        for merge in merges(iter(arriving.get, None), more_may_come=True):
            with merging:
                if over.is_set():
                    return
                commit(cursor, lake, [merge])


def _tell_failure(work: Future[None]) -> None:
    failed = work.exception()
    if failed is not None:
        log.info("applying while reading stopped, and is done after it: %s", failed)
