"""The lineage of columns is read from the SQL once for each change of it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest

from dagster_project import lineage as kept
from tupana_etl.warehouse import lineage
from tupana_etl.warehouse.lineage import Lineage
from tupana_etl.warehouse.model_files import find_files


@pytest.fixture(scope="module")
def from_sql() -> Lineage:
    return lineage.column_lineage(find_files())


def another_process() -> None:
    importlib.reload(kept)


def test_what_was_kept_is_what_the_sql_says(tmp_path: Path, from_sql: Lineage) -> None:
    assert kept.lineage(tmp_path) == from_sql
    assert [p.name for p in tmp_path.iterdir()] == [kept.FILE]
    another_process()
    assert kept.lineage(tmp_path) == from_sql


@pytest.mark.parametrize("torn", ["", "[]", '{"fingerprint": "of other models", "lineage": {}}'])
def test_what_cannot_answer_is_read_again(tmp_path: Path, from_sql: Lineage, torn: str) -> None:
    (tmp_path / kept.FILE).write_text(torn)
    assert kept.lineage(tmp_path) == from_sql
    told = json.loads((tmp_path / kept.FILE).read_text())
    assert set(told["lineage"]) == set(from_sql)


def test_the_sql_is_read_again_only_when_it_changed(
    tmp_path: Path, from_sql: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(models: object) -> Lineage:
        raise AssertionError("the SQL was read again")

    assert kept.lineage(tmp_path) == from_sql
    another_process()
    monkeypatch.setattr(lineage, "column_lineage", reads)
    assert kept.lineage(tmp_path) == from_sql

    another_process()
    monkeypatch.setattr(lineage, "column_lineage", reads)
    monkeypatch.setattr(kept, "find_files", lambda: find_files()[:-1])
    with pytest.raises(AssertionError, match="read again"):
        kept.lineage(tmp_path)
    another_process()
