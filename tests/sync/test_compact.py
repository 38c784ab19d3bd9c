"""The lake's small files are put together, and nothing that rests on them changes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from starlette.requests import Request

from tupana_etl.errors import LakeCorrupt
from tupana_etl.lake import compact, manifest
from tupana_etl.lake.clean import remove_leftovers
from tupana_etl.lake.manifest import Manifest
from tupana_etl.lake.segments import Committed
from tupana_etl.pipeline import rebuild_marts

from .helpers import Site, differences, tampered, unpublished

TABLES = """SELECT table_schema || '.' || table_name FROM information_schema.tables
WHERE table_schema IN ('raw', 'history') ORDER BY ALL"""


def pay(here: Site, count: int) -> None:
    unpaid = here.query(
        f"""SELECT DISTINCT id FROM raw.documents WHERE NOT is_paid AND state = 'issued'
        AND dte_type_code IN ('33', '34') ORDER BY id LIMIT {count}"""
    )
    for (id_,) in unpaid:
        here.admin("pay", document_id=int(id_))


def everything(here: Site) -> dict[str, list[Any]]:
    tables = [name for (name,) in here.query(TABLES)]
    return {name: sorted(here.query(f"FROM {name}"), key=repr) for name in tables}


def files(lake: Path) -> set[str]:
    return {str(path.relative_to(lake)) for path in lake.rglob("*.parquet")}


def named(lake: Path) -> set[str]:
    entries = Manifest(lake).entries()
    return {s["path"] for e in entries for s in e.body.get("segments", {}).values()}


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, every run seals and compacts all that was before it."""

    def begin() -> None:
        monkeypatch.setattr(manifest, "SEAL_BYTES", 1)
        monkeypatch.setattr(compact, "FEW", 3)

    return begin


def test_a_compacted_lake_gives_the_same_warehouse(
    tmp_path: Path, eager: Callable[[], None]
) -> None:
    with unpublished(tmp_path, documents=60, companies=2, months=2) as here:
        lake = here.settings.lake

        def spoil(request: Request, body: Any) -> tuple[int, Any]:
            if request.url.path.endswith("/documents"):
                for row in body["results"][:2]:
                    row["amount_with_iva"] = "mucho"
            return 200, body

        with tampered(here, spoil) as there:
            there.sync()
        for _ in range(3):
            pay(here, 3)
            here.sync()
        before, many = everything(here), len(files(lake))
        eager()
        here.sync()  # nothing changed: it writes no segment
        assert len(files(lake)) < many / 3
        assert files(lake) == named(lake)
        assert not [path for path in lake.rglob("*") if path.is_dir() and not any(path.iterdir())]
        # A second generation, beside what is compacted.
        pay(here, 2)
        here.sync()
        here.sync()
        after = everything(here)
        for name, rows in before.items():
            if name.startswith("history."):
                assert {r[0:3] for r in rows} <= {r[0:3] for r in after[name]}, name
        segments = here.query("SELECT DISTINCT segment FROM raw.lineage WHERE segment IS NOT NULL")
        assert {segment for (segment,) in segments} <= files(lake)
        assert here.query("SELECT count(*) > 0 FROM raw.rejects") == [(True,)]
        rebuild_marts(here.settings, from_lake=True)
        again = everything(here)
        assert again.keys() == after.keys()
        for name, rows in after.items():
            assert again[name] == rows, name
        assert differences(here) == {}


class Killed(BaseException):
    """As if the process were gone: nothing more happens on the disk."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of two runs, not compacted."""
    folder = tmp_path_factory.mktemp("runs")
    with unpublished(folder, documents=30, companies=1, months=2) as here:
        here.sync("documents")
        pay(here, 3)
        here.sync("documents")
    return here.settings.lake


def held(lake: Path) -> list[Any]:
    """Every entry with the rows it stands for, wherever they are."""
    committed, found = Committed(lake), []
    for entry in Manifest(lake).entries():
        segments = entry.body.pop("segments", {})
        rows = {}
        for table, segment in segments.items():
            read = pq.read_table(committed.file(segment))
            if "of" in segment:
                read = read.filter(pc.equal(read.column("_seq"), entry.seq)).drop_columns("_seq")
            assert read.num_rows == segment["rows"]
            rows[table] = read.to_pydict()
        found.append((entry.seq, entry.kind, entry.body, rows))
    return found


def put_away(lake: Path, told: set[str]) -> None:
    mine = Manifest(lake)
    mine.open_for_append()
    remove_leftovers(mine)
    compact.compact(mine, told.update)


@contextmanager
def dying(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[None]:
    """Lets so many steps of the disk happen, and none after them."""
    left = after

    def until(step: Callable[..., Any]) -> Callable[..., Any]:
        def taken(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return step(*args, **options)

        return taken

    with monkeypatch.context() as patched:
        for owner, name in (
            (Path, "replace"),
            (Path, "rename"),
            (Path, "unlink"),
            (Path, "rmdir"),
            (os, "fsync"),
        ):
            patched.setattr(owner, name, until(getattr(owner, name)))
        yield


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.long)])
def test_a_kill_at_any_step_loses_and_doubles_nothing(
    runs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eager: Callable[[], None],
    stride: int,
) -> None:
    true, plain = held(runs), files(runs)
    eager()
    for steps in range(0, 500, stride):
        lake = tmp_path / str(steps) / "lake"
        shutil.copytree(runs, lake)
        told: set[str] = set()
        died = True
        with suppress(Killed), dying(monkeypatch, steps):
            put_away(lake, told)
            died = False
        assert held(lake) == true
        assert plain - files(lake) <= told
        if not died:
            break
        put_away(lake, told)
        assert held(lake) == true
        assert plain - files(lake) <= told
        assert files(lake) == named(lake)
        left = [p.name for p in lake.rglob("*") if p.name.endswith((".tmp", ".jsonl"))]
        assert left == ["manifest.jsonl"]
        shutil.rmtree(lake)
    assert steps > 20
    assert len(files(lake)) < len(plain)


def test_what_rotted_is_not_copied(runs: Path, tmp_path: Path, eager: Callable[[], None]) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(runs, lake)
    rotten = sorted(lake.rglob("*.parquet"))[0]
    whole = rotten.read_bytes()
    rotten.write_bytes(whole[:-20] + bytes([whole[-20] ^ 1]) + whole[-19:])
    eager()
    before = files(lake)
    put_away(lake, set())
    assert rotten.exists()
    assert before <= files(lake)
    with pytest.raises(LakeCorrupt, match=rotten.name):
        held(lake)
    rotten.write_bytes(whole)
    put_away(lake, set())
    assert files(lake) == named(lake)
    assert held(lake) == held(runs)
