"""Merges staged rows of one stream into its history, by key and hash.

DELETE-free and index-free: only rows that are new or whose business fields changed are
written; the version they replace is closed. A key the row did not speak of (``_absent``)
keeps its known value; an explicit null overwrites it.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from tupana_etl.arrow.children import SOME
from tupana_etl.columns import Column, Kind
from tupana_etl.streams import Stream


def _order(table: str) -> str:
    """Later windows win over earlier ones, later rows over earlier rows of the same window."""
    return f"({table}._seq * 4294967296 + {table}._row)"


def judge(con: duckdb.DuckDBPyConnection, stream: Stream) -> None:
    """Compares the temporary table ``staged`` with the current rows; writes nothing.

    ``staged`` has the columns of a segment and ``_seq``. Leaves ``merged``: one row per
    key, with ``_verdict`` new | changed | unchanged.
    """
    absent = _absent_names(con)
    values = [c for c in stream.columns if c.name not in stream.key]
    rows = "staged"
    if _comes_twice(con, stream, "staged"):
        _one_row_per_key(con, stream, values, absent)
        rows = "incoming"
    _overlay(con, stream, values, absent, rows)


def merge(con: duckdb.DuckDBPyConnection, stream: Stream) -> bool:
    """Merges ``staged`` into ``history.<stream>``. Returns whether all of it was new.

    Otherwise ``merged`` says what was.
    """
    if _all_new(con, stream):
        _write_new(con, stream, "staged")
        return True
    judge(con, stream)
    _write_versions(con, stream)
    return False


def _all_new(con: duckdb.DuckDBPyConnection, stream: Stream) -> bool:
    """Whether each key was staged once and none is known: then nothing is to be compared."""
    known = f"""SELECT 1 FROM {_current(stream, "staged", "id")} t
        SEMI JOIN staged s ON {same_key(stream.key, "s", "t")} LIMIT 1"""
    return not _comes_twice(con, stream, "staged") and con.execute(known).fetchone() is None


def judge_children(con: duckdb.DuckDBPyConnection, parent: Stream, child: Stream) -> None:
    """Compares ``staged_children`` with what is current of every staged parent that says
    what its children are.

    Leaves ``parents`` (those parents), ``merged`` as :func:`judge`, and ``gone`` (current
    children that their parent no longer has). Where some of them were rejected nothing is
    gone: the one that came before stands until its successor can be taken.
    """
    parent_key = parent_columns(parent)
    mine = ", ".join(f'"{theirs}" AS "{own}"' for own, theirs in parent_key)
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE parents AS
        SELECT {mine}, max({_order("staged")}) AS _order, max(_fetched_at) AS _fetched_at,
            arg_max({some_rejected("staged", child)}, {_order("staged")}) AS _some_rejected
        FROM staged WHERE NOT contains(_absent, ',{child.name},') GROUP BY ALL"""
    )
    values = [c for c in child.columns if c.name not in child.key]
    same_parent = " AND ".join(f"s.{own} = p.{own}" for own, _ in parent_key)
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE merged AS
        WITH chosen AS (
            SELECT s.*, {business_hash(values, "s")} AS _row_hash
            FROM staged_children s JOIN parents p
              ON {same_parent} AND {_order("s")} = p._order
            -- Two events of one kind in one second share a key: always the same one is kept.
            QUALIFY row_number() OVER (
                PARTITION BY {_names(child.key, "s")} ORDER BY {business_hash(values, "s")}
            ) = 1
        )
        SELECT chosen.* EXCLUDE (_fetched_at),
            greatest(chosen._fetched_at, t.valid_from + INTERVAL 1 MICROSECOND) AS _fetched_at,
            {_verdict("chosen")} AS _verdict
        FROM chosen LEFT JOIN {_current(child, "parents", "document_id")} t
          ON {same_key(child.key, "chosen", "t")}"""
    )
    still = " AND ".join(f"t.{own} = p.{own}" for own, _ in parent_key)
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE gone AS
        SELECT {_names(child.key, "t")}, p._fetched_at
        FROM {_current(child, "parents", "document_id")} t
        JOIN parents p ON {still} AND NOT p._some_rejected
        ANTI JOIN merged m ON {same_key(child.key, "m", "t")}"""
    )


