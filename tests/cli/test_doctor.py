"""``tupana doctor`` finds what is wrong and says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

from tupana_etl.domain import today
from tupana_etl.outbox import rows
from tupana_etl.outbox.custody import LEDGER, PEPPER
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.states import State

from .runner import Done, Runner


def levels(done: Done) -> dict[str, str]:
    return {c["name"]: c["level"] for c in done.json["checks"]}


def test_all_is_well(synced: Runner) -> None:
    shown = synced("doctor")
    assert shown.code == 0
    assert "fail" not in shown.out
    told = synced.inside("doctor", "--json")
    assert told.json["ok"] is True
    assert {"key", "api", "origin", "home", "lake", "analytics", "last sync"} <= levels(told).keys()


def test_nothing_yet(tupana: Runner) -> None:
    told = tupana.inside("doctor", "--json")
    assert told.code == 0
    assert levels(told)["analytics"] == "warn"
    assert levels(told)["ledger"] == "ok"
    assert not tupana.home.exists()


@pytest.mark.parametrize(
    ("changes", "code", "name"),
    [
        ({"TUPANA_API_KEY": ""}, 2, "key"),
        ({"TUPANA_API_KEY": "wrong"}, 2, "api"),
        ({"TUPANA_BASE_URL": "http://127.0.0.1:9/v1"}, 1, "api"),
        ({"TUPANA_BASE_URL": "ftp://x"}, 2, "settings"),
        ({"TUPANA_HOME": "/dev/null/home"}, 2, "home"),
    ],
)
def test_what_is_wrong_is_named(
    tupana: Runner, changes: dict[str, str], code: int, name: str
) -> None:
    told = tupana.inside("doctor", "--json", changes=changes)
    assert told.code == code
    assert levels(told)[name] == "fail"
    assert next(c for c in told.json["checks"] if c["name"] == name)["to_do"]


def test_damage_and_an_unfinished_sync(synced: Runner, tmp_path: Path) -> None:
    sick = Runner(tmp_path, synced.server)
    shutil.copytree(synced.home, sick.home)
    sick.home.chmod(0o755)
    next((sick.home / "lake").rglob("*.parquet")).write_bytes(b"")
    with duckdb.connect(str(sick.home / "analytics.duckdb")) as con:
        con.execute("UPDATE raw.syncs SET complete = false")
    told = sick.inside("doctor", "--json")
    assert told.code == 2
    found = levels(told)
    assert (found["home"], found["lake"], found["last sync"]) == ("warn", "fail", "fail")
    (sick.home / "analytics.duckdb").write_bytes(b"no database")
    checks = sick.inside("doctor", "--json").json["checks"]
    [broken] = [c for c in checks if c["name"] == "analytics"]
    assert (broken["level"], broken["found"]) == ("fail", "cannot be used")
    # one cause, one cure: that of every other command that meets the file
    said = sick.inside("query", "SELECT 1").err
    assert "Move it away and run `tupana marts`" in broken["to_do"]
    assert broken["to_do"] in " ".join(said.split())


@pytest.fixture
def billed(tupana: Runner) -> Runner:
    """A home with a ledger of one row."""
    (tupana.folder / "rows.csv").write_text(
        "row_key,dte_type,issuer_rut,receiver_rut,receiver_name,date_issued,payment_method,"
        f"item_name,quantity,unit_price\nk,33,76086428-5,96790240-3,Cía.,{today()},1,Cosa,1,1000\n",
        encoding="utf-8",
    )
    assert tupana.inside("outbox", "plan", "--from", "rows.csv").code == 0
    return tupana


def test_a_ledger_that_is_well_and_rows_that_wait(billed: Runner) -> None:
    found = levels(billed.inside("doctor", "--json"))
    assert (found["ledger"], found["outbox"]) == ("ok", "warn")
    with open_ledger(billed.home) as ledger, ledger.transaction():
        row = rows.newest(ledger)["k"]
        ledger.con.execute("UPDATE intents SET state = ? WHERE id = ?", [State.QUARANTINED, row.id])
    told = billed.inside("doctor", "--json")
    assert (told.code, levels(told)["outbox"]) == (1, "fail")
    assert "outbox resolve" in billed.inside("doctor").out
    (billed.home / LEDGER).chmod(0o644)
    assert levels(billed.inside("doctor", "--json"))["ledger"] == "warn"
    assert levels(billed.inside("doctor", "--json"))["ledger"] == "ok"  # closed by the first


def test_a_ledger_that_was_tampered_with_or_lost_its_pepper(billed: Runner) -> None:
    with open_ledger(billed.home) as ledger:
        ledger.con.execute("DROP TRIGGER events_are_written_once")
        ledger.con.execute("UPDATE events SET actor = 'nobody'")
    told = billed.inside("doctor", "--json")
    assert (told.code, levels(told)["ledger"]) == (2, "fail")
    assert "rebuild" in next(c for c in told.json["checks"] if c["name"] == "ledger")["to_do"]
    (billed.home / PEPPER).unlink()
    (billed.home / PEPPER).mkdir()
    assert levels(billed.inside("doctor", "--json"))["ledger"] == "fail"
    (billed.home / PEPPER).rmdir()
    lost = next(
        c for c in billed.inside("doctor", "--json").json["checks"] if c["name"] == "ledger"
    )
    assert (lost["code"], "ledger.pepper is missing" in lost["to_do"]) == (2, True)
