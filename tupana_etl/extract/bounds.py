"""Keeps the reading half of a sync small, whatever the number of rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from tupana_etl.warehouse.database import Connection, within
from tupana_etl.warehouse.known import Known

MEMORY = "96MB"
"""What DuckDB may hold while rows are read: a comparison touches a narrow range of ids."""


@contextmanager
def bounded(con: Connection) -> Iterator[Known]:
    """What the warehouse knows, lent to one reading that must stay small.

    Arrow's own allocator keeps what each thread once used for itself: 170 MB here. The
    system's gives it back, at the price of a few percent of CPU.
    """
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        with within(con, MEMORY, threads=1):
            yield Known(con)
    finally:
        pa.set_memory_pool(before)


def give_back() -> None:
    """Returns to the system what a window used and freed; costs a few milliseconds."""
    pa.default_memory_pool().release_unused()
