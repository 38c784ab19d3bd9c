"""``tupana doctor`` finds what is wrong and says what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import pytest

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
    assert levels(sick.inside("doctor", "--json"))["analytics"] == "fail"
