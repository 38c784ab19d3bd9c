"""One account, one run at a time, private, nothing left behind; errors say what to do."""

from __future__ import annotations

import asyncio
import grp
import os
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tupana_etl import home
from tupana_etl.errors import (
    AuthError,
    ConfigError,
    DataError,
    LakeCorrupt,
    LockHeld,
    NetworkError,
    OriginError,
)
from tupana_etl.pipeline import rebuild_marts, sync

from .helpers import Site, differences, site


def test_files_are_private_and_nothing_half_written_stays(tmp_path: Path) -> None:
    with site(tmp_path, documents=80) as here:
        here.sync()
    for path in (here.settings.home, *here.settings.home.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
        assert not path.name.endswith((".tmp", ".wal")), path


@pytest.mark.parametrize(("key", "error"), [("wrong", AuthError), ("", ConfigError)])
def test_a_bad_key_writes_nothing(tmp_path: Path, key: str, error: type[Exception]) -> None:
    with site(tmp_path, documents=20) as here, pytest.raises(error):
        here.with_settings(api_key=key).sync()
    assert not here.settings.analytics.exists()


def test_no_network_is_one_sentence(tmp_path: Path) -> None:
    with site(tmp_path, documents=20) as here:
        pass
    with pytest.raises(NetworkError):
        here.sync()


def test_an_unknown_stream_names_the_known_ones(tmp_path: Path) -> None:
    with (
        site(tmp_path, documents=20) as here,
        pytest.raises(ConfigError, match=r"invoices.*documents"),
    ):
        here.sync("invoices")


def test_another_account_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with site(tmp_path / "a", documents=20, seed=1) as a:
        a.sync()
    with site(tmp_path / "b", documents=20, seed=99) as b:
        mixed = replace(b.settings, home=a.settings.home)
        with pytest.raises(OriginError):
            sync(mixed)


def test_two_runs_at_once_wait_for_each_other(tmp_path: Path) -> None:
    with site(tmp_path, documents=120) as here:
        results: list[bool] = []
        runs = [
            threading.Thread(target=lambda: results.append(here.sync().complete)) for _ in range(2)
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join()
        assert results == [True, True]
        assert differences(here) == {}


def test_a_held_home_is_named(tmp_path: Path) -> None:
    with (
        site(tmp_path, documents=20) as here,
        home.lock(here.settings.home, 0),
        pytest.raises(LockHeld, match="process"),
    ):
        here.sync(wait=0)


@pytest.mark.parametrize("full", [False, True])
def test_an_interrupted_run_is_gone_on_with_and_asks_nothing_twice(
    tmp_path: Path, full: bool
) -> None:
    with site(tmp_path, documents=40) as here:
        first = here.sync(full=full, marts=False)
        # As if it had been killed when two windows and its end were not written yet.
        manifest = here.settings.lake / "manifest.jsonl"
        lines = manifest.read_bytes().splitlines(keepends=True)
        manifest.write_bytes(b"".join(lines[:-3]))
        here.settings.warehouse.unlink()
        again = here.sync()
        assert again.run_id == first.run_id
        # Where it went on, the two windows, its end.
        assert manifest.read_bytes().splitlines(keepends=True)[:-4] == lines[:-3]
        assert again.requests < first.requests
        asked = "everything, begun in full" if full else "everything"
        assert here.query("SELECT asked, complete FROM raw.syncs") == [(asked, True)]
        assert differences(here) == {}


def test_an_interrupted_run_is_only_gone_on_with_by_the_same_order(tmp_path: Path) -> None:
    with site(tmp_path, documents=40) as here:
        first = here.sync(marts=False)
        # As if it had been killed just before its end.
        manifest = here.settings.lake / "manifest.jsonl"
        manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[:-1]))
        here.settings.warehouse.unlink()
        other = here.sync("cessions", marts=False)
        assert other.run_id != first.run_id
        assert {r.stream for r in other.streams} == {"cessions"}
        again = here.sync()
        assert again.run_id not in (first.run_id, other.run_id)
        assert here.query("SELECT asked, whole, complete FROM raw.syncs ORDER BY run_id") == [
            ("everything", True, False),
            ("cessions", False, True),
            ("everything", True, True),
        ]
        assert differences(here) == {}


def test_a_reader_blocks_nobody(tmp_path: Path) -> None:
    with site(tmp_path, documents=60) as here:
        here.sync()
        import duckdb

        with duckdb.connect(str(here.settings.analytics), read_only=True) as reader:
            before = reader.execute("SELECT count(*) FROM raw.syncs").fetchall()
            here.sync()
            assert reader.execute("SELECT count(*) FROM raw.syncs").fetchall() == before
        assert here.query("SELECT count(*) FROM raw.syncs") == [(2,)]


