"""The ledger itself: durable, private, and refused when it is not this home's newest."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tupana_etl.errors import LedgerError, LockHeld
from tupana_etl.outbox import custody, rows
from tupana_etl.outbox import ledger as ledgers
from tupana_etl.outbox.ledger import open_ledger, sending
from tupana_etl.outbox.rebuild import Rebuilt, rebuild
from tupana_etl.outbox.states import State

from .ledgers import bound, put


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose ledger holds one row."""
    with open_ledger(tmp_path) as ledger:
        put(ledger, "first")
    return tmp_path


def refused(home: Path) -> str:
    with pytest.raises(LedgerError) as caught, open_ledger(home):
        pass
    assert "Nothing is sent" in str(caught.value) or "nothing" in str(caught.value)
    return str(caught.value)


def test_a_row_survives_closing(home: Path) -> None:
    with open_ledger(home) as ledger:
        assert [i.row_key for i in rows.in_state(ledger, [State.PLANNED])] == ["first"]


def test_a_commit_is_durable_and_its_files_are_the_owner_s(home: Path) -> None:
    with open_ledger(home) as ledger:
        assert ledger.con.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert ledger.con.execute("PRAGMA synchronous").fetchone() == (3,)
    for name in (custody.LEDGER, custody.PEPPER, custody.WITNESS):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600


def test_a_ledger_that_others_may_read_is_closed_to_them(home: Path) -> None:
    (home / custody.LEDGER).chmod(0o644)
    with open_ledger(home):
        assert stat.S_IMODE((home / custody.LEDGER).stat().st_mode) == 0o600


def test_a_link_in_its_place_is_refused(home: Path) -> None:
    real = home / "elsewhere.sqlite"
    (home / custody.LEDGER).rename(real)
    (home / custody.LEDGER).symlink_to(real)
    with pytest.raises(LedgerError, match="symbolic link"), open_ledger(home):
        pass


def test_a_deleted_ledger_is_not_replaced_by_an_empty_one(home: Path) -> None:
    (home / custody.LEDGER).unlink()
    assert "missing or empty" in refused(home)
    (home / custody.LEDGER).touch()
    assert "missing or empty" in refused(home)


def test_deleting_the_witness_with_it_does_not_help(home: Path) -> None:
    (home / custody.LEDGER).unlink()
    (home / custody.WITNESS).unlink()
    assert "missing or empty" in refused(home)


def test_a_ledger_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    custody.write_witness(tmp_path, custody.Witness("begun", 0, "never used"))
    (tmp_path / f".{custody.LEDGER}.new").write_bytes(b"half")
    with open_ledger(tmp_path) as ledger:
        assert ledger.sequence == 1
    with open_ledger(tmp_path) as ledger:
        assert put(ledger, "first") == 1


def test_an_older_copy_is_refused(home: Path) -> None:
    shutil.copy(home / custody.LEDGER, home / "backup")
    with open_ledger(home) as ledger:
        put(ledger, "second")
    shutil.copy(home / "backup", home / custody.LEDGER)
    assert "older copy" in refused(home)


def test_another_home_s_ledger_is_refused(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    with open_ledger(other) as ledger:
        put(ledger, "theirs")
        put(ledger, "theirs too")
    shutil.copy(other / custody.LEDGER, home / custody.LEDGER)
    assert custody.PEPPER in refused(home)
    shutil.copy(other / custody.PEPPER, home / custody.PEPPER)
    assert "another home's" in refused(home)


def test_a_damaged_ledger_is_refused(home: Path) -> None:
    with open_ledger(home) as ledger:
        for n in range(50):
            put(ledger, f"row {n}")
    path = home / custody.LEDGER
    content = bytearray(path.read_bytes())
    content[8192:16384] = b"\xff" * 8192
    path.write_bytes(content)
    assert "damaged" in refused(home)
    path.write_bytes(b"this is no database" * 400)
    assert "damaged" in refused(home)


@pytest.mark.parametrize("damage", [None, b"", b"00ff", b"not hex at all"])
def test_a_lost_or_changed_pepper_is_refused(home: Path, damage: bytes | None) -> None:
    path = home / custody.PEPPER
    path.unlink() if damage is None else path.write_bytes(damage)
    assert custody.PEPPER in refused(home)


def test_another_pepper_is_refused(home: Path) -> None:
    custody.write_pepper(home, custody.fresh_pepper())
    assert "not the one" in refused(home)


@pytest.mark.parametrize("damage", [None, b"", b'{"ledger":"x"}'])
def test_a_lost_or_damaged_witness_is_refused(home: Path, damage: bytes | None) -> None:
    path = home / custody.WITNESS
    path.unlink() if damage is None else path.write_bytes(damage)
    assert "rebuild" in refused(home)


def test_a_ledger_of_a_newer_version_is_refused(home: Path) -> None:
    with open_ledger(home) as ledger, ledger.transaction():
        ledger.set_meta("schema_version", "99")
    assert "newer version" in refused(home)


def test_wal_is_left_for_the_rollback_journal(home: Path) -> None:
    con = sqlite3.connect(home / custody.LEDGER)
    assert con.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    con.close()
    with open_ledger(home) as ledger:
        assert ledger.con.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 52, 0), True),
    ],
)
def test_which_sqlite_may_use_wal(version: tuple[int, ...], safe: bool) -> None:
    assert ledgers.wal_is_safe(version) is safe


