"""The question a sync asks of every row it reads: does the warehouse know it like this?

One query over the Arrow rows as they are, for what nearly every page is: each key once,
as the list shows it. Rows that need the whole of :mod:`tupana_etl.warehouse.merge` to be
judged (a key read twice, a list row and then its detail) are told apart here.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from tupana_etl.arrow.cells import int_array
from tupana_etl.streams import Stream, children
from tupana_etl.warehouse.merge import business_hash, parent_columns, same_key, some_rejected


def is_plain(stream: Stream, rows: pa.Table) -> bool:
    """Whether each key stands once in the rows of one listing, and no detail among them."""
    if "id" not in stream.key or rows.column("_detail_at").null_count < rows.num_rows:
        return False
    return bool(pc.count_distinct(rows.column("id")).as_py() == rows.num_rows)


def differing(
    cursor: duckdb.DuckDBPyConnection, stream: Stream, tables: Mapping[str, pa.Table]
) -> pa.Array:
    """``_row`` of the rows that are new or changed, or whose children are.

    ``tables`` holds plain rows (see :func:`is_plain`) and, under their names, their
    children. Writes nothing, not even temporary tables.
    """
    rows = tables[stream.name]
    cursor.register("arriving", rows)
    questions = [_rows_differ(stream, rows)]
    for child in children(stream.name):
        cursor.register(f"arriving_{child.name}", tables[child.name])
        questions.append(_children_differ(stream, child))
    # One by one, and as rows: put together, or asked for as Arrow, they take half as long again.
    span, found = _span(rows), set[int]()
    for question in questions:
        found.update(row for (row,) in cursor.execute(question, span).fetchall())
    return int_array(sorted(found))


def _span(rows: pa.Table) -> dict[str, str]:
    """First and last id: their range prunes the scan of what is known."""
    ends = pc.min_max(rows.column("id"))
    return {"low": ends["min"].as_py(), "high": ends["max"].as_py()}


def _rows_differ(stream: Stream, rows: pa.Table) -> str:
    absent = {
        name for names in pc.unique(rows.column("_absent")).to_pylist() for name in names.split(",")
    }
    values = [c for c in stream.columns if c.name not in stream.key]
    # What a row does not say is as it was.
    told = {
        c.name: f"CASE WHEN contains(a._absent, ',{c.mark},') "
        f'THEN t."{c.name}"::VARCHAR ELSE a."{c.name}"::VARCHAR END'
        if c.kind.arrow == pa.string()
        else f"CASE WHEN contains(a._absent, ',{c.mark},') "
        f'THEN t."{c.name}" ELSE a."{c.name}" END'
        for c in values
        if c.mark in absent
    }
    return f"""
        SELECT a._row FROM arriving a LEFT JOIN (
            FROM history.{stream.name} WHERE valid_to IS NULL AND id BETWEEN $low AND $high
        ) t ON {same_key(stream.key, "a", "t")}
        WHERE t._row_hash IS NULL OR t._deleted_at IS NOT NULL
           OR t._row_hash <> {business_hash(values, "a", told)}"""


def _children_differ(parent: Stream, child: Stream) -> str:
    """Parents that say their children, and not those that are known."""
    keys = ", ".join(f'"{name}"' for name in child.key)
    values = [c for c in child.columns if c.name not in child.key]
    same_parent = " AND ".join(
        f'h."{own}" = a."{theirs}"' for own, theirs in parent_columns(parent)
    )
    says = f"NOT contains(a._absent, ',{child.name},')"
    known = ", ".join(f'h."{name}"' for name in child.key)
    return f"""
        SELECT coalesce(c._row, t._row) AS _row FROM (
            -- Two events of one kind in one second share a key: as when they are merged.
            SELECT {keys}, _row, min({business_hash(values, "k")}) AS _row_hash
            FROM arriving_{child.name} k
            SEMI JOIN (FROM arriving a WHERE {says}) a USING (_row) GROUP BY ALL
        ) c FULL JOIN (
            SELECT {known}, a._row, h._row_hash, h._deleted_at,
                {some_rejected("a", child)} AS _some_rejected
            FROM history.{child.name} h JOIN arriving a ON {same_parent}
            WHERE h.valid_to IS NULL AND h.document_id BETWEEN $low AND $high AND {says}
        ) t ON c._row = t._row AND {same_key(child.key, "c", "t")}
        WHERE (c._row_hash IS DISTINCT FROM t._row_hash OR t._deleted_at IS NOT NULL)
          AND NOT (c._row IS NULL AND t._some_rejected)"""
