"""Sandbox is proven by where requests go or by what came back, never by a label."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tupana_etl.errors import ConfigError, OriginError
from tupana_etl.outbox import rows
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.send import at_work
from tupana_etl.outbox.states import State

from .ledgers import put
from .office import Office

REMOTE = "https://api.tupana.example/v1"


def proven(office: Office) -> str:
    async def ask() -> str:
        with open_ledger(office.home, office.clock) as ledger:
            async with at_work(office.settings, ledger, office.ways) as run:
                return run.proof.environment

    return asyncio.run(ask())


def test_a_server_on_this_machine_is_a_sandbox(office: Office) -> None:
    for place in ("http://127.0.0.1:9/v1", "http://localhost:9/v1", "http://[::1]:9/v1"):
        office.base_url = place
        assert proven(office) == "sandbox"


def test_a_remote_api_is_unproven_until_a_document_came_back(office: Office) -> None:
    office.base_url, office.environment = REMOTE, "sandbox"
    assert proven(office) == "unproven"  # whatever the label says
    office.approve("a")
    assert office.send().environment == "sandbox"
    assert proven(office) == "sandbox"


def test_an_unproven_sandbox_lets_nothing_pass_without_a_person(office: Office) -> None:
    office.base_url, office.environment = REMOTE, "sandbox"
    with open_ledger(office.home, office.clock) as ledger:
        put(ledger, "planned")
    result = office.send()
    assert (result.requests, result.awaiting_approval) == (0, 1)
    assert office.states() == {"planned": State.PLANNED}


@pytest.mark.parametrize(("label", "real"), [("sandbox", True), ("production", False)])
def test_a_label_against_the_evidence_stops_sending(office: Office, label: str, real: bool) -> None:
    office.base_url, office.vendor.real = REMOTE, real
    office.approve("a")
    office.send()
    office.environment = label
    office.approve("b")
    with pytest.raises(ConfigError, match=f"says {label}"):
        office.send()
    assert len(office.vendor.posts) == 1
    assert office.states()["b"] is State.READY


def test_a_label_found_wrong_by_the_first_document_stops_the_rest(office: Office) -> None:
    office.base_url, office.vendor.real, office.environment = REMOTE, True, "sandbox"
    office.approve(*(f"r{i}" for i in range(3)))
    result = office.send()
    assert "TUPANA_ENVIRONMENT says sandbox" in result.notices[-1]


def test_a_key_that_became_real_is_seen_at_its_first_real_document(office: Office) -> None:
    office.base_url = REMOTE
    office.approve("a")
    office.send()
    office.vendor.real = True  # the same key, activated
    office.vendor.issued[0].sandbox = True
    office.approve("b")
    result = office.send()
    assert result.counts == {State.QUARANTINED: 1}
    assert office.row("b").reason_code == "environment"
    office.approve("c")
    with pytest.raises(OriginError, match="holds sandbox documents"):
        office.send()
    assert len(office.vendor.posts) == 2


def test_a_ledger_belongs_to_one_environment(office: Office) -> None:
    office.base_url, office.vendor.real = REMOTE, True
    office.approve("a")
    office.send()
    with open_ledger(office.home, office.clock) as ledger:
        assert ledger.meta("environment") == "production"
        assert rows.newest(ledger)["a"].folio == "1000"


def test_another_account_is_refused(office: Office, tmp_path: Path) -> None:
    office.approve("a")
    office.send()
    (office.home / "origin.json").write_text(
        '{"server": "loopback/v1", "companies": ["1-9"]}', encoding="utf-8"
    )
    office.approve("b")
    with pytest.raises(OriginError):
        office.send()
