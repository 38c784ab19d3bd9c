"""Keeps lineage true when the lake's files are put together."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pyarrow as pa

from tupana_etl.arrow import cells


def follow(con: duckdb.DuckDBPyConnection, moved: Mapping[str, str]) -> None:
    """Lets ``raw.lineage.segment`` name the file that holds the rows now."""
    if not moved:
        return
    paths = (cells.text_array([*moved]), cells.text_array([*moved.values()]))
    con.register("moved", pa.table(paths, names=["before", "now"]))
    con.execute("UPDATE raw.lineage l SET segment = m.now FROM moved m WHERE l.segment = m.before")
    con.unregister("moved")
