"""What the warehouse already knows, asked while a sync reads: nothing is written here.

Every question runs on a cursor of its own, so threads may ask at the same time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from tupana_etl.streams import STREAMS, Stream, children
from tupana_etl.warehouse import compare
from tupana_etl.warehouse.database import WAREHOUSE
from tupana_etl.warehouse.merge import business_hash, judge, judge_children, same_key
from tupana_etl.warehouse.scope import Scope

T = TypeVar("T")


@dataclass(frozen=True)
class KnownWindow:
    """A window of issue dates that was read before."""

    date_from: date
    date_to: date | None
    rows: int
    verified_at: datetime | None
    """When it was last read whole; None if the last try was not."""


class Known:
    """Answers from the open warehouse."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        # A comparison takes tens of megabytes for its temporary tables: one at a time.
        self._comparing = threading.Lock()
        self.merging = threading.Lock()
        """Held by whoever merges meanwhile, in the same memory."""
        self._none: dict[str, bool] = {}

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        cursor = self._con.cursor()
        try:
            # A cursor starts in the default catalog again.
            cursor.execute(f"USE {WAREHOUSE}")
            yield cursor
        finally:
            cursor.close()

    def _asked(self, question: Callable[[], T]) -> T:
        """The answer; once more when a merge beside it has taken the memory it needs."""
        try:
            return question()
        except duckdb.OutOfMemoryException:
            with self.merging:
                return question()

    def differing(self, stream: Stream, tables: Mapping[str, pa.Table]) -> pa.Array:
        """``_row`` of the rows that are new or changed, or whose children are.

        ``tables`` holds the stream's rows and, under their names, its children's.
        """
        return self._asked(lambda: self._differing(stream, tables))

    def _differing(self, stream: Stream, tables: Mapping[str, pa.Table]) -> pa.Array:
        rows = tables[stream.name]
        with self._comparing, self._cursor() as cursor:
            if self._knows_none(cursor, stream):
                return rows.column("_row").combine_chunks()
            if compare.is_plain(stream, rows):
                return compare.differing(cursor, stream, tables)
            _stage(cursor, "staged", tables[stream.name])
            judge(cursor, stream)
            keys = ", ".join(f'"{name}"' for name in stream.key)
            cursor.execute(
                f"CREATE TEMP TABLE differing AS SELECT {keys} FROM merged "
                "WHERE _verdict <> 'unchanged'"
            )
            for child in children(stream.name):
                _stage(cursor, "staged_children", tables[child.name])
                judge_children(cursor, stream, child)
                mine = "master_entity_id, document_type, document_id"
                cursor.execute(
                    f"""INSERT INTO differing SELECT {mine} FROM merged
                    WHERE _verdict <> 'unchanged' UNION SELECT {mine} FROM gone"""
                )
            found = cursor.sql(
                f"""SELECT _row FROM staged s
                SEMI JOIN differing d ON {same_key(stream.key, "s", "d")}"""
            ).to_arrow_table()
        return found.column("_row").combine_chunks()

    def _knows_none(self, cursor: duckdb.DuckDBPyConnection, stream: Stream) -> bool:
        """Whether the stream was never read before this sync: asked once, of its first rows, so
        before any of them can be merged. What this sync brings is none to compare with."""
        if stream.name not in self._none:
            found = cursor.execute(f"SELECT 1 FROM history.{stream.name} LIMIT 1").fetchall()
            self._none[stream.name] = not found
        return self._none[stream.name]

    def missing(self, scope: Scope, seen: pa.Table, rejected: list[str]) -> tuple[int, list[Any]]:
        """How many rows of the scope are known, and the keys of those not among ``seen``.

        A row that was rejected this time is there, so it is not missing.
        """
        return self._asked(lambda: self._missing(scope, seen, rejected))

    def _missing(self, scope: Scope, seen: pa.Table, rejected: list[str]) -> tuple[int, list[Any]]:
        stream = scope.stream
        key = ", ".join(f't."{name}"::VARCHAR' for name in stream.key)
        condition, values = scope.condition
        with self._cursor() as cursor:
            if self._knows_none(cursor, stream):
                return 0, []
            cursor.register("seen", seen)
            named = {*stream.key, *({"id"} & stream.by_name.keys())}
            names = ", ".join(f'"{name}"' for name in sorted(named))
            known = f"(SELECT {names} FROM history.{stream.name} WHERE {condition})"
            counted = cursor.execute(f"SELECT count(*) FROM {known}", values).fetchone()
            refused = "AND NOT list_contains(?, t.id)" if "id" in stream.by_name else "AND ? <> []"
            rows = cursor.execute(
                f"""SELECT [{key}] FROM {known} t
                ANTI JOIN seen s ON {same_key(stream.key, "s", "t")}
                WHERE true {refused if rejected else ""} ORDER BY ALL""",
                [*values, rejected] if rejected else values,
            ).fetchall()
        return int(counted[0]) if counted else 0, [found for (found,) in rows]

    def stale_details(self, stream: Stream, listed: pa.Table) -> tuple[list[str], list[str]]:
        """Ids of listed rows whose detail must be read, and of those worth another look.

        It must be read when the row is new, when a business field that the list shows
        differs from the current version, or when it was never read. An open (unpaid) row
        is worth a look, longest unread first: a lean list does not show payments.
        """
        return self._asked(lambda: self._stale_details(stream, listed))

    def _stale_details(self, stream: Stream, listed: pa.Table) -> tuple[list[str], list[str]]:
        absent = {
            name
            for names in listed.column("_absent").unique().to_pylist()
            for name in names.split(",")
        }
        shown = [c for c in stream.columns if c.mark not in absent and c.name not in stream.key]
        differs = f"{business_hash(shown, 'l')} <> {business_hash(shown, 't')}"
        with self._cursor() as cursor:
            cursor.register("listed", listed)
            rows = cursor.execute(
                f"""SELECT l.id, bool_or(t._detail_at IS NULL OR {differs if shown else "false"})
                FROM listed l
                LEFT JOIN (FROM history.{stream.name} WHERE valid_to IS NULL) t
                  ON {same_key(stream.key, "l", "t")}
                LEFT JOIN meta.details d ON {same_key(stream.key, "l", "d")}
                GROUP BY l.id, d.read_at, t.is_paid
                HAVING bool_or(t._detail_at IS NULL OR {differs if shown else "false"})
                    OR t.is_paid IS DISTINCT FROM true
                ORDER BY d.read_at NULLS FIRST, l.id"""
            ).fetchall()
        must = [id_ for id_, due in rows if due]
        return must, [id_ for id_, due in rows if not due]

    def windows(self, stream: str, company: str, direction: str) -> list[KnownWindow]:
        """The windows a listing is cut into, as far as they were ever read, oldest first."""
        with self._cursor() as cursor:
            rows = cursor.execute(
                """SELECT date_from, date_to, rows, verified_at FROM meta.windows
                WHERE stream = ? AND master_entity_id = ? AND document_type = ?
                ORDER BY date_from""",
                [stream, company, direction],
            ).fetchall()
        return [KnownWindow(*row) for row in rows]

    def undated(self, where: Mapping[str, str]) -> int:
        """Documents of a listing that are known without an issue date."""
        condition, values = Scope(STREAMS["documents"], where, undated=True).condition
        with self._cursor() as cursor:
            row = cursor.execute(
                f"SELECT count(*) FROM history.documents WHERE {condition}", values
            ).fetchone()
        return int(row[0]) if row else 0

    def companies(self) -> dict[str, str]:
        """Id and RUT of every company whose rows were ever read."""
        with self._cursor() as cursor:
            rows = cursor.execute("SELECT master_entity_id, rut FROM meta.companies").fetchall()
        return dict(rows)

    def periods(self, stream: str, company: str) -> dict[str, datetime]:
        """When the run began that last read each month of a company's books whole.

        Months of one run are equal, so that the turn of each does not hang on which answer
        came first.
        """
        with self._cursor() as cursor:
            rows = cursor.execute(
                """SELECT period, max(s.started_at)
                FROM raw.windows w JOIN raw.syncs s USING (run_id)
                WHERE stream = ? AND master_entity_id = ? AND w.complete GROUP BY ALL""",
                [stream, company],
            ).fetchall()
        return dict(rows)

    def runs_last_week(self) -> int:
        """Runs over everything begun in the last seven days, this one included."""
        with self._cursor() as cursor:
            row = cursor.execute(
                "SELECT count(*) FROM raw.syncs WHERE whole AND started_at > now() - INTERVAL 7 DAY"
            ).fetchone()
        return int(row[0]) + 1 if row else 1


def _stage(cursor: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    cursor.register("arriving", table)
    cursor.execute(
        f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT *, 0::BIGINT AS _seq FROM arriving"
    )
    cursor.unregister("arriving")
