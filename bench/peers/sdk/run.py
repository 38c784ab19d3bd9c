"""The official SDK: its page loop, pandas, and DuckDB with an upsert by hand.

Rows go to DuckDB a few thousand at a time, so that memory does not grow with the account, and
in one transaction: a run that dies leaves no half of a newest-first list to stop at.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from tupana import Tupana

COMPANY = "2205607"
AT_ONCE = 5000
BY_CURSOR = os.environ["BENCH_MODE"] == "cursor"


def documents(client: Tupana, known: set[int]) -> Iterator[dict[str, Any]]:
    """Newest first; with a cursor, until the first one that is known."""
    for row in client.documents.list_auto_paging(COMPANY, page_size=100, include_trace_events=True):
        if BY_CURSOR and row["id"] in known:
            return
        yield dict(row)


def store(con: duckdb.DuckDBPyConnection, rows: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(rows)
    for name in frame.columns:
        if frame[name].map(lambda value: isinstance(value, dict | list)).any():
            frame[name] = frame[name].map(json.dumps)
    frame = frame.drop_duplicates("id")  # a row that moved to the next page comes twice
    con.register("came", frame)
    con.execute("CREATE TABLE IF NOT EXISTS documents AS SELECT * FROM came LIMIT 0")
    con.execute("DELETE FROM documents WHERE id IN (SELECT id FROM came)")
    con.execute("INSERT INTO documents BY NAME SELECT * FROM came")


def main() -> None:
    client = Tupana(api_key="bench-key", base_url=os.environ["BENCH_URL"] + "/v2", max_retries=6)
    with duckdb.connect(str(Path(os.environ["BENCH_WORK"]) / "sdk.duckdb")) as con:
        there = con.execute("FROM duckdb_tables() WHERE table_name = 'documents'").fetchall()
        found = con.execute("SELECT id FROM documents").fetchall() if there else []
        left = documents(client, {id_ for (id_,) in found})
        con.execute("BEGIN")
        while rows := list(islice(left, AT_ONCE)):
            store(con, rows)
            if sys.argv[1:] == ["states"]:
                _store_states(con, client, [row["id"] for row in rows])
        con.execute("COMMIT")


def _store_states(con: duckdb.DuckDBPyConnection, client: Tupana, ids: list[int]) -> None:
    states = [
        {"document_id": id_, **state}
        for id_ in ids
        for state in client.documents.list_states(str(id_))["states"]
    ]
    con.register("states", pd.DataFrame(states))
    con.execute("CREATE TABLE IF NOT EXISTS document_states AS SELECT * FROM states LIMIT 0")
    con.execute("INSERT INTO document_states BY NAME SELECT * FROM states")


if __name__ == "__main__":
    main()
