"""Answers what the warehouse already knows of rows that a list showed."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from tupana_etl.streams import Stream
from tupana_etl.warehouse.database import WAREHOUSE
from tupana_etl.warehouse.merge import business_hash, same_key


def stale_details(con: duckdb.DuckDBPyConnection, stream: Stream, listed: pa.Table) -> list[str]:
    """Ids of listed rows whose detail must be read.

    A row is stale when it is new, when a business field that the list shows differs from
    the current version, when its detail was never read, or while it is open (unpaid): a
    lean list does not show payments.
    """
    absent = {
        name for names in listed.column("_absent").unique().to_pylist() for name in names.split(",")
    }
    shown = [c for c in stream.columns if c.name not in absent and c.name not in stream.key]
    differs = f"{business_hash(shown, 'l')} <> {business_hash(shown, 't')}" if shown else "false"
    cursor = con.cursor()
    try:
        # A cursor starts in the default catalog again.
        cursor.execute(f"USE {WAREHOUSE}")
        cursor.register("listed", listed)
        rows = cursor.execute(
            f"""SELECT DISTINCT l.id FROM listed l
            LEFT JOIN (FROM history.{stream.name} WHERE valid_to IS NULL) t
              ON {same_key(stream.key, "l", "t")}
            WHERE t._detail_at IS NULL OR t.is_paid IS DISTINCT FROM true OR {differs}"""
        ).fetchall()
    finally:
        cursor.close()
    return [id_ for (id_,) in rows]
