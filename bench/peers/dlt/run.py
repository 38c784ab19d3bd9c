"""dlt: `documented` (its REST source, nothing set), `tuned` (as its performance page advises),
`arrow` (the best parallel pipeline one can write on it, lists kept as JSON text), `children` (the
same with lines, references and events as tables of their own), `states` (one request each).

https://dlthub.com/docs/dlt-ecosystem/verified-sources/rest_api and …/reference/performance:
parquet instead of INSERT statements, no child tables, several workers with files that rotate.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import aiohttp
import dlt
import duckdb
import pyarrow as pa
from dlt.sources.rest_api import rest_api_source

from bench.decode import CHILDREN, PAGES_AT_ONCE, ROWS, child_rows

URL = os.environ["BENCH_URL"] + "/v1/"
WORK = Path(os.environ["BENCH_WORK"])
IN_FLIGHT = int(os.environ["BENCH_IN_FLIGHT"])
BY_CURSOR = os.environ["BENCH_MODE"] == "cursor"
HEADERS = {"Authorization": "Api-Key bench-key"}
ASKED = {
    "master_entity_id": "2205607",
    "include_trace_events": "true",
    "include_book_metadata": "true",
    "page_size": "100",
}
RETRIED = {429, 500, 502, 503, 504}


def rest(with_states: bool = False) -> Any:
    """The REST source as its documentation shows it; newest first, so a cursor may stop early."""
    cursor = {"cursor_path": "created_at", "initial_value": "2000-01-01", "row_order": "desc"}
    documents: dict[str, Any] = {
        "name": "documents",
        "endpoint": {
            "path": "documents",
            "params": ASKED,
            "data_selector": "results",
            **({"incremental": cursor} if BY_CURSOR else {}),
        },
    }
    states = {
        "name": "document_states",
        "primary_key": None,
        "write_disposition": "replace",
        "parallelized": True,
        "endpoint": {
            "path": "documents/{resources.documents.id}/states",
            "data_selector": "states",
            "paginator": "single_page",
        },
        "include_from_parent": ["id"],
    }
    return rest_api_source(
        {
            "client": {
                "base_url": URL,
                "headers": HEADERS,
                "paginator": {
                    "type": "page_number",
                    "base_page": 1,
                    "page_param": "page",
                    "total_path": "total_pages",
                },
            },
            "resource_defaults": {"primary_key": "id", "write_disposition": "merge"},
            "resources": [documents, states] if with_states else [documents],
        }
    )


@dlt.resource(name="documents", primary_key="id", write_disposition="merge")
def arrow_documents(with_children: bool = False) -> Iterator[Any]:
    """Pages fetched IN_FLIGHT at once in one thread, decoded fifty at a time in this one."""
    waiting: Queue[list[str] | BaseException | None] = Queue(4)
    reader = Thread(target=lambda: asyncio.run(_read(waiting)), daemon=True)
    reader.start()
    con = duckdb.connect()
    while (batch := waiting.get()) is not None:
        if isinstance(batch, BaseException):
            raise batch
        pages = pa.table({"body": pa.array(batch, pa.string())})
        rows = con.from_arrow(pages).query("pages", ROWS).to_arrow_table()
        yield rows.drop_columns([*CHILDREN.values()]) if with_children else rows
        if with_children:
            yield from _children(con, rows)
    reader.join()


def _children(con: duckdb.DuckDBPyConnection, rows: pa.Table) -> Iterator[Any]:
    """Replaced as a whole when their document comes again."""
    for name, column in CHILDREN.items():
        hints = dlt.mark.make_hints(
            table_name=name,
            primary_key="",
            merge_key="document_id",
            write_disposition="merge",
        )
        child = con.from_arrow(rows).query("documents", child_rows(column)).to_arrow_table()
        yield dlt.mark.with_hints(child, hints, create_table_variant=True)


async def _read(waiting: Queue[list[str] | BaseException | None]) -> None:
    batch: list[str] = []

    def take(body: str) -> None:
        batch.append(body)
        if len(batch) == PAGES_AT_ONCE:
            waiting.put(list(batch))
            batch.clear()

    try:
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:
            first = await _page(session, 1)
            take(first)
            pages = int(first.partition('"total_pages":')[2].partition(",")[0])
            left = iter(range(2, pages + 1))

            async def work() -> None:
                for number in left:
                    take(await _page(session, number))

            await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        waiting.put(batch)
        waiting.put(None)
    except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
        waiting.put(error)


async def _page(session: aiohttp.ClientSession, number: int) -> str:
    for tries in range(6):
        async with session.get(URL + "documents", params={**ASKED, "page": str(number)}) as answer:
            if answer.status not in RETRIED:
                answer.raise_for_status()
                return await answer.text("utf-8")
            wait = float(answer.headers.get("Retry-After", 0.2 * 2**tries))
        await asyncio.sleep(wait)
    raise RuntimeError(f"page {number}: no answer after 6 tries")


def main() -> None:
    how = sys.argv[1]
    pipeline = dlt.pipeline(
        pipeline_name="bench",
        pipelines_dir=str(WORK / "pipelines"),
        destination=dlt.destinations.duckdb(str(WORK / "dlt.duckdb")),
        dataset_name="bench",
    )
    if how in ("arrow", "children"):
        pipeline.run(arrow_documents(how == "children"), loader_file_format="parquet")
        return
    source = rest(with_states=how == "states")
    if how == "documented":
        pipeline.run(source)
        return
    source.max_table_nesting = 0
    pipeline.run(source, loader_file_format="parquet")


if __name__ == "__main__":
    main()