def some_rejected(table: str, child: Stream) -> str:
    """SQL: whether some of a row's children could not be taken."""
    return f"contains({table}._absent, ',{child.name}{SOME},')"


def merge_children(
    con: duckdb.DuckDBPyConnection, parent: Stream, child: Stream, *, new_parents: bool = False
) -> None:
    """Replaces the children of every staged parent that says what they are.

    ``new_parents`` is what :func:`merge` returned for the parents.
    """
    if new_parents and _each_has_its_parent(con, child):
        _write_new(con, child, "staged_children")
        return
    judge_children(con, parent, child)
    con.execute(
        f"""UPDATE history.{child.name} h SET valid_to = g._fetched_at FROM gone g
        WHERE h.valid_to IS NULL AND {same_key(child.key, "g", "h")}"""
    )
    _write_versions(con, child)


def _each_has_its_parent(con: duckdb.DuckDBPyConnection, child: Stream) -> bool:
    """Whether the staged children of new parents can be taken as they are: none twice, none
    of a parent that does not say what its children are."""
    orphan = f"""SELECT 1 FROM staged_children s ANTI JOIN (
            FROM staged WHERE NOT contains(_absent, ',{child.name},')
        ) p USING (_seq, _row) LIMIT 1"""
    twice = _comes_twice(con, child, "staged_children")
    return not twice and con.execute(orphan).fetchone() is None


def parent_columns(parent: Stream) -> list[tuple[str, str]]:
    """The child's name and the parent's name of each column of the parent's key."""
    return [("document_id" if name == "id" else name, name) for name in parent.key]


def _current(stream: Stream, among: str, id_column: str) -> str:
    """Current rows of a stream, narrowed to the ids at hand: their range prunes the scan."""
    if id_column not in stream.by_name:
        return f"(FROM history.{stream.name} WHERE valid_to IS NULL)"
    low, high = (f"(SELECT {f}({id_column}) FROM {among})" for f in ("min", "max"))
    return (
        f"(FROM history.{stream.name} WHERE valid_to IS NULL "
        f"AND {id_column} BETWEEN {low} AND {high})"
    )


def _absent_names(con: duckdb.DuckDBPyConnection) -> set[str]:
    rows = con.execute("SELECT DISTINCT _absent FROM staged").fetchall()
    return {name for (names,) in rows for name in names.split(",") if name}


def _comes_twice(con: duckdb.DuckDBPyConnection, stream: Stream, table: str) -> bool:
    """Whether a key was staged more than once: rare, and then every column is gone through."""
    found = con.execute(
        f"SELECT 1 FROM {table} GROUP BY {_names(stream.key)} HAVING count(*) > 1 LIMIT 1"
    )
    return found.fetchone() is not None


def _one_row_per_key(
    con: duckdb.DuckDBPyConnection, stream: Stream, values: list[Column], absent: set[str]
) -> None:
    """A key staged several times (a list row, then its detail) becomes one row."""
    key = _names(stream.key)
    plain = ", ".join(f'"{c.name}"' for c in values)
    last = ", ".join(
        f'last("{c.name}" ORDER BY {_order("counted")})'
        + (f" FILTER (NOT contains(_absent, ',{c.mark},'))" if c.mark in absent else "")
        + f' AS "{c.name}"'
        for c in values
    )
    never = ", ".join(
        f"CASE WHEN bool_and(contains(_absent, ',{name},')) THEN '{name}' END"
        for name in sorted(absent)
    )
    still_absent = f"',' || concat_ws(',', {never}) || ','" if never else "''"
    service = "_extra, _absent, _call, _fetched_at, _detail_at, _seq"
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE incoming AS
        WITH counted AS (SELECT *, count(*) OVER (PARTITION BY {key}) AS _times FROM staged)
        SELECT {key}, {plain}, {service} FROM counted WHERE _times = 1
        UNION ALL
        SELECT {key}, {last}, last(_extra ORDER BY {_order("counted")}), {still_absent},
            last(_call ORDER BY {_order("counted")}), max(_fetched_at), max(_detail_at), max(_seq)
        FROM counted WHERE _times > 1 GROUP BY {key}"""
    )


def _overlay(
    con: duckdb.DuckDBPyConnection,
    stream: Stream,
    values: list[Column],
    absent: set[str],
    rows: str,
) -> None:
    kept = ", ".join(
        f"CASE WHEN contains(i._absent, ',{c.mark},') THEN t.\"{c.name}\" "
        f'ELSE i."{c.name}" END AS "{c.name}"'
        if c.mark in absent
        else f'i."{c.name}"'
        for c in values
    )
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE merged AS
        WITH overlaid AS (
            SELECT {_names(stream.key, "i")}, {kept}, i._extra, i._call, i._seq,
                coalesce(i._detail_at, t._detail_at) AS _detail_at,
                greatest(i._fetched_at, t.valid_from + INTERVAL 1 MICROSECOND) AS _fetched_at,
                t._row_hash AS _old_hash, t._deleted_at AS _was_deleted
            FROM {rows} i LEFT JOIN {_current(stream, rows, "id")} t
              ON {same_key(stream.key, "i", "t")}
        ), hashed AS (SELECT *, {business_hash(values)} AS _row_hash FROM overlaid)
        SELECT *, CASE WHEN _old_hash IS NULL THEN 'new'
            WHEN _old_hash <> _row_hash OR _was_deleted IS NOT NULL THEN 'changed'
            ELSE 'unchanged' END AS _verdict
        FROM hashed"""
    )


