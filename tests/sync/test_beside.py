"""What is committed is merged while the rest is read, and it is the same as merged afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tupana_etl import pipeline
from tupana_etl.lake.manifest import Manifest
from tupana_etl.streams import STREAMS
from tupana_etl.warehouse import apply, compare
from tupana_etl.warehouse.database import Connection

from .helpers import Site, unpublished

DOCUMENTS = 60


def everything(here: Site) -> dict[str, list[Any]]:
    """All versions of all rows, and all bookkeeping."""
    tables = [f"history.{name}" for name in STREAMS] + ["raw.windows", "raw.lineage"]
    tables += ["meta.windows", "meta.missing", "meta.details", "raw.rejects"]
    return {table: sorted(here.query(f"FROM {table}"), key=repr) for table in tables}


def test_merged_beside_or_afterwards_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "MERGE_ROWS", 60)  # several merges a run
    with unpublished(tmp_path, documents=DOCUMENTS, companies=2, months=2) as here:
        assert here.sync().complete
        rows = here.query("SELECT DISTINCT id FROM raw.documents ORDER BY id")
        ids = [id_ for (id_,) in rows]
        first = len(everything(here)["history.documents"])
        for run in range(2):
            here.admin("pay", document_ids=ids[run * 10 : run * 10 + 10])
            here.admin("delete", document_ids=ids[20 + run : 21 + run])
            assert here.sync().complete
        once = everything(here)
        assert len(once["history.documents"]) > first
        pipeline.rebuild_marts(here.settings, from_lake=True)
        assert everything(here) == once


def test_what_was_read_before_a_run_stopped_is_merged_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that stops applies nothing afterwards: what is there was merged beside it."""
    monkeypatch.setattr(apply, "MERGE_ROWS", 20)
    with unpublished(tmp_path, documents=DOCUMENTS, companies=2, months=2) as here:
        with monkeypatch.context() as patch:
            patch.setattr(pipeline, "apply", first_only(apply.apply))
            with pytest.raises(KeyboardInterrupt):
                here.sync()
        (merged,) = here.query("SELECT max(seq) FROM meta.applied")[0]
        assert 1 < merged < Manifest(here.settings.lake).lines()
        assert here.query("SELECT count(*) > 0 FROM raw.windows") == [(True,)]
        assert here.sync().complete
        assert here.query("SELECT count(DISTINCT id) FROM raw.documents") == [(DOCUMENTS,)]


def first_only(real: Callable[..., int]) -> Callable[..., int]:
    """Applies what a run finds, and stops it when it has read."""
    calls = iter([real])

    def applied(con: Connection, manifest: Manifest) -> int:
        for call in calls:
            return call(con, manifest)
        raise KeyboardInterrupt

    return applied


def test_a_question_that_finds_no_memory_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge beside it may have taken what it needs, until it is done."""
    with unpublished(tmp_path, documents=DOCUMENTS, companies=1, months=2) as here:
        assert here.sync().complete
        short = iter([duckdb.OutOfMemoryException("none left")])
        real = compare.differing

        def differing(*given: Any) -> Any:
            for error in short:
                raise error
            return real(*given)

        monkeypatch.setattr(compare, "differing", differing)
        done = here.sync()
        assert done.complete
        assert next(short, None) is None, "it was asked"
        assert {(s.new, s.changed) for s in done.streams} == {(0, 0)}
