"""``tupana export``: files that other programs open, exact and harmless."""

from __future__ import annotations

import csv
import shutil
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import openpyxl
import pyarrow.parquet as pq
import pytest

from tupana_etl import spreadsheet
from tupana_etl.errors import ConfigError
from tupana_etl.export import export
from tupana_etl.settings import Settings

from .runner import Runner

NAMES = ["=1+1", "+56 9", "-x", "@SUM(A1)", "\tx", "\rx", 'Ñandú; "S.A.", x', "#N/A", "ok", None]


@pytest.fixture
def odd(synced: Runner, tmp_path: Path) -> Settings:
    """A published database with a table of everything a spreadsheet may get wrong."""
    settings = Settings(home=tmp_path)
    shutil.copyfile(synced.home / "analytics.duckdb", settings.analytics)
    with duckdb.connect(str(settings.analytics)) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(
            """CREATE TABLE marts.odd (n INTEGER, name VARCHAR, rut VARCHAR, amount DECIMAL(18,4),
            clp BIGINT, day DATE, moment TIMESTAMPTZ, nested STRUCT(a INTEGER), raw JSON,
            big DECIMAL(38,0), old DATE)"""
        )
        rows = [[i, name] for i, name in enumerate(NAMES)]
        con.executemany(
            """INSERT INTO marts.odd SELECT ?, ?, '0012', 1234.5, 1234567, DATE '2026-07-01',
            TIMESTAMPTZ '2026-07-01 02:30:00Z', {'a': 1}, '{"b": [1]}',
            12345678901234567890, DATE '1850-01-01'""",
            rows,
        )
    return settings


def test_csv_is_exact_and_runs_nothing(odd: Settings) -> None:
    made = export("marts.odd", "csv", odd)
    with made.path.open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda r: int(r["n"]))
    assert [r["name"] for r in rows] == [
        f"'{n}" if n and n[0] in "=+-@\t\r" else n or "" for n in NAMES
    ]
    assert rows[0]["amount"] == "1234.5000"
    assert rows[0]["rut"] == "0012"
    assert rows[0]["moment"] == "2026-06-30 22:30:00-04"
    assert rows[0]["nested"] == '{"a":1}'


def test_xlsx_opens_clean(odd: Settings) -> None:
    made = export("odd", "xlsx", odd)
    sheet = openpyxl.load_workbook(made.path).active
    assert sheet is not None
    header, *rows = sheet.iter_rows()
    assert [c.value for c in header][:3] == ["n", "name", "rut"]
    assert all(c.font.b for c in header)
    assert sheet.freeze_panes == "A2"
    assert sheet.auto_filter.ref == f"A1:K{len(NAMES) + 1}"
    by_number = {row[0].value: row for row in rows}
    for number, name in enumerate(NAMES):
        cell = by_number[number][1]
        expected = name.replace("\r", "\n") if name else name  # XML has one line end
        assert cell.value == expected
        assert cell.data_type == ("s" if name else "n")
    _, _, rut, amount, clp, day, moment, nested, raw, big, old = by_number[0]
    assert rut.value == "0012"
    assert (amount.value, amount.data_type) == (1234.5, "n")
    assert (clp.value, clp.number_format) == (1234567, "#,##0")
    assert day.value == datetime(2026, 7, 1)  # noqa: DTZ001 - a sheet knows no zones
    assert moment.value == datetime(2026, 6, 30, 22, 30)  # noqa: DTZ001
    assert (nested.value, raw.value) == ('{"a": 1}', '{"b": [1]}')
    assert (big.value, big.data_type) == ("12345678901234567890", "s")
    assert old.value == "1850-01-01"
    assert "more than 15 digits" in made.notes[0]


def test_parquet_keeps_types(odd: Settings) -> None:
    table = pq.read_table(export("marts.odd", "parquet", odd).path)
    assert table.num_rows == len(NAMES)
    assert table.column("amount").to_pylist()[0] == Decimal("1234.5000")
    assert "=1+1" in table.column("name").to_pylist()


def test_too_many_rows_for_a_sheet(odd: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MOST_ROWS", 3)
    with pytest.raises(ConfigError, match="parquet"):
        export("marts.odd", "xlsx", odd)
    assert list((odd.home / "exports").iterdir()) == []


@pytest.mark.parametrize("kind", ["xlsx", "csv", "parquet"])
def test_the_default_place_is_private_and_overwritten(synced: Runner, kind: str) -> None:
    for _ in range(2):
        made = synced.inside("export", "receivables", "--format", kind, "--json").json
    path = Path(made["path"])
    assert path == synced.home / "exports" / f"marts.receivables.{kind}"
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0
    count = synced.inside("query", "SELECT count(*) FROM marts.receivables", "--json").json["rows"][
        0
    ][0]
    assert made["rows"] == count
    assert [p for p in path.parent.iterdir() if p.suffix == ".tmp"] == []


def test_a_file_of_ones_own_is_not_overwritten_unasked(synced: Runner, tmp_path: Path) -> None:
    out = tmp_path / "it's mine.csv"
    words = ("export", "raw.documents", "--format", "csv", "--out", str(out))
    assert synced(*words).code == 0
    failed = synced.inside(*words)
    assert failed.code == 2
    assert "--force" in failed.err
    assert synced.inside(*words, "--force").code == 0
    assert synced.inside(*words[:-1], str(tmp_path / "none" / "x.csv")).code == 2
    assert synced.inside("export", "raw.nothing").code == 2
