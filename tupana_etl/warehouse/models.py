"""Runs the SQL models: ``sql/staging/x.sql`` becomes table ``staging.x``, ``sql/marts/x.sql``
``marts.x``, ``sql/macros/x.sql`` the table macro ``marts.x(…)``.

A file is one SELECT under a comment: its description, then a line ``-- column: description``
for every column. Order is derived from the SQL, comments become COMMENT ON, and what fails
is named by file, line and column. All models are rebuilt in one transaction: readers see
the tables of one run, and a failure leaves the previous ones.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path

import duckdb

from tupana_etl import domain
from tupana_etl.errors import ModelError
from tupana_etl.warehouse import mirror, reference
from tupana_etl.warehouse.model_files import (
    Model,
    find_files,
    find_models,
    located,
    located_by_name,
    upstream,
)
from tupana_etl.warehouse.tables import quoted

__all__ = ["Model", "ModelError", "ModelRun", "find_models", "run_models"]


@dataclass(frozen=True)
class ModelRun:
    """One model, rebuilt."""

    name: str
    rows: int
    seconds: float


def run_models(
    con: duckdb.DuckDBPyConnection,
    *,
    as_of: date | None = None,
    now: datetime | None = None,
    home_is_sandbox: bool = False,
    root: Path | None = None,
    only: Collection[str] | None = None,
) -> list[ModelRun]:
    """Rebuilds every model, in order, all or nothing; macros too, which are no runs.

    ``only`` names the models wanted: these and all that they read are rebuilt.

    ``as_of`` is the day the figures are of (default: today in Santiago); ``now`` the moment,
    which decides tacit acceptance (default: now for today, the day's last instant for any
    other day). Both only move the calendar: the rows are always the current ones.
    ``home_is_sandbox`` lets sandbox documents in. Sets the session's TimeZone to Santiago's.
    The connection must not be inside a transaction.
    """
    models = find_files(root)
    if only is not None:
        models = upstream(models, only)
    _set_calendar(con, as_of, now)
    con.execute(f"SET VARIABLE home_is_sandbox = {home_is_sandbox}")
    con.begin()
    try:
        for schema in sorted({m.schema for m in models}):
            con.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        reference.create(con)
        mirror.create_missing(con)
        runs = []
        for model in models:
            if model.is_macro:
                _make_macro(con, model)
            else:
                runs.append(_run(con, model))
    except BaseException:
        con.rollback()
        raise
    con.commit()
    return runs


def _set_calendar(con: duckdb.DuckDBPyConnection, as_of: date | None, now: datetime | None) -> None:
    moment = now or datetime.now(UTC)
    today = moment.astimezone(domain.SANTIAGO).date()
    day = as_of or today
    if day != today:
        midnight = datetime.combine(day + timedelta(days=1), clock(), domain.SANTIAGO)
        moment = midnight.astimezone(UTC) - timedelta(microseconds=1)
    con.execute("SET TimeZone = 'America/Santiago'")
    con.execute(f"SET VARIABLE as_of = DATE '{day.isoformat()}'")
    stamp = moment.astimezone(UTC).isoformat()
    con.execute(f"SET VARIABLE as_of_time = TIMESTAMPTZ '{stamp}'")


def _run(con: duckdb.DuckDBPyConnection, model: Model) -> ModelRun:
    start = time.perf_counter()
    try:
        # The SELECT begins on line 2: DuckDB's line numbers are the file's plus one.
        con.execute(f"CREATE OR REPLACE TABLE {model.name} AS\n{model.sql}")
    except duckdb.Error as error:
        raise located(model.path, model.sql, error, lines_before=1) from error
    _comment(con, model)
    counted = con.execute(f"SELECT count(*) FROM {model.name}").fetchone()
    rows = int(counted[0]) if counted else 0
    return ModelRun(model.name, rows, time.perf_counter() - start)


def _make_macro(con: duckdb.DuckDBPyConnection, model: Model) -> None:
    given = ", ".join(
        p.name if p.default is None else f"{p.name} := {p.default}" for p in model.parameters
    )
    called = f"{model.name}({', '.join('NULL' for p in model.parameters if p.default is None)})"
    try:
        con.execute(f"CREATE OR REPLACE MACRO {model.name}({given}) AS TABLE\n{model.sql}")
    except duckdb.Error as error:
        raise located(model.path, model.sql, error, lines_before=1) from error
    try:
        made = [row[0] for row in con.execute(f"DESCRIBE FROM {called}").fetchall()]
    except duckdb.Error as error:
        # Its positions are those of the call: the name it complains of tells the place.
        raise located_by_name(model.path, model.sql, error) from error
    _check_header(model, made)
    con.execute(f"COMMENT ON MACRO TABLE {model.name} IS {quoted(model.description)}")


def _comment(con: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Documents the table, and refuses a header that does not match it."""
    _check_header(model, [row[0] for row in con.execute(f"DESCRIBE {model.name}").fetchall()])
    told = [f"COMMENT ON TABLE {model.name} IS {quoted(model.description)}"]
    told += (
        f'COMMENT ON COLUMN {model.name}."{column}" IS {quoted(doc)}'
        for column, doc in model.columns.items()
    )
    con.execute("; ".join(told))


def _check_header(model: Model, made: list[str]) -> None:
    for wrong, what in (
        ([c for c in made if c not in model.columns], "has no `-- column: description` line for"),
        ([c for c in model.columns if c not in made], "describes but does not select"),
    ):
        if wrong:
            raise ModelError(f"{model.path}:1:1: the model {what} {', '.join(wrong)}.")
