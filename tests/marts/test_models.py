"""The runner: order, comments, one transaction, errors with file, line and column."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from tupana_etl.errors import ModelError
from tupana_etl.lake.manifest import Manifest
from tupana_etl.pipeline import rebuild_marts
from tupana_etl.settings import Settings
from tupana_etl.warehouse import model_files
from tupana_etl.warehouse.model_files import find_files
from tupana_etl.warehouse.models import find_models, run_models
from tupana_etl.warehouse.tables import create_tables

from .world import World

DOCUMENT = """issuer_rut dte_type_code folio company_rut seller_rut buyer_rut date_issued due_date
    total_clp open_balance_clp acceptance is_ceded as_of"""
PROMISED = {
    "documents": DOCUMENT,
    "receivables": DOCUMENT,
    "payables": DOCUMENT,
    "receivables_aging": "company_rut counterparty_rut bucket open_balance_clp",
    "payables_aging": "company_rut counterparty_rut bucket open_balance_clp",
    "factoring_candidates": "issuer_rut dte_type_code folio eligible reasons",
    "book_reconciliation": """company_rut period operation dte_type_code docs_ours docs_sii
        total_ours total_sii""",
}
"""Columns that people's scripts rest on: more may come, none may go."""


def models(root: Path, **files: str) -> Path:
    for name, sql in files.items():
        folder, _, stem = name.partition("__")
        path = root / folder / f"{stem}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sql)
    return root


def fail(root: Path) -> str:
    with duckdb.connect() as con, pytest.raises(ModelError) as caught:
        run_models(con, root=root)
    return str(caught.value)


def test_order_is_derived_from_the_sql(tmp_path: Path) -> None:
    root = models(
        tmp_path,
        marts__a="-- A.\n-- x: X.\nWITH c AS (SELECT * FROM marts.b) SELECT x FROM c;\n",
        marts__b="-- B.\n-- x: X,\n--   and more of it.\nSELECT x FROM staging.z",
        staging__z="-- Z.\n-- x: X.\nSELECT max(n) AS x FROM range(3) AS r(n)",
    )
    found = find_models(root)
    assert [m.name for m in found] == ["staging.z", "marts.b", "marts.a"]
    assert found[2].depends_on == ("marts.b",)
    assert found[1].columns == {"x": "X, and more of it."}
    with duckdb.connect() as con:
        assert [(r.name, r.rows) for r in run_models(con, root=root)][-1] == ("marts.a", 1)


def test_the_real_models_are_whole() -> None:
    con = World().run(only=None)
    names = {m.name for m in find_models()}
    assert {"marts.documents", "marts.receivables", "marts.receivables_aging",
            "marts.data_quality"} <= names  # fmt: skip
    bare = con.execute(
        """SELECT table_name, column_name FROM duckdb_columns()
        WHERE schema_name IN ('marts', 'staging') AND comment IS NULL"""
    ).fetchall()
    assert bare == []
    floats = con.execute(
        """SELECT table_name, column_name FROM duckdb_columns()
        WHERE schema_name IN ('marts', 'staging') AND data_type IN ('DOUBLE', 'FLOAT')"""
    ).fetchall()
    assert floats == []
    hugeints = con.execute(
        """SELECT column_name FROM duckdb_columns()
        WHERE schema_name = 'marts' AND data_type = 'HUGEINT'"""
    ).fetchall()
    assert hugeints == []  # Parquet would make a DOUBLE of it
    for macro in (m for m in find_files() if m.is_macro):
        needed = ", ".join("NULL" for p in macro.parameters if p.default is None)
        columns = con.execute(f"DESCRIBE FROM {macro.name}({needed})").fetchall()
        assert [c[0] for c in columns if c[1] in ("DOUBLE", "FLOAT", "HUGEINT")] == [], macro.name
    for mart, promised in PROMISED.items():
        have = {row[0] for row in con.execute(f"DESCRIBE marts.{mart}").fetchall()}
        assert set(promised.split()) <= have, mart


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("SELECT 1 AS x,\n  nope AS y", ":4:3: Binder Error"),
        ("SELECT 1 AS x\nFROM raw.nothing", ":4:6: Catalog Error"),
        ("SELECT 1 AS x\n  FROM FROM", ":4:8: syntax error"),
        (f"SELECT {'1 + ' * 60}nope AS x{', 1' * 60}", ":3:248: Binder Error"),
        ("SELECT 1 AS x;\nSELECT 2 AS x", ":1:1: a model is one SELECT, not 2"),
        ("SELECT 1 AS x, 2 AS z", ":1:1: the model has no `-- column: description` line for z"),
        ("SELECT 1 AS z FROM loose", "loose needs its schema"),
        ("SELECT x FROM marts.bad", "models in a ring"),
        ("SELECT x\nFROM marts.gone", ":4:6: no model makes marts.gone"),
        ("SELECT error('broken') AS x", ":3:1: Invalid Input Error: broken"),
        ("CREATE TABLE t (x INT)", "Only SELECT"),
    ],
)
def test_errors_name_file_line_and_column(tmp_path: Path, body: str, where: str) -> None:
    message = fail(models(tmp_path, marts__bad=f"-- Bad.\n-- x: X.\n{body}"))
    assert message.startswith(str(tmp_path / "marts" / "bad.sql"))
    assert where in message
    assert "\n" not in message


def test_a_file_without_header_or_a_root_without_models(tmp_path: Path) -> None:
    assert "no SQL models" in fail(tmp_path)
    assert "must come first" in fail(models(tmp_path, marts__x="SELECT 1 AS x"))


