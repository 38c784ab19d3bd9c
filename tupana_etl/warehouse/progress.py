"""What is remembered of windows, details and absences, so that the next sync knows.

All of it follows from the manifest alone, so a rebuild from the lake gives it back.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb

from tupana_etl.lake.manifest import Entry
from tupana_etl.streams import STREAMS, Stream, children
from tupana_etl.warehouse.merge import parent_columns
from tupana_etl.warehouse.scope import Scope

TABLES = """
CREATE TABLE IF NOT EXISTS meta.windows (stream VARCHAR, master_entity_id VARCHAR,
    document_type VARCHAR, date_from DATE, date_to DATE, rows BIGINT, verified_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS meta.companies (master_entity_id VARCHAR, rut VARCHAR);
CREATE TABLE IF NOT EXISTS meta.details (master_entity_id VARCHAR, document_type VARCHAR,
    id VARCHAR, read_at TIMESTAMPTZ);
CREATE TABLE IF NOT EXISTS meta.deleted (run_id VARCHAR, stream VARCHAR,
    master_entity_id VARCHAR, rows BIGINT);
CREATE TABLE IF NOT EXISTS meta.missing (stream VARCHAR, key VARCHAR[], first_run VARCHAR,
    last_run VARCHAR, missed_at TIMESTAMPTZ);
"""


def remember(con: duckdb.DuckDBPyConnection, stream: Stream, group: list[Entry]) -> None:
    """Takes note of window entries of a stream, in order."""
    bodies = [entry.body for entry in group]
    for company, rut in {b["company"]: b["rut"] for b in bodies if b["company"]}.items():
        _remember_company(con, company, rut)
    suspected = con.execute("SELECT 1 FROM meta.missing WHERE stream = ?", [stream.name])
    watching = suspected.fetchone() is not None or any(b["missing"] for b in bodies)
    for b in bodies:
        if b["date_from"]:
            _remember_window(con, b)
        if watching and b["complete"] and not b["partial"]:
            _remember_missing(con, b)
        if b["details"]:
            _remember_details(con, b)


def _remember_company(con: duckdb.DuckDBPyConnection, company: str, rut: str) -> None:
    con.execute(
        """INSERT INTO meta.companies SELECT $id, $rut
        WHERE NOT EXISTS (FROM meta.companies WHERE master_entity_id = $id)""",
        {"id": company, "rut": rut},
    )


def _remember_window(con: duckdb.DuckDBPyConnection, b: dict[str, Any]) -> None:
    """The newest cut of a stretch of dates replaces the older ones it overlaps."""
    slice_ = {"stream": b["stream"], "company": b["company"], "direction": b["direction"]}
    con.execute(
        """DELETE FROM meta.windows WHERE stream = $stream AND master_entity_id = $company
        AND document_type = $direction AND date_from <= coalesce($to::DATE, 'infinity'::DATE)
        AND coalesce(date_to, 'infinity'::DATE) >= $from::DATE""",
        {**slice_, "from": b["date_from"], "to": b["date_to"]},
    )
    con.execute(
        "INSERT INTO meta.windows VALUES ($stream, $company, $direction, $from, $to, $rows, $at)",
        {
            **slice_,
            "from": b["date_from"],
            "to": b["date_to"],
            "rows": b["expected"] or b["seen"],
            "at": b["read_at"] if b["complete"] else None,
        },
    )


def _remember_details(con: duckdb.DuckDBPyConnection, b: dict[str, Any]) -> None:
    values = {"company": b["company"], "direction": b["direction"], "ids": b["details"]}
    con.execute(
        """DELETE FROM meta.details WHERE master_entity_id = $company
        AND document_type = $direction AND list_contains($ids, id)""",
        values,
    )
    con.execute(
        "INSERT INTO meta.details SELECT $company, $direction, unnest($ids::VARCHAR[]), $at",
        {**values, "at": b["read_at"]},
    )


def _remember_missing(con: duckdb.DuckDBPyConnection, b: dict[str, Any]) -> None:
    """A row missing from a whole read is suspected until a later whole read decides."""
    _clear_seen(con, b)
    for key in b["missing"]:
        values = {"stream": b["stream"], "key": key, "run": b["run"], "at": b["read_at"]}
        con.execute(
            "UPDATE meta.missing SET last_run = $run, missed_at = $at "
            "WHERE stream = $stream AND key = $key::VARCHAR[]",
            values,
        )
        con.execute(
            """INSERT INTO meta.missing SELECT $stream, $key::VARCHAR[], $run, $run, $at
            WHERE NOT EXISTS
                (FROM meta.missing WHERE stream = $stream AND key = $key::VARCHAR[])""",
            values,
        )


def _clear_seen(con: duckdb.DuckDBPyConnection, b: dict[str, Any]) -> None:
    """Rows of this window that are not missing from it are suspected no more."""
    stream = STREAMS[b["stream"]]
    condition, values = scope_of(b).condition
    con.execute(
        f"""DELETE FROM meta.missing WHERE stream = ? AND NOT list_contains(?::VARCHAR[][], key)
        AND key IN (SELECT [{_key(stream, "h")}] FROM history.{stream.name} h WHERE {condition})""",
        [stream.name, b["missing"], *values],
    )


def scope_of(b: dict[str, Any]) -> Scope:
    """The rows that a window entry speaks of."""
    named = {
        "master_entity_id": b["company"],
        "document_type": b["direction"],
        "period": b["period"],
    }
    day = date.fromisoformat
    return Scope(
        STREAMS[b["stream"]],
        {name: value for name, value in named.items() if value},
        day(b["date_from"]) if b["date_from"] else None,
        day(b["date_to"]) if b["date_to"] else None,
        b["undated"],
    )


def conclude(con: duckdb.DuckDBPyConnection, run_id: str) -> int:
    """At the end of a run: marks rows deleted that two runs missed. Returns how many.

    A row that got a new version meanwhile was seen elsewhere (its date changed): it is no
    longer suspected, and neither is one that was back in a later read of its window.
    """
    deleted = 0
    names = con.execute("SELECT DISTINCT stream FROM meta.missing").fetchall()
    for (name,) in names:
        stream = STREAMS[name]
        con.execute(
            f"""CREATE OR REPLACE TEMP TABLE condemned AS
            SELECT h.*, m.missed_at FROM history.{name} h
            JOIN meta.missing m ON m.stream = '{name}' AND m.key = [{_key(stream, "h")}]
            WHERE h.valid_to IS NULL AND h._deleted_at IS NULL AND m.last_run = $run
              AND m.first_run <> $run AND h.valid_from < (
                SELECT started_at FROM raw.syncs WHERE run_id = $run)""",
            {"run": run_id},
        )
        con.execute(
            f"""INSERT INTO meta.deleted
            SELECT ?, '{name}', coalesce(master_entity_id, ''), count(*)
            FROM condemned GROUP BY ALL""",
            [run_id],
        )
        deleted += _mark(con, stream, "condemned", stream.key)
        for child in children(name):
            _condemn_children(con, stream, child)
            _mark(con, child, "condemned_children", child.key)
    # Decided one way or the other: deleted above, or alive elsewhere.
    con.execute("DELETE FROM meta.missing WHERE last_run = ? AND first_run <> last_run", [run_id])
    return deleted


def deleted_in(con: duckdb.DuckDBPyConnection, run_id: str) -> dict[tuple[str, str], int]:
    """Rows that a run marked deleted, by stream and company id."""
    rows = con.execute(
        "SELECT stream, master_entity_id, rows FROM meta.deleted WHERE run_id = ?", [run_id]
    ).fetchall()
    return {(stream, company): count for stream, company, count in rows}


def _condemn_children(con: duckdb.DuckDBPyConnection, parent: Stream, child: Stream) -> None:
    same = " AND ".join(f'h."{own}" = p."{theirs}"' for own, theirs in parent_columns(parent))
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE condemned_children AS
        SELECT h.*, p.missed_at FROM history.{child.name} h JOIN condemned p ON {same}
        WHERE h.valid_to IS NULL AND h._deleted_at IS NULL"""
    )


def _mark(con: duckdb.DuckDBPyConnection, stream: Stream, source: str, key: tuple[str, ...]) -> int:
    same = " AND ".join(f'h."{name}" IS NOT DISTINCT FROM c."{name}"' for name in key)
    con.execute(
        f"""UPDATE history.{stream.name} h SET valid_to = c.missed_at FROM {source} c
        WHERE h.valid_to IS NULL AND {same}"""
    )
    con.execute(
        f"""INSERT INTO history.{stream.name} BY NAME
        SELECT * EXCLUDE (missed_at) REPLACE (missed_at AS valid_from, missed_at AS _deleted_at)
        FROM {source}"""
    )
    row = con.execute(f"SELECT count(*) FROM {source}").fetchone()
    return int(row[0]) if row else 0


def _key(stream: Stream, table: str) -> str:
    return ", ".join(f'{table}."{name}"::VARCHAR' for name in stream.key)
