"""``tupana demo`` and ``tupana sandbox``: the API on this machine."""

from __future__ import annotations

import json
import signal
import time

import pytest

from .runner import Runner


def test_the_demo_needs_no_key_and_no_network(tupana: Runner) -> None:
    real = {
        "TUPANA_API_KEY": "not a key at all",
        "TUPANA_BASE_URL": "https://unreachable.invalid/v1",
        "TUPANA_ENTITIES": "1-9",
        "TUPANA_PUBLISH": str(tupana.folder / "elsewhere"),
        "TUPANA_START_DATE": "2026-11-01",
    }
    (tupana.folder / ".env").write_text("TUPANA_PUBLISH=elsewhere\nTUPANA_ENVIRONMENT=moon\n")
    started = time.monotonic()
    shown = tupana("demo", changes=real)
    assert shown.code == 0, shown.err
    assert time.monotonic() - started < 40
    for said in ("days past due", "Who owes most", "Data quality", "tupana query", "make dev"):
        assert said in shown.out
    assert "Nothing is ever issued unless a person plans, approves and sends it." in shown.out
    assert not (tupana.folder / "elsewhere").exists()
    demo = tupana.home / "demo"
    assert {p.name for p in tupana.home.iterdir()} == {"demo"}
    assert (demo / "sandbox.sqlite").stat().st_mode & 0o077 == 0

    again = tupana("demo", "--json", changes=real)
    assert again.code == 0
    assert sum(s["new"] for s in again.json["sync"]["streams"]) == 0
    total = sum(int(row[2]) for row in again.json["ageing"] if row[2])
    query = "SELECT sum(open_balance_clp) FROM marts.receivables WHERE bucket IS NOT NULL"
    ((whole, in_pesos, foreign),) = again.json["currencies"]
    assert int(whole) == total == int(in_pesos) + int(foreign) > int(in_pesos) > 0
    told = " ".join(shown.out.split())
    amounts = [f"{int(n):,}".replace(",", ".") for n in (in_pesos, foreign)]
    assert f"{amounts[0]} is in pesos and {amounts[1]} in foreign currency" in told
    (tupana.folder / ".env").unlink()
    found = tupana.inside("query", query, "--json", changes={"TUPANA_HOME": str(demo)})
    assert int(found.json["rows"][0][0]) == total > 0

    billing = tupana.inside("outbox", "plan", "--json", changes={"TUPANA_HOME": str(demo)})
    assert billing.code == 0
    assert {r["state"] for r in billing.json["rows"]} == {"PLANNED"}
    assert len(billing.json["rows"]) >= 3
    two = ["PLANNED", "PLANNED"]
    for kind, states in {"payments": ["BLOCKED", *two], "cessions": two}.items():
        at_demo = {"TUPANA_HOME": str(demo)}
        made = tupana.inside("outbox", "plan", kind, "--json", changes=at_demo)
        assert sorted(row["state"] for row in made.json["rows"]) == states


@pytest.mark.parametrize("wanted", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_serves_until_it_is_stopped(tupana: Runner, wanted: signal.Signals) -> None:
    process = tupana.start("sandbox", "--port", "0", "--documents", "60", "--seed", "3", "--json")
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    at = {"TUPANA_BASE_URL": told["url"], "TUPANA_API_KEY": told["key"]}
    seen = tupana("companies", "--json", changes=at)
    process.send_signal(wanted)
    out, err = process.communicate(timeout=20)
    assert len(seen.json["companies"]) == 3
    assert process.returncode == 0, err
    assert out == ""
    assert "Traceback" not in err


def test_a_port_that_is_taken_and_a_folder_that_is_not_there(tupana: Runner) -> None:
    port = tupana.server.rpartition(":")[2].partition("/")[0]
    assert tupana.inside("sandbox", "--documents", "10", "--port", port).code == 2
    assert tupana.inside("sandbox", "--faults", "nope").code == 2
    assert tupana.inside("sandbox", "--load", str(tupana.folder / "none")).code == 2
