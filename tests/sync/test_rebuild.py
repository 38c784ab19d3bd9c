"""The lake alone gives the warehouse back, version by version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tupana_etl.domain import utcnow
from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.lake.segments import sha256
from tupana_etl.pipeline import rebuild_marts
from tupana_etl.warehouse import apply

from .helpers import Site, unpublished


def test_a_key_read_twice_in_a_run_has_the_same_versions_after_a_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many rows the runs before it had: they do not move the borders of a merge."""
    with unpublished(tmp_path, documents=60, companies=1, months=2) as here:
        here.sync()
        manifest = Manifest(here.settings.lake)
        manifest.open_for_append()
        entries = list(manifest.entries())
        window = max(entries, key=documents)
        begun = next(entry for entry in entries if entry.kind == "run")
        run = {**begun.body, "run": "later", "started_at": utcnow().isoformat()}
        manifest.append("run", run)
        for name in ("one name", "another name"):
            manifest.append("window", renamed(here, window.body, name))
        manifest.append("end", {**entries[-1].body, "run": "later"})
        # The later run fits into one merge; after the rows of the first it would not.
        before = sum(s["rows"] for e in entries for s in e.body.get("segments", {}).values())
        monkeypatch.setattr(apply, "MERGE_ROWS", before + documents(window))
        rebuild_marts(here.settings)
        versions = "SELECT id, receiver_name, valid_from, valid_to FROM history.documents"
        once = sorted(here.query(versions), key=repr)
        names = here.query("SELECT DISTINCT receiver_name FROM history.documents")
        assert ("another name",) in names
        assert ("one name",) not in names
        rebuild_marts(here.settings, from_lake=True)
        assert sorted(here.query(versions), key=repr) == once


@pytest.mark.long
def test_many_small_runs_are_applied_again_in_bounded_memory(tmp_path: Path) -> None:
    """Together they would hold more than DuckDB may have while it merges."""
    with unpublished(tmp_path, documents=60, companies=2, months=2) as here:
        here.sync()
        manifest = Manifest(here.settings.lake)
        manifest.open_for_append()
        entries = list(manifest.entries())
        for number in range(150):
            for entry in entries:
                manifest.append(entry.kind, {**entry.body, "run": f"later{number}"})
        rebuild_marts(here.settings, from_lake=True)
        assert here.query("SELECT count(*) FROM raw.syncs") == [(151,)]


def documents(entry: Entry) -> int:
    return int(entry.body.get("segments", {}).get("documents", {"rows": 0})["rows"])


def renamed(here: Site, body: dict[str, Any], name: str) -> dict[str, Any]:
    """The window as a later run might have read it: its documents go to somebody else."""
    lake = here.settings.lake
    table = pq.read_table(lake / body["segments"]["documents"]["path"])
    column = table.schema.get_field_index("receiver_name")
    names = pa.array([name] * table.num_rows, pa.string())
    path = f"documents/later/{name}.parquet"
    (lake / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.set_column(column, table.schema.field(column), names), lake / path)
    segment = {"path": path, "rows": table.num_rows, "sha256": sha256(lake / path)}
    return {**body, "run": "later", "segments": {"documents": segment}, "calls": []}
