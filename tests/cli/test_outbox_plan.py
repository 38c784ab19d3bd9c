"""``tupana outbox plan|approve|status|history|backup|rebuild`` as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .runner import Runner

HEADER = "row_key,dte_type,issuer_rut,receiver_rut,date_issued,payment_method,item_name,quantity,"
GOOD = "sale:1,33,76086428-5,77777777-7,2026-11-24,1,Arriendo,2,50075"
BAD = "sale:2,33,76086428-5,77777777-8,2026-11-24,1,Arriendo,2,50075"


@pytest.fixture
def rows(tupana: Runner) -> Path:
    path = tupana.folder / "rows.csv"
    path.write_text(f"{HEADER}unit_price\n{GOOD}\n{BAD}\n", encoding="utf-8")
    return path


def test_plan_approve_status_history(tupana: Runner, rows: Path) -> None:
    shown = tupana.inside("outbox", "plan", "--from", "rows.csv")
    assert shown.code == 1
    for said in ("119.179", "BLOCKED  sale:2  line 3  bad_rut", "check digit", "Nothing was sent"):
        assert said in shown.out
    planned = tupana.inside("outbox", "plan", "--from", "rows.csv", "--json")
    assert planned.code == 1
    good, bad = planned.json["rows"]
    amounts = ("net", "exempt", "iva", "withheld", "total")
    assert [good[name] for name in amounts] == ["100150", "0", "19029", "0", "119179"]
    assert (good["state"], bad["state"], bad["total"]) == ("PLANNED", "BLOCKED", None)
    plan_hash = planned.json["plan_hash"]
    assert plan_hash in shown.out

    assert tupana.inside("outbox", "approve", plan_hash).code == 2
    assert tupana.inside("outbox", "approve", "0" * 32, "--by", "Ana").code == 2
    approved = tupana.inside("outbox", "approve", plan_hash, "--by", "Ana")
    assert approved.code == 0
    assert "Approved by Ana: 1 of" in approved.out
    again = tupana.inside("outbox", "approve", plan_hash, "--by", "Ana", "--json")
    assert (again.code, again.json["newly"], again.json["ready"]) == (0, 0, 1)

    status = tupana.inside("outbox", "status", "--json")
    assert status.code == 1
    assert [r["state"] for r in status.json["rows"]] == ["READY", "BLOCKED"]
    assert {"document_id", "folio"} <= set(status.json["rows"][0])
    assert "mend the source" in tupana.inside("outbox").out
    history = tupana.inside("outbox", "history", "sale:1")
    assert "PLANNED → READY  by Ana" in history.out
    events = tupana.inside("outbox", "history", "sale:1", "--json").json["events"]
    assert [e["to"] for e in events] == ["PLANNED", "READY"]
    assert tupana.inside("outbox", "history", "nobody").code == 2


def test_show_gives_the_very_bytes(tupana: Runner, rows: Path) -> None:
    shown = tupana.inside("outbox", "plan", "--from", "rows.csv", "--show", "sale:1", "--json")
    body = json.loads(shown.json["body"])
    assert body["details"] == [{"item_name": "Arriendo", "quantity": 2, "unit_price": 50075}]
    assert list(body["json_param"]) == ["tupana_etl_row"]
    assert "sale:1" not in shown.json["body"]
    told = tupana.inside("outbox", "plan", "--from", "rows.csv", "--show", "sale:2")
    assert "check digit" in told.out
    assert tupana.inside("outbox", "plan", "--from", "rows.csv", "--show", "x").code == 2


def test_a_superseded_plan_is_not_approved(tupana: Runner, rows: Path) -> None:
    old = tupana.inside("outbox", "plan", "--from", "rows.csv", "--json").json["plan_hash"]
    rows.write_text(f"{HEADER}unit_price\n{GOOD}0\n", encoding="utf-8")
    new = tupana.inside("outbox", "plan", "--from", "rows.csv", "--json")
    assert new.code == 0
    refused = tupana.inside("outbox", "approve", old, "--by", "Ana")
    assert refused.code == 2
    assert new.json["plan_hash"] in refused.err


def test_a_file_that_cannot_be_read_plans_nothing(tupana: Runner, rows: Path) -> None:
    rows.write_bytes(f"{HEADER}unit_price\n{GOOD}\n".replace("A", "Ñ").encode("latin-1"))
    refused = tupana.inside("outbox", "plan", "--from", "rows.csv")
    assert (refused.code, refused.out) == (2, "")
    assert "UTF-8" in refused.err
    assert not (tupana.home / "ledger.sqlite").exists()
    assert tupana.inside("outbox", "status").code == 0
    for words in (["backup"], ["approve", "0" * 32, "--by", "A"]):
        assert tupana.inside("outbox", *words).code == 2


def test_backup_loss_and_rebuild(tupana: Runner, rows: Path) -> None:
    tupana.inside("outbox", "plan", "--from", "rows.csv")
    done = tupana.inside("outbox", "backup", "--out", str(tupana.folder / "safe"), "--json")
    rows.write_text(f"{HEADER}unit_price\n{GOOD}0\n", encoding="utf-8")
    tupana.inside("outbox", "plan", "--from", "rows.csv")
    (tupana.home / "ledger.sqlite").write_bytes(Path(done.json["ledger"]).read_bytes())
    refused = tupana.inside("outbox", "plan", "--from", "rows.csv")
    assert refused.code == 2
    assert "older copy" in refused.err
    words = ("outbox", "rebuild", "--by", "Ana", "--reason", "disk lost")
    assert "looked up" in tupana.inside(*words).out
    assert tupana.inside("outbox", "plan", "--from", "rows.csv").code == 0


def test_claims_are_allowed_for_payments_alone(synced: Runner) -> None:
    done = synced.inside("outbox", "plan", "cessions", "--allow-claims")
    assert done.code == 2
    assert "outbox plan payments" in " ".join(done.err.split())