def test_a_network_file_system_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ledgers.filesystem(home).startswith(ledgers.NETWORK_FILESYSTEMS)
    monkeypatch.setattr(ledgers, "filesystem", lambda folder: "nfs4")
    assert "nfs4" in refused(home)


def test_a_transaction_is_all_or_nothing(home: Path) -> None:
    with open_ledger(home) as ledger:
        before = ledger.sequence
        with suppress(ZeroDivisionError), ledger.transaction():
            rows.move(ledger, 1, State.WITHDRAWN, actor="planner", reason="gone")
            raise ZeroDivisionError
        assert rows.get(ledger, 1).state == State.PLANNED
        assert ledger.sequence == before
        assert len(rows.history(ledger, "first")) == 1


def test_a_disk_that_fails_ends_the_connection(home: Path) -> None:
    with open_ledger(home) as ledger:
        ledger.con.execute("PRAGMA max_page_count = 1")  # SQLite's own "disk full"
        with pytest.raises(LedgerError, match="could not be written"), ledger.transaction():
            ledger.set_meta("padding", "x" * 10_000_000)
        with pytest.raises(sqlite3.ProgrammingError):
            ledger.con.execute("SELECT 1")
    with open_ledger(home) as ledger:
        assert rows.get(ledger, 1).state == State.PLANNED


def test_a_second_writer_is_turned_away_in_time(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "BUSY_SECONDS", 0.1)
    with (
        open_ledger(home) as one,
        open_ledger(home) as other,
        one.transaction(),
        pytest.raises(LockHeld, match="Nothing was changed"),
        other.transaction(),
    ):
        pass


def test_a_ledger_that_is_busy_is_not_called_damaged(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "BUSY_SECONDS", 0.1)
    with closing(sqlite3.connect(home / custody.LEDGER)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockHeld, match="try again"), open_ledger(home):
            pass


def test_only_one_process_sends(home: Path) -> None:
    code = (
        "import sys, pathlib; from tupana_etl.outbox.ledger import sending\n"
        "with sending(pathlib.Path(sys.argv[1]), 0): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockHeld, match=f"process {holder.pid}"), sending(home, 0.05):
            pass
        holder.kill()
    with sending(home, 0.05):
        pass


def test_the_pepper_is_in_no_repr(home: Path) -> None:
    with open_ledger(home) as ledger:
        assert ledger.pepper.secret.hex() not in repr(ledger)
        assert str(ledger.pepper.secret) not in repr(ledger)


def rebuilt(home: Path) -> Rebuilt:
    with open_ledger(home, of_any_age=True) as ledger:
        return rebuild(ledger, by="Ana", reason="disk lost")


def test_a_person_may_go_on_with_an_older_copy(home: Path) -> None:
    with open_ledger(home) as ledger:
        bound(ledger, "frozen")
    shutil.copy(home / custody.LEDGER, home / "backup")
    with open_ledger(home) as ledger:
        put(ledger, "lost")
        put(ledger, "lost too")
    shutil.copy(home / "backup", home / custody.LEDGER)
    done = rebuilt(home)
    assert (done.lost, done.thawed) == (2, 1)
    with open_ledger(home) as ledger:
        assert ledger.meta("rebuilt_at")
        assert rows.newest(ledger)["frozen"].state == State.READY
        assert rows.history(ledger, "frozen")[-1].actor == "Ana"


def test_a_rebuild_mends_a_lost_witness_but_takes_no_foreign_ledger(
    home: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (home / custody.WITNESS).write_bytes(b"damaged")
    assert rebuilt(home).lost == 0
    with open_ledger(home) as ledger:
        assert put(ledger, "next") == 2
    other = tmp_path_factory.mktemp("other")
    with open_ledger(other):
        pass
    shutil.copy(other / custody.LEDGER, home / custody.LEDGER)
    shutil.copy(other / custody.PEPPER, home / custody.PEPPER)
    with pytest.raises(LedgerError, match="another home's"):
        rebuilt(home)
