"""Where rows come from: what is refused as a whole, and the sentence it gets."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tupana_etl.errors import ConfigError
from tupana_etl.outbox import sources

from .documents import one, row

HEADER = "row_key;dte_type;issuer_rut;receiver_rut;date_issued;item_name;quantity;unit_price"
LINE = "a;34;76086428-5;77777777-7;2026-11-24;Clases;1;1000"


def csv(folder: Path, content: str | bytes) -> sources.Source:
    path = folder / "rows.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return sources.read(str(path), folder / "analytics.duckdb", folder)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published database with a table that keeps the contract."""
    path = tmp_path_factory.mktemp("published") / "analytics.duckdb"
    names = "row_key, dte_type, issuer_rut, receiver_rut, date_issued, item_name, quantity, "
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE SCHEMA marts")
        con.execute(
            "CREATE TABLE marts.mine AS SELECT * FROM (VALUES ('a', 34, '76086428-5', "
            "'77777777-7', DATE '2026-11-24', 'Clases', 1.5, 1000.25::DECIMAL(18,4), "
            "[{'dte_type_code': '801', 'reference_folio': 'OC1', "
            "'reference_date': DATE '2026-11-01'}])) "
            f'AS t({names} unit_price, "references")'
        )
    return path


def test_places_are_lines_of_the_file(tmp_path: Path) -> None:
    two_lines = LINE.replace("Clases", '"two\nlines"')
    found = csv(tmp_path, f"{HEADER}\r\n{LINE}\r\n\r\n{two_lines}\r\n")
    assert [place for place, _ in found.rows] == ["line 2", "line 5"]
    assert found.rows[1][1]["item_name"] == "two\nlines"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        (f"{HEADER}\n{LINE}".encode("utf-16"), "not UTF-8"),
        (f"{HEADER}\n{LINE.replace('Clases', 'Ñuñoa')}".encode("latin-1"), "line 2"),
        (f"{HEADER}\n{LINE}\0", "NUL"),
        (f"{HEADER}\n{LINE};7", "line 2: 9 fields"),
        (f"{HEADER}\n{LINE}\n{LINE[:-5]}", "line 3"),
        (f"{HEADER}\n{LINE.replace('Clases', chr(34) + 'Cla' + chr(34) + 'ses')}", "line 2"),
        (f'{HEADER}\n"{LINE}', "line 2"),
        (f"{HEADER};discount_percnt\n{LINE};10", "Did you mean discount_percent"),
        (f"{HEADER};quantity\n{LINE};10", "quantity twice"),
        (f"{HEADER};\n{LINE};10", "(no name)"),
        (HEADER.replace(";date_issued", ""), "no date_issued"),
        (HEADER.replace(";", "\t"), "does not know"),
        (HEADER.replace(";", "|"), "does not know"),
    ],
)
def test_a_file_that_is_no_contract_is_refused_whole(
    tmp_path: Path, content: str | bytes, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        csv(tmp_path, content)
    assert said in str(caught.value)


def test_a_table_a_query_and_parquet_give_the_same(published: Path, tmp_path: Path) -> None:
    parquet = tmp_path / "mine.parquet"
    with duckdb.connect(str(published), read_only=True) as con:
        con.execute(f"COPY marts.mine TO '{parquet}'")
    (tmp_path / "mine.sql").write_text("-- Mine.\nFROM marts.mine;\n")
    given = {
        "table marts.mine": "marts.mine",
        "query": "SELECT * FROM marts.mine",
        str(parquet): str(parquet),
        str(tmp_path / "mine.sql"): str(tmp_path / "mine.sql"),
        "sql/outbox": None,
    }
    found = {name: sources.read(source, published, tmp_path) for name, source in given.items()}
    assert {name: source.name for name, source in found.items()} == {n: n for n in given}
    rows = [[r for _, r in source.rows] for source in found.values()]
    assert all(r == rows[0] for r in rows)
    first = rows[0][0]
    assert (first["date_issued"], first["unit_price"]) == (date(2026, 11, 24), Decimal("1000.25"))
    draft = one(row("34", **first, payment_method="1"))
    assert draft.totals is not None
    assert draft.totals.total == 1500


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nowhere.csv", "no file"),
        ("nowhere.parquet", "no file"),
        ("rows.xlsx", "CSV UTF-8"),
        ("marts.yours", "yours does not exist"),
        ("SELECT 1 AS row_key; DROP TABLE marts.mine", "read-only"),
        ("DELETE FROM marts.mine", "read-only"),
        ("COPY marts.mine TO 'stolen.csv'", "disabled"),
        ("SELECT * FROM read_csv('/etc/passwd')", "disabled"),
        ("SELEC 1", "syntax error"),
        ("SELECT 1 AS number", "does not know"),
    ],
)
def test_a_query_that_cannot_be_a_source(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        sources.read(source, published, tmp_path)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_parquet(published: Path, tmp_path: Path) -> None:
    (tmp_path / "no.parquet").write_text("no")
    with pytest.raises(ConfigError, match=r"no\.parquet cannot be read"):
        sources.read(str(tmp_path / "no.parquet"), published, tmp_path)


def test_without_anything_published_a_query_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="tupana sync"):
        sources.read("marts.mine", tmp_path / "none.duckdb", tmp_path)
    with pytest.raises(ConfigError, match="holds no query"):
        sources.read(None, tmp_path / "none.duckdb", tmp_path)
