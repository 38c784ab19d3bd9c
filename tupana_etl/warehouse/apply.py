"""Applies what the lake's manifest committed, exactly once.

Rows, bookkeeping and the number of the last applied entry are written in one transaction:
after a crash anywhere, running again continues where the warehouse really is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import duckdb
import pyarrow as pa

from tupana_etl.arrow.cells import text_array
from tupana_etl.errors import LakeCorrupt
from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.lake.segments import Committed
from tupana_etl.streams import STREAMS, Stream, children
from tupana_etl.warehouse.database import within
from tupana_etl.warehouse.merge import merge, merge_children
from tupana_etl.warehouse.progress import conclude, remember

MERGE_ROWS = 32_000
"""Rows merged at once, children counted: three windows of invoices. Bounds memory; each merge
costs a tenth of a second whatever its rows. With another number a lake applied again may have
other versions of what was read twice in a run: see :func:`merges`."""

TOGETHER = 30
"""Merges, beginnings and ends of runs in one transaction: what each of them drops stays in
memory until the commit."""

MEMORY, THREADS = "350MB", 2
"""What DuckDB may hold while it merges."""


def apply(con: duckdb.DuckDBPyConnection, manifest: Manifest) -> int:
    """Applies every entry not applied yet. Returns how many.

    Raises LakeCorrupt when a segment is missing or not what was committed.
    """
    done = con.execute("SELECT coalesce(max(seq), 0) FROM meta.applied").fetchone()
    after = int(done[0]) if done else 0
    if manifest.lines() < after:
        raise LakeCorrupt(
            f"{manifest.path} is older than the warehouse: it has {manifest.lines()} entries, "
            f"{after} were applied. Restore the newer one, or run `tupana marts --rebuild`."
        )
    transactions = _transactions(merges(manifest.entries(after)))
    first = next(transactions, None)
    if first is None:
        return 0
    lake = Committed(manifest.lake)
    with within(con, MEMORY, THREADS):
        return sum(commit(con, lake, some) for some in chain([first], transactions))


def commit(con: duckdb.DuckDBPyConnection, lake: Committed, some: list[list[Entry]]) -> int:
    """Applies merges in one transaction. Returns how many entries they were."""
    con.begin()
    try:
        for merge_ in some:
            _apply_merge(con, lake, merge_)
        con.execute("INSERT OR REPLACE INTO meta.applied VALUES (?, now())", [some[-1][-1].seq])
        con.commit()
    except BaseException:
        con.rollback()
        raise
    return sum(len(merge_) for merge_ in some)


def merges(entries: Iterable[Entry], *, more_may_come: bool = False) -> Iterator[list[Entry]]:
    """Neighbouring windows of one run, of up to MERGE_ROWS rows; anything else by itself.

    A key that is read twice within a merge is one version. So the borders follow from the
    manifest alone: rows are counted from where a run begins or goes on, and whoever applies
    the whole lake again gets the versions that were made run by run. The last windows are
    left out while ``more_may_come``: the next one may belong to them.
    """
    windows: list[Entry] = []
    rows = 0
    for entry in entries:
        size = _rows(entry)
        if windows and (entry.kind != "window" or rows + size > MERGE_ROWS):
            yield windows
            windows, rows = [], 0
        if entry.kind == "window":
            windows.append(entry)
            rows += size
        else:
            yield [entry]
    if windows and not more_may_come:
        yield windows


def _transactions(merges_: Iterable[list[Entry]]) -> Iterator[list[list[Entry]]]:
    """A few neighbours of up to MERGE_ROWS rows together: a commit costs more than a run that
    changed little."""
    some: list[list[Entry]] = []
    rows = 0
    for merge_ in merges_:
        size = sum(_rows(entry) for entry in merge_)
        if some and (rows + size > MERGE_ROWS or len(some) >= TOGETHER):
            yield some
            some, rows = [], 0
        some.append(merge_)
        rows += size
    if some:
        yield some


def _rows(entry: Entry) -> int:
    return sum(s["rows"] for s in entry.body.get("segments", {}).values())


def _apply_merge(con: duckdb.DuckDBPyConnection, lake: Committed, merge_: list[Entry]) -> None:
    match merge_[0].kind:
        case "run":
            _start_run(con, merge_[0].body)
        case "resumed":
            _resume_run(con, merge_[0].body)
        case "end":
            _end_run(con, merge_[0].body)
        case "window":
            by_stream: dict[str, list[Entry]] = {}
            for entry in merge_:
                by_stream.setdefault(entry.body["stream"], []).append(entry)
            counted: list[dict[str, Any]] = []
            for stream, windows in by_stream.items():
                verdicts = _apply_rows(con, lake, STREAMS[stream], windows)
                counted += [_window(entry, verdicts) for entry in windows]
                _take_rejects(con, lake, windows)
                remember(con, STREAMS[stream], windows)
            _fill(con, "raw.windows", counted)
            calls = [_lineage(entry.body, call) for entry in merge_ for call in entry.body["calls"]]
            _fill(con, "raw.lineage", calls)


def _apply_rows(
    con: duckdb.DuckDBPyConnection, lake: Committed, stream: Stream, group: list[Entry]
) -> dict[tuple[int, str], int]:
    """Merges what the windows of one stream brought. Returns the rows of each, by its number
    and what they were: new, changed, unchanged."""
    if not any(stream.name in entry.body["segments"] for entry in group):
        return {}
    _stage(con, lake, stream, group, "staged")
    all_new = merge(con, stream)
    judged = "SELECT _seq, 'new' AS _verdict FROM staged" if all_new else "FROM merged"
    counted = con.execute(f"SELECT _seq, _verdict, count(*) FROM ({judged}) GROUP BY ALL")
    verdicts = {(seq, verdict): rows for seq, verdict, rows in counted.fetchall()}
    for child in children(stream.name):
        if _stage(con, lake, child, group, "staged_children") or not all_new:
            merge_children(con, stream, child, new_parents=all_new)
    for table in ("staged", "staged_children", "incoming", "merged", "parents", "gone"):
        con.execute(f"DROP TABLE IF EXISTS temp.{table}")
    return verdicts


def _stage(
    con: duckdb.DuckDBPyConnection, lake: Committed, stream: Stream, group: list[Entry], table: str
) -> int:
    """Loads the group's segments of a stream into a temporary table. Returns its rows."""
    columns = ", ".join(f'"{c.name}" {c.kind.duckdb}' for c in stream.columns)
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE {table} ({columns}, _extra JSON, _absent VARCHAR,
        _row BIGINT, _call VARCHAR, _fetched_at TIMESTAMPTZ, _detail_at TIMESTAMPTZ,
        _seq BIGINT)"""
    )
    segments = [
        (entry.body["segments"][stream.name], entry.seq)
        for entry in group
        if stream.name in entry.body["segments"]
    ]
    if not segments:
        return 0
    paths = {s["path"]: lake.file(s) for s, _ in segments}
    con.execute(
        """CREATE OR REPLACE TEMP TABLE files AS
        SELECT unnest($paths::VARCHAR[]) AS path, unnest($numbers::BIGINT[]) AS _seq""",
        {
            "paths": [paths[s["path"]] for s, _ in segments],
            "numbers": [seq for _, seq in segments],
        },
    )
    compacted = {paths[s["path"]] for s, _ in segments if "of" in s}
    if own := sorted({*paths.values()} - compacted):
        con.execute(
            f"""INSERT INTO {table} BY NAME
            SELECT s.* EXCLUDE (filename), files._seq
            FROM read_parquet(?, filename=true, union_by_name=true) s
            JOIN files ON files.path = s.filename""",
            [own],
        )
    if compacted:
        con.execute(
            f"""INSERT INTO {table} BY NAME
            SELECT s.* EXCLUDE (filename)
            FROM read_parquet(?, filename=true, union_by_name=true) s
            SEMI JOIN files ON files.path = s.filename AND files._seq = s._seq
            WHERE s._seq BETWEEN ? AND ?""",
            [sorted(compacted), group[0].seq, group[-1].seq],
        )
    counted = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(counted[0]) if counted else 0


def _take_rejects(con: duckdb.DuckDBPyConnection, lake: Committed, group: list[Entry]) -> None:
    for entry in group:
        segment = entry.body["segments"].get("rejects")
        if segment:
            b = entry.body
            con.execute(
                """INSERT INTO raw.rejects
                SELECT ?, stream, ?, ?, id, "column", reason, raw, call, ?::TIMESTAMPTZ
                FROM read_parquet(?)
                """
                + ("WHERE _seq = ?" if "of" in segment else ""),
                [
                    b["run"],
                    b["company"],
                    b["direction"],
                    b["read_at"],
                    lake.file(segment),
                    *([segment["of"]] if "of" in segment else []),
                ],
            )


def _window(entry: Entry, verdicts: dict[tuple[int, str], int]) -> dict[str, Any]:
    b = entry.body
    new, changed = (verdicts.get((entry.seq, v), 0) for v in ("new", "changed"))
    return {
        "run_id": b["run"],
        "stream": b["stream"],
        "master_entity_id": b["company"],
        "document_type": b["direction"],
        "date_from": b["date_from"],
        "date_to": b["date_to"],
        "period": b["period"],
        "expected": b["expected"],
        "seen": b["seen"],
        "new": new,
        "changed": changed,
        "unchanged": b["seen"] - new - changed - b["rejected"],
        "rejected": b["rejected"],
        "missing": len(b["missing"]),
        "requests": b["requests"],
        "requests_saved": b["requests_saved"],
        "complete": b["complete"],
        "reason": b["reason"],
        "read_at": b["read_at"],
    }


def _lineage(body: dict[str, Any], call: dict[str, Any]) -> dict[str, Any]:
    segment = body["segments"].get(body["stream"])
    return {
        "call": call["call"],
        "run_id": body["run"],
        "stream": body["stream"],
        "master_entity_id": body["company"],
        "path": call["path"],
        "status": call["status"],
        "request_id": call["request_id"],
        "page": call["page"],
        "count": call["count"],
        "newest_id": call["newest_id"],
        "rows": call["rows"],
        "segment": segment and segment["path"],
        "fetched_at": call["fetched_at"],
        "error": call.get("error"),
    }


def _fill(con: duckdb.DuckDBPyConnection, table: str, rows: list[dict[str, Any]]) -> None:
    """Inserts rows of bookkeeping at once: one by one they cost as much as their documents."""
    if not rows:
        return
    names = list(rows[0])
    texts = [text_array([None if r[n] is None else str(r[n]) for r in rows]) for n in names]
    con.register("arriving", pa.table(texts, names=names))
    con.execute(f"INSERT INTO {table} BY NAME FROM arriving")
    con.unregister("arriving")


def _start_run(con: duckdb.DuckDBPyConnection, body: dict[str, Any]) -> None:
    con.execute(
        """INSERT INTO raw.syncs (run_id, asked, whole, started_at, complete)
        VALUES (?, ?, ?, ?, false)""",
        [body["run"], body.get("asked"), body.get("whole"), body["started_at"]],
    )


def _resume_run(con: duckdb.DuckDBPyConnection, body: dict[str, Any]) -> None:
    con.execute("UPDATE raw.syncs SET asked = ? WHERE run_id = ?", [body["asked"], body["run"]])


def _end_run(con: duckdb.DuckDBPyConnection, body: dict[str, Any]) -> None:
    deleted = conclude(con, body["run"])
    con.execute(
        """UPDATE raw.syncs SET finished_at = $finished_at, complete = $complete,
            requests = $requests, incomplete = $incomplete, seen = w.seen, new = w.new,
            changed = w.changed, deleted = $deleted, rejected = w.rejected
        FROM (SELECT sum(seen)::BIGINT AS seen, sum(new)::BIGINT AS new,
                sum(changed)::BIGINT AS changed, sum(rejected)::BIGINT AS rejected
            FROM raw.windows WHERE run_id = $run) w
        WHERE run_id = $run""",
        {k: body[k] for k in ("run", "finished_at", "complete", "requests", "incomplete")}
        | {"deleted": deleted},
    )
