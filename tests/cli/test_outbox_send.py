"""``tupana outbox send`` and ``resolve``, as a person types them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tupana_etl.domain import today
from tupana_etl.sandbox.server import World, running

from .runner import CANARY, Runner

HEAD = (
    "row_key,dte_type,issuer_rut,receiver_rut,receiver_name,date_issued,payment_method,"
    "item_name,quantity,unit_price\n"
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A sandbox of this file's own: what it issues is in nobody else's counts."""
    world = World(documents=20, companies=1, months=2, seed=5)
    database = tmp_path_factory.mktemp("issuing") / "world.sqlite"
    key = {"Authorization": f"Api-Key {CANARY}"}
    with (
        running(database, world, key=CANARY) as url,
        httpx.Client(base_url=url, headers=key) as opened,
    ):
        yield opened


@pytest.fixture
def shop(desk: httpx.Client, tmp_path: Path) -> Runner:
    """A command line with an empty home, and two rows to invoice."""
    tupana = Runner(tmp_path, str(desk.base_url).rstrip("/"))
    entity = desk.get("/credentials").json()[0]["master_entities"][0]
    issuer = entity["tax_id"].replace(".", "")
    lines = [f"k{i},33,{issuer},96790240-3,Cía.,{today()},1,Cosa,1,{i}000\n" for i in (1, 2)]
    (tmp_path / "rows.csv").write_text(HEAD + "".join(lines), encoding="utf-8")
    return tupana


def test_planned_rows_are_sent_and_said_to_be_verified(shop: Runner) -> None:
    assert shop("outbox", "plan", "--from", "rows.csv").code == 0
    done = shop("outbox", "send")
    assert done.code == 0
    assert "Sandbox: the API is a server on this machine." in done.out
    assert "VERIFIED" in done.out
    again = shop.inside("outbox", "send", "--json").json
    assert (again["requests"], again["rows"], again["complete"]) == (0, [], True)
    assert shop.inside("outbox", "status").code == 0
    assert "read back as asked" in shop.inside("outbox", "history", "k1").out


def test_nothing_planned_and_no_key(shop: Runner) -> None:
    assert "Nothing was ever planned here" in shop.inside("outbox", "send").out
    shop.inside("outbox", "plan", "--from", "rows.csv")
    keyless = shop.inside("outbox", "send", changes={"TUPANA_API_KEY": ""})
    assert (keyless.code, "TUPANA_API_KEY" in keyless.err) == (2, True)


def test_a_wrong_key_and_no_network_leave_the_rows_where_they_are(shop: Runner) -> None:
    shop.inside("outbox", "plan", "--from", "rows.csv")
    wrong = shop.inside("outbox", "send", changes={"TUPANA_API_KEY": "wrong-key-123"})
    assert (wrong.code, "Nothing was sent" in wrong.err) == (2, True)
    nowhere = {"TUPANA_BASE_URL": "http://127.0.0.1:9/v1"}
    silent = shop("outbox", "send", changes=nowhere)
    assert (silent.code, "Nothing was sent" in " ".join(silent.err.split())) == (1, True)
    states = {row["state"] for row in shop.inside("outbox", "status", "--json").json["rows"]}
    assert states == {"PLANNED"}
    assert shop.inside("outbox", "send").code == 0


def test_a_label_against_the_evidence_sends_nothing(shop: Runner) -> None:
    shop.inside("outbox", "plan", "--from", "rows.csv")
    done = shop.inside("outbox", "send", changes={"TUPANA_ENVIRONMENT": "production"})
    assert done.code == 2
    assert "says production, but this is sandbox" in " ".join(done.err.split())


def test_a_plan_over_its_caps_waits_for_a_person(shop: Runner) -> None:
    shop.inside("outbox", "plan", "--from", "rows.csv", "--max-documents", "1")
    done = shop.inside("outbox", "send")
    assert (done.code, "2 planned rows wait for approval" in done.out) == (0, True)
    plan = shop.inside("outbox", "plan", "--from", "rows.csv", "--json").json["plan_hash"]
    assert shop.inside("outbox", "approve", plan, "--by", "Ana").code == 0
    assert shop.inside("outbox", "send").code == 0


def test_a_quarantined_row_is_named_and_decided_about(shop: Runner, desk: httpx.Client) -> None:
    fault = {"kind": "other_totals", "path": "/documents/batch", "method": "POST", "times": 1}
    assert desk.post("/_admin/faults", json={"faults": [fault]}).status_code == 200
    shop.inside("outbox", "plan", "--from", "rows.csv")
    done = shop.inside("outbox", "send", "--wait", "1")
    assert done.code == 1
    assert "QUARANTINED" in done.out
    listed = shop.inside("outbox", "resolve")
    assert listed.code == 1
    assert "--adopt" in listed.out
    row = shop.inside("outbox", "status", "--json").json["rows"][0]
    words = ("outbox", "resolve", row["row_key"], "--adopt", row["document_id"])
    nameless = shop.inside(*words)
    assert (nameless.code, "--by is missing" in nameless.err) == (2, True)
    adopted = shop.inside(*words, "--by", "Ana", "--reason", "agreed with the buyer")
    assert (adopted.code, "is VERIFIED, decided by Ana" in adopted.out) == (0, True)
    other = "k2" if row["row_key"] == "k1" else "k1"
    asked = shop.inside("outbox", "resolve", other, "--release", "--by", "Ana", "--reason", "x")
    assert (asked.code, "would make two" in " ".join(asked.err.split())) == (2, True)
    gone = shop.inside("outbox", "resolve", other, "--abandon", "--by", "Ana", "--reason", "x")
    assert gone.code == 0
    assert shop.inside("outbox", "resolve").out == "No row waits for a person.\n"
    assert shop.inside("outbox", "status").code == 0
