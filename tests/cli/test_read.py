"""``query``, ``companies``, ``streams``: what is here, as people and programs read it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest

from tupana_etl.cli import output, tables

from .conftest import WORLD
from .runner import Runner


def test_json_is_exact(synced: Runner) -> None:
    query = """SELECT 123456789012.3456::DECIMAL(18,4) AS amount, 9007199254740993 AS big,
        DATE '2026-01-31' AS day, TIMESTAMPTZ '2026-07-01 12:00:00Z' AS moment,
        '{"a": 1}'::JSON AS raw, {'b': [1.50, NULL]} AS nested, NULL AS nothing, true AS yes"""
    found = synced("query", query, "--json").json
    assert found["columns"][:2] == ["amount", "big"]
    row = dict(zip(found["columns"], found["rows"][0], strict=True))
    assert row["amount"] == "123456789012.3456"
    assert row["big"] == 9007199254740993
    assert row["day"] == "2026-01-31"
    assert row["moment"] == "2026-07-01T08:00:00-04:00"
    assert row["raw"] == '{"a": 1}'
    assert row["nested"] == {"b": ["1.50", None]}
    assert row["nothing"] is None
    assert row["yes"] is True


def test_people_get_what_fits(synced: Runner) -> None:
    shown = synced("query", "FROM marts.receivables", "--limit", "3")
    assert shown.code == 0
    assert "more columns: " in shown.out
    assert "more rows (--limit" in shown.out
    one = synced.inside("query", "FROM marts.receivables LIMIT 1").out
    assert "open_balance_clp " in one
    money = synced.inside(
        "query", "SELECT 1234567::BIGINT AS clp, 1234.5::DECIMAL(18,4) AS d, 2026 AS y"
    )
    assert money.out.split() == ["clp", "d", "y", "1.234.567", "1.234,5", "2026"]
    assert "(no rows)" in synced.inside("query", "FROM marts.receivables WHERE false").out


def test_sql_from_stdin(synced: Runner) -> None:
    assert synced("query", "-", "--json", stdin="SELECT 7 AS n").json["rows"] == [[7]]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM raw.nothing", "nothing"),
        ("SELEC 1", "syntax error"),
        ("DELETE FROM raw.rejects", "read-only"),
        ("SELECT CAST('x' AS INTEGER) FROM raw.documents", "x"),
    ],
)
def test_wrong_sql_is_told_in_its_own_words(synced: Runner, sql: str, said: str) -> None:
    failed = synced.inside("query", sql)
    assert failed.code == 2
    assert said in failed.err


def test_wrong_sql_in_json(synced: Runner) -> None:
    failed = synced.inside("query", "SELEC 1", "--json")
    assert failed.code == 2
    assert failed.json["error"]["kind"] == "ConfigError"


def test_a_reader_that_leaves_is_no_error(synced: Runner) -> None:
    process = synced.start("query", "FROM range(2000)", "--limit", "2000")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()


def test_nothing_published_yet(tupana: Runner) -> None:
    failed = tupana("query", "SELECT 1")
    assert failed.code == 2
    assert "tupana sync" in failed.err


def test_companies(synced: Runner, tupana: Runner) -> None:
    found = synced.inside("companies", "--json").json["companies"]
    valid = [c for c in found if c["credential"] == "valid"]
    assert len(valid) == WORLD.companies
    assert all(c["documents"] and c["last_read"] for c in valid)
    shown = synced("companies")
    assert all(c["rut"] in shown.out for c in found)
    unsynced = tupana.inside("companies", "--json").json["companies"]
    assert not any(c["documents"] or c["last_read"] for c in unsynced)


def test_streams(synced: Runner, tupana: Runner) -> None:
    found = {s["stream"]: s for s in synced.inside("streams", "--json").json["streams"]}
    assert {s["status"] for s in found.values()} == {"ok"}
    assert found["documents"]["rows"] > 0
    assert datetime.fromisoformat(found["document_lines"]["last_read"]).tzinfo
    assert "documents " in synced("streams").out
    empty = tupana.inside("streams")
    assert empty.code == 0
    assert "never read" in empty.out
    assert "tupana sync" in empty.out


def test_numbers_as_in_chile() -> None:
    assert output.number(1234567) == "1.234.567"
    assert output.number(Decimal("-1234567.5000")) == "-1.234.567,5"
    assert output.number(Decimal("1000.0000")) == "1.000"
    assert output.number(0) == "0"


def test_data_cannot_steer_the_terminal() -> None:
    assert "\x1b" not in output.cell("a\x1b[31mb\r\n\u202ec")
    assert "\x1b" not in output.paragraph("a\x1b]0;title\x07b")


def test_tables_fit_and_cut_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [["Comercializadora Ñuñoa " * 4, "1.234.567.890.123"], ["x", "1"]]
    shown = tables.table(["name", "amount"], rows, right=["amount"])
    assert max(map(len, shown.splitlines())) <= 80
    assert "1.234.567.890.123" in shown
    assert " ".join(shown.split()).count("Ñuñoa") == 4