def test_a_failure_leaves_the_previous_tables(tmp_path: Path) -> None:
    good = "-- A.\n-- x: X.\nSELECT 1 AS x"
    bad = "-- B.\n-- x: X.\nSELECT nope AS x"
    with duckdb.connect() as con:
        run_models(con, root=models(tmp_path, marts__a=good))
        with pytest.raises(ModelError):
            run_models(
                con, root=models(tmp_path, marts__a=good.replace("1 AS", "2 AS"), marts__b=bad)
            )
        assert con.execute("SELECT x FROM marts.a").fetchall() == [(1,)]


def test_a_failure_leaves_the_published_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a sync of nothing: the models fail, people go on reading the last good run."""
    settings = Settings(home=tmp_path / "home")
    Manifest(settings.lake).open_for_append()
    good = models(tmp_path / "sql", marts__a="-- A.\n-- x: X.\nSELECT 1 AS x")
    monkeypatch.setattr(model_files, "_default_root", lambda: good)
    rebuild_marts(settings)
    models(
        good, marts__a="-- A.\n-- x: X.\nSELECT 2 AS x", marts__b="-- B.\n-- y: Y.\nSELECT z AS y"
    )
    with pytest.raises(ModelError, match=r"b\.sql:3:8: Binder Error"):
        rebuild_marts(settings)
    with duckdb.connect(str(settings.analytics), read_only=True) as con:
        assert con.execute("SELECT x FROM marts.a").fetchall() == [(1,)]


def test_a_broken_sum_stops_the_run(tmp_path: Path) -> None:
    """With a model that makes a peso: the run fails and says what does not hold."""
    root = tmp_path / "sql"
    shutil.copytree(Path(__file__).parents[2] / "sql", root)
    ageing = root / "marts" / "payables_aging.sql"
    good = ageing.read_text()
    assert "sum(open_balance_clp)::BIGINT" in good
    ageing.write_text(
        good.replace("sum(open_balance_clp)::BIGINT", "1 + sum(open_balance_clp)::BIGINT")
    )
    w = World()
    w.document("33", "1", 10, side="received")
    w.document("33", "2", 10)
    con = w.run(only=("staging.quality_proofs",))
    assert con.execute("SELECT DISTINCT broken FROM staging.quality_proofs").fetchall() == [(0,)]
    with pytest.raises(
        ModelError, match=r"quality_proofs\.sql.*ageing adds up to the payables: off by -1"
    ):
        w.rerun(con, root=root, only=("staging.quality_proofs",))


def test_twice_is_the_same() -> None:
    w = World()
    w.document("33", "1", 10)
    con = w.run()
    create_tables(con)
    before = con.execute("SELECT * EXCLUDE (as_of) FROM marts.receivables").fetchall()
    run_models(con)
    after = con.execute("SELECT * EXCLUDE (as_of) FROM marts.receivables").fetchall()
    assert [r[:3] for r in before] == [r[:3] for r in after]


def test_a_macro_is_made_in_order_and_outlives_the_run(tmp_path: Path) -> None:
    root = models(
        tmp_path,
        marts__a="-- A.\n-- x: X.\nSELECT x FROM marts.m(2)",
        macros__m="-- M.\n-- $least: Smallest.\n-- $most = 5: Largest.\n-- x: X.\n"
        "SELECT x FROM staging.z WHERE x BETWEEN least AND most",
        staging__z="-- Z.\n-- x: X.\nSELECT unnest([1, 2, 5, 7]) AS x",
        marts__other="-- O.\n-- x: X.\nSELECT 1 AS x",
    )
    assert {m.name: m.depends_on for m in find_models(root)}["marts.a"] == ("staging.z",)
    file = tmp_path / "w.duckdb"
    with duckdb.connect(str(file)) as con:
        assert [r.name for r in run_models(con, root=root, only=["marts.a"])] == [
            "staging.z", "marts.a",
        ]  # fmt: skip
    with duckdb.connect(str(file), read_only=True) as con:
        assert con.execute("FROM marts.m(1, most := 2)").fetchall() == [(1,), (2,)]
        comment = "SELECT comment FROM duckdb_functions() WHERE function_name = 'm'"
        assert con.execute(comment).fetchone() == ("M.",)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("SELECT nope AS x FROM range(n)", "/m.sql:4:8: Binder Error"),
        ("SELECT 1 AS x, n AS y", "/m.sql:1:1: the model has no `-- column: description` line for"),
    ],
)
def test_a_macro_that_fails_is_named(tmp_path: Path, body: str, where: str) -> None:
    header = "-- M.\n-- $n: Number.\n-- x: X.\n"
    assert where in fail(models(tmp_path, macros__m=header + body))


def test_the_users_tables_take_their_files_and_keep_rows_without(tmp_path: Path) -> None:
    root = models(tmp_path, marts__a="-- A.\n-- x: X.\nSELECT 1 AS x")
    rates = tmp_path / "reference" / "interest_rates.csv"
    rates.parent.mkdir()
    rates.write_text("valid_from,annual_percent,days_in_year,source\n2026-01-01,12.34,360,CMF\n")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        run_models(con, root=root)
        con.execute("INSERT INTO ref.related_ruts VALUES ('1-9', '2-7')")
        run_models(con, root=root)
        got = con.execute("SELECT annual_percent::VARCHAR FROM ref.interest_rates").fetchall()
        assert got == [("12.3400",)]
        assert con.execute("SELECT count(*) FROM ref.related_ruts").fetchone() == (1,)
        rates.write_text("valid_from,annual_percent\nyesterday,12\n")
        with pytest.raises(ModelError, match=r"interest_rates\.csv:1:1"):
            run_models(con, root=root)
        assert con.execute("SELECT count(*) FROM ref.interest_rates").fetchone() == (1,)