def test_what_is_published_is_mine_alone_or_my_group_s(tmp_path: Path) -> None:
    with site(tmp_path, documents=20, companies=1, months=2) as here:
        here.sync()
        assert stat.filemode(here.settings.analytics.stat().st_mode) == "-rw-------"
        group = grp.getgrgid(os.getgid()).gr_name
        there = here.with_settings(publish=tmp_path / "shared", publish_group=group)
        rebuild_marts(there.settings)
        assert stat.filemode(there.settings.analytics.stat().st_mode) == "-rw-r-----"
        assert there.settings.analytics.group() == group
        assert stat.filemode((tmp_path / "shared").stat().st_mode) == "drwxr-x---"
        nobody = there.with_settings(publish_group="nadie-aqui")
        with pytest.raises(DataError, match="nadie-aqui"):
            rebuild_marts(nobody.settings)
        assert there.query("SELECT count(*) > 0 FROM raw.documents") == [(True,)]


def test_a_sync_works_where_a_loop_is_running(tmp_path: Path) -> None:
    async def notebook(here: Site) -> bool:
        return here.sync("sync_status").complete

    with site(tmp_path, documents=20) as here:
        assert asyncio.run(notebook(here))


def test_a_sync_does_not_import_pandas(tmp_path: Path) -> None:
    """It costs a second and 60 MB, and one Python value handed to Arrow is enough to bring it."""
    sync_alone = (
        "import sys; from tupana_etl import pipeline, settings;"
        "assert pipeline.sync(settings.load()).complete;"
        "sys.exit('pandas' in sys.modules)"
    )
    with site(tmp_path, documents=20) as here:
        named = {
            "TUPANA_API_KEY": here.settings.api_key,
            "TUPANA_BASE_URL": here.url,
            "TUPANA_HOME": str(here.settings.home),
            "TUPANA_START_DATE": str(here.settings.start_date),
        }
        ran = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", sync_alone], cwd=tmp_path, env=os.environ | named, check=False
        )
    assert ran.returncode == 0


def test_a_damaged_segment_is_named(tmp_path: Path) -> None:
    with site(tmp_path, documents=40) as here:
        here.sync()
    segment = next((here.settings.lake / "documents").rglob("*.parquet"))
    whole = segment.read_bytes()
    middle = len(whole) // 2
    rotten = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (b"PAR1", rotten):  # a bit that flipped leaves the size as it was
        segment.write_bytes(damaged)
        with pytest.raises(LakeCorrupt, match=segment.name):
            rebuild_marts(here.settings, from_lake=True)
    assert here.query("SELECT count(*) > 0 FROM raw.documents") == [(True,)]


def test_a_torn_last_line_of_the_manifest_is_forgotten(tmp_path: Path) -> None:
    with site(tmp_path, documents=40) as here:
        here.sync()
        with (here.settings.lake / "manifest.jsonl").open("ab") as manifest:
            manifest.write(b'{"kind": "window", "run": "x')
        assert here.sync().complete
        assert differences(here) == {}


def test_an_older_manifest_is_not_taken_for_the_newest(tmp_path: Path) -> None:
    with site(tmp_path, documents=40) as here:
        here.sync()
        manifest = here.settings.lake / "manifest.jsonl"
        manifest.write_bytes(b"".join(manifest.read_bytes().splitlines(keepends=True)[:3]))
        with pytest.raises(LakeCorrupt, match="older than the warehouse"):
            here.sync()


def test_a_rebuild_that_fails_leaves_the_warehouse(tmp_path: Path) -> None:
    with site(tmp_path, documents=40) as here:
        here.sync()
        before = here.settings.warehouse.read_bytes()
        next((here.settings.lake / "documents").rglob("*.parquet")).unlink()
        with pytest.raises(LakeCorrupt):
            rebuild_marts(here.settings, from_lake=True)
        assert here.settings.warehouse.read_bytes() == before


def test_marts_without_data_says_what_to_do(tmp_path: Path) -> None:
    with (
        site(tmp_path, documents=20) as here,
        pytest.raises(ConfigError, match="tupana sync"),
    ):
        rebuild_marts(here.settings)


def test_one_company_or_one_stream_only(tmp_path: Path) -> None:
    with site(tmp_path, documents=60) as here:
        rut = here.truth("master_entities")[0]["tax_id"]
        result = here.sync("document_lines", entity=rut)
        assert {(r.stream, r.entity) for r in result.streams} == {("documents", rut)}
        wrong = rut[:-1] + ("1" if rut[-1] != "1" else "2")
        with pytest.raises(ConfigError, match="check digit"):
            here.sync(entity=wrong)
