"""``tupana sync`` and ``tupana marts``, and what can go wrong on the way."""

from __future__ import annotations

import fcntl
import json
import signal
import time
from pathlib import Path

import pytest

from tupana_etl.cli.sync_report import tell
from tupana_etl.pipeline import StreamResult, SyncResult
from tupana_etl.sandbox.server import World, running
from tupana_etl.settings import Settings

from .conftest import WORLD
from .runner import CANARY, Runner

KEYS = {
    *("stream", "entity", "seen", "new", "changed", "deleted", "rejected", "requests"),
    *("seconds", "complete"),
}


def test_json_has_the_published_shape_and_people_get_a_table(tupana: Runner) -> None:
    first = tupana("sync", "--json").json
    assert {"run_id", "complete", "streams"} <= first.keys()
    assert first["complete"] is True
    assert all(s.keys() >= KEYS for s in first["streams"])
    documents = [s for s in first["streams"] if s["stream"] == "documents"]
    assert len({s["entity"] for s in documents}) == WORLD.companies
    assert sum(s["new"] for s in documents) == sum(s["seen"] for s in documents) > 0

    again = tupana("sync", "documents", "cessions")
    assert again.code == 0
    assert again.err == ""
    assert " 0 new, 0 changed" in again.out
    assert "Complete: " in again.out
    assert "webhooks" not in again.out
    assert str(tupana.home / "analytics.duckdb") in again.out
    assert (tupana.home / "analytics.duckdb").stat().st_mode & 0o077 == 0


def test_what_is_not_whole_is_named_in_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    reason = "scheduled_documents 76086428-5: the server answered 503 again and again"
    rows = [
        StreamResult("scheduled_documents", "76086428-5", 1_234_567, 1_234_567, 1_234_567,
                     12, 345, 9, 1.0, False, (reason,)),
        StreamResult("documents", "76086428-5", 10, 0, 0, 0, 0, 9, 1.0, True),
    ]  # fmt: skip
    tell(SyncResult("r", False, rows, hidden=("77777777-7",)), Settings(), 3)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    facts = ("345 rows could not", "3 of them", "77777777-7", "12 deleted")
    for said in ("incomplete", reason, "1.234.567", *facts):
        assert said in " ".join(shown.split())
    assert "NOT complete" in shown


def test_many_companies_are_a_line_a_stream(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [StreamResult("documents", f"{n}-K", 1, 1, 0, 0, 0, 1, 0.1, True) for n in range(200)]
    tell(SyncResult("r", True, rows), Settings(), 0)
    shown = capsys.readouterr().out
    assert "200 companies" in shown
    assert len(shown.splitlines()) < 10


def test_one_company(synced: Runner, tupana: Runner) -> None:
    rut = synced.inside("companies", "--json").json["companies"][0]["rut"]
    done = tupana("sync", "documents", "--entity", rut, "--since", "2020-01-01", "--json").json
    assert {s["entity"] for s in done["streams"]} == {rut}


@pytest.mark.parametrize(
    "failure",
    [
        (["sync"], {"TUPANA_API_KEY": "wrong"}, 2, "TUPANA_API_KEY"),
        (["sync"], {"TUPANA_API_KEY": ""}, 2, "No API key"),
        (["sync", "invoices"], {}, 2, "no stream 'invoices'"),
        (["sync", "--since", "yesterday"], {}, 2, "--since"),
        (["sync", "--entity", "1-1"], {}, 2, "1-1"),
        (["marts"], {}, 2, "tupana sync"),
    ],
)
def test_a_failure_is_one_sentence_and_one_code(
    tupana: Runner, failure: tuple[list[str], dict[str, str], int, str]
) -> None:
    words, changes, code, said = failure
    failed = tupana.inside(*words, changes=changes)
    assert failed.code == code
    assert failed.out == ""
    assert said in " ".join(failed.err.split())
    told = tupana.inside(*words, "--json", changes=changes)
    assert told.code == code == told.json["error"]["exit_code"]
    assert not (tupana.home / "analytics.duckdb").exists()


def test_no_network(tupana: Runner) -> None:
    failed = tupana("sync", changes={"TUPANA_BASE_URL": "http://127.0.0.1:9/v1"})
    assert failed.code == 1
    assert "refused the connection" in failed.err


def test_another_account_is_refused(synced: Runner, tmp_path: Path) -> None:
    other = World(documents=20, companies=1, months=3, seed=99)
    with running(tmp_path / "other.sqlite", other, key=CANARY) as url:
        failed = synced.inside("sync", "--json", changes={"TUPANA_BASE_URL": url})
    assert failed.code == 2
    assert failed.json["error"]["kind"] == "OriginError"


def test_a_home_that_is_in_use(tupana: Runner) -> None:
    tupana.home.mkdir(mode=0o700)
    with (tupana.home / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        failed = tupana("sync", "--wait", "0")
        assert failed.code == 1
        assert "Another run" in failed.err
        assert tupana.inside("sync", "--wait", "0", "--json").json["error"]["kind"] == "LockHeld"


def test_a_home_that_cannot_be(tupana: Runner) -> None:
    (tupana.folder / "file").touch()
    failed = tupana.inside("sync", changes={"TUPANA_HOME": str(tupana.folder / "file" / "home")})
    assert failed.code == 2
    assert "Choose another folder" in " ".join(failed.err.split())


def test_ctrl_c_and_then_again(tmp_path: Path) -> None:
    world = World(documents=200, companies=2, months=6, seed=5, latency_ms=150)
    with running(tmp_path / "slow.sqlite", world, key=CANARY) as url:
        tupana = Runner(tmp_path, url)
        process = tupana.start("sync", "--json")
        manifest = tupana.home / "lake" / "manifest.jsonl"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if manifest.exists() and manifest.read_bytes().count(b"\n") > 3:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "goes on where it was" in json.loads(out)["error"]["message"]
        assert "Traceback" not in err
        done = tupana("sync", "--json")
    assert done.code == 0
    assert done.json["complete"] is True


def test_marts_again(synced: Runner) -> None:
    done = synced("marts", "--json")
    assert done.code == 0
    assert {"marts.documents", "marts.receivables"} <= {m["name"] for m in done.json["models"]}
    count = ("query", "SELECT count(*) FROM raw.documents", "--json")
    before = synced.inside(*count).json["rows"]
    assert "marts.receivables " in synced("marts", "--rebuild").out
    assert (
        synced.inside("query", "SELECT count(*) FROM raw.documents", "--json").json["rows"]
        == before
    )
