"""The last stop: bugs, full disks, rejects; what is told and what is not."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from tupana_etl import analysis
from tupana_etl.cli import failures
from tupana_etl.cli.sync import exit_code, new_rejects_of
from tupana_etl.errors import DataError
from tupana_etl.pipeline import StreamResult, SyncResult
from tupana_etl.settings import Settings

from .runner import CANARY, Runner

BROKEN = """
import sys
from tupana_etl import settings
from tupana_etl.cli import main
settings.load = lambda: (_ for _ in ()).throw(RuntimeError("boom Api-Key {key}"))
sys.exit(main(["streams", *sys.argv[1:]]))
"""


def crash(tupana: Runner, *words: str) -> subprocess.CompletedProcess[str]:
    code = BROKEN.replace("{key}", CANARY)
    return subprocess.run(  # noqa: S603 - our own interpreter and words
        [sys.executable, "-c", code, *words],
        cwd=tupana.folder,
        env=tupana.environment({"TMPDIR": str(tupana.folder)}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_bug_leaves_a_file_without_the_key(tupana: Runner) -> None:
    tupana.home.mkdir()
    done = crash(tupana)
    assert done.returncode == 70
    assert "bug of ours" in done.stderr
    assert "Traceback" not in done.stderr
    (file,) = tupana.home.glob("crash-*.txt")
    assert file.name in done.stderr
    assert file.stat().st_mode & 0o077 == 0
    assert "boom Api-Key [secret]" in file.read_text()
    assert CANARY not in file.read_text()


def test_a_bug_without_a_home_goes_beside_other_temporary_files(tupana: Runner) -> None:
    done = crash(tupana, "--json")
    assert done.returncode == 70
    told = json.loads(done.stdout)["error"]
    assert Path(told["file"]).parent == tupana.folder
    assert not tupana.home.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_the_disk_refuses_is_one_sentence(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failures.report(OSError(number, os.strerror(number), "/x"), [], as_json=True) == 1
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "DiskError"


def test_a_full_disk_behind_another_error_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    error = RuntimeError("cannot rollback")
    error.__context__ = duckdb.IOException("IO Error: Could not write: No space left on device")
    assert failures.report(error, [], as_json=False) == 1
    assert "The disk is full" in capsys.readouterr().err


def test_a_sync_that_may_not_write_says_so_and_goes_on_later(tupana: Runner) -> None:
    """Files may grow to 300 kB only: what a full disk does, without having to fill one."""
    limit = 300 * 1024
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    process = tupana.start("sync", "--json")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, before[1]))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert json.loads(out)["error"]["kind"] == "DiskError"
    assert err == ""
    assert not (tupana.home / "analytics.duckdb").exists()
    assert tupana("sync").code == 0


def rejected_twice(settings: Settings, synced: Runner) -> None:
    """Run a rejected two rows, run b one of them again."""
    shutil.copyfile(synced.home / "analytics.duckdb", settings.analytics)
    with duckdb.connect(str(settings.analytics)) as con:
        con.executemany(
            """INSERT INTO raw.rejects (run_id, stream, master_entity_id, document_type, id,
            column_name, reason, raw) VALUES (?, 'documents', '1', 'issued', ?, 'x', 'y', ?)""",
            [["a", "1", '"old link"'], ["a", None, '"unnamed"'], ["b", "1", '"new link"']],
        )


def a_result(run_id: str, rejected: int, *, complete: bool = True) -> SyncResult:
    stream = StreamResult("documents", "", 1, 0, 0, 0, rejected, 1, 0.1, complete)
    return SyncResult(run_id, complete, [stream])


def test_rejects_fail_the_run_that_first_meets_them(synced: Runner, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    rejected_twice(settings, synced)
    assert new_rejects_of(settings, a_result("a", 2)) == 1
    assert new_rejects_of(settings, a_result("b", 1)) == 0
    assert exit_code(a_result("a", 2), 1) == 1
    assert exit_code(a_result("b", 1), 0) == 0
    assert exit_code(a_result("c", 0, complete=False), 0) == 1


def test_duckdb_errors_become_ours() -> None:
    with pytest.raises(OSError, match="No space left") as full, analysis.plain_errors():
        raise duckdb.IOException("Could not write file: No space left on device")
    assert full.value.errno == errno.ENOSPC
    with pytest.raises(DataError), analysis.plain_errors():
        raise duckdb.OutOfMemoryException("no more")
    with pytest.raises(KeyboardInterrupt), analysis.plain_errors():
        raise duckdb.InterruptException("INTERRUPT")
