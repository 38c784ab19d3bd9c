"""The floors: what no reader can be below. No state, no upsert, no retry.

python -m bench.floors fetch     pages fetched and thrown away
python -m bench.floors insert    fetched, decoded and inserted
python -m bench.floors states    one request for each document's events, thrown away
"""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

import duckdb

from bench.decode import PAGES_AT_ONCE, ROWS
from bench.fetch import documents_of, fetch_all
from bench.load.rows import FIRST_ID

Batch = list[str]


def fetch(url: str, in_flight: int) -> None:
    asyncio.run(documents_of(url, in_flight, lambda _: None))


def states(url: str, in_flight: int) -> None:
    """The ids are given: they are known from BENCH_DOCUMENTS."""
    count = int(os.environ["BENCH_DOCUMENTS"])
    targets = (f"/v1/documents/{FIRST_ID + n}/states" for n in range(1, count + 1))
    asyncio.run(fetch_all(url, targets, in_flight, lambda _: None))


def insert(url: str, in_flight: int, path: Path) -> None:
    """One thread reads the network, one writes; a few batches wait between them."""
    waiting: Queue[Batch | None] = Queue(4)
    batch: Batch = []

    def take(body: bytes) -> None:
        batch.append(body.decode())
        if len(batch) == PAGES_AT_ONCE:
            waiting.put(list(batch))
            batch.clear()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(_write, path, waiting)
        try:
            asyncio.run(documents_of(url, in_flight, take))
        finally:
            waiting.put(batch)
            waiting.put(None)
        writing.result()


def _write(path: Path, waiting: Queue[Batch | None]) -> None:
    with duckdb.connect(str(path), config={"checkpoint_threshold": "1GB"}) as con:
        con.execute("CREATE TEMP TABLE pages (body VARCHAR)")
        con.execute(f"CREATE TABLE documents AS {ROWS}")
        while (batch := waiting.get()) is not None:
            con.execute("INSERT INTO pages SELECT unnest(?)", [batch])
            con.execute(f"INSERT INTO documents {ROWS}")
            con.execute("DELETE FROM pages")


def main() -> None:
    url, in_flight = os.environ["BENCH_URL"], int(os.environ["BENCH_IN_FLIGHT"])
    match sys.argv[1:]:
        case ["fetch"]:
            fetch(url, in_flight)
        case ["insert"]:
            insert(url, in_flight, Path(os.environ["BENCH_WORK"]) / "floor.duckdb")
        case ["states"]:
            states(url, in_flight)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