def _write_new(con: duckdb.DuckDBPyConnection, stream: Stream, staged: str) -> None:
    """Rows that nothing is known of, as they were staged."""
    columns = ", ".join(f'"{c.name}"' for c in stream.columns)
    values = [c for c in stream.columns if c.name not in stream.key]
    con.execute(
        f"""INSERT INTO history.{stream.name} BY NAME
        SELECT {columns}, _extra, _detail_at, _call, {business_hash(values)} AS _row_hash,
            _fetched_at AS valid_from
        FROM {staged}"""
    )


def _write_versions(con: duckdb.DuckDBPyConnection, stream: Stream) -> None:
    con.execute(
        f"""UPDATE history.{stream.name} h SET valid_to = m._fetched_at FROM merged m
        WHERE m._verdict = 'changed' AND h.valid_to IS NULL AND {same_key(stream.key, "m", "h")}"""
    )
    columns = ", ".join(f'"{c.name}"' for c in stream.columns)
    con.execute(
        f"""INSERT INTO history.{stream.name} BY NAME
        SELECT {columns}, _extra, _detail_at, _call, _row_hash, _fetched_at AS valid_from
        FROM merged WHERE _verdict <> 'unchanged'"""
    )


def _verdict(new: str) -> str:
    return (
        f"CASE WHEN t._row_hash IS NULL THEN 'new' WHEN t._row_hash <> {new}._row_hash "
        "OR t._deleted_at IS NOT NULL THEN 'changed' ELSE 'unchanged' END"
    )


def business_hash(
    values: list[Column], table: str = "", told: Mapping[str, str] | None = None
) -> str:
    """MD5 over the business fields. Its inputs do not depend on the session or version.

    ``told`` has the SQL of columns that are not simply the table's.
    """
    told = told or {}
    names = ((c, _names((c.name,), table)) for c in values if not c.volatile)
    parts = ", ".join(
        f"coalesce({_stable(c, told.get(c.name, name))}, chr(30))" for c, name in names
    )
    return f"md5(concat_ws(chr(31), {parts}))" if parts else "''"


def _stable(column: Column, value: str) -> str:
    if column.kind is Kind.TIME:
        return f"epoch_us({value})::VARCHAR"
    if column.volatile_keys:
        keys = "|".join(column.volatile_keys)
        pattern = f'"({keys})"\\s*:\\s*("[^"]*"|[^,}}\\]]*),?'
        return f"regexp_replace(({value})::VARCHAR, '{pattern}', '', 'g')"
    return f"({value})::VARCHAR"


def _names(names: tuple[str, ...], table: str = "") -> str:
    return ", ".join(f'{table}."{n}"' if table else f'"{n}"' for n in names)


def same_key(key: tuple[str, ...], a: str, b: str) -> str:
    return " AND ".join(f'{a}."{n}" IS NOT DISTINCT FROM {b}."{n}"' for n in key)
