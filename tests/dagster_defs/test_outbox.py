"""Issuing from Dagster: planned there, sent only when somebody says so, never by itself again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from dagster_project.definitions import defs
from tupana_etl.domain import today
from tupana_etl.outbox import rows
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.states import State
from tupana_etl.sandbox.server import World, running
from tupana_etl.settings import Settings

from .conftest import KEY


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    world = World(documents=20, companies=1, months=2, seed=5)
    path = tmp_path_factory.mktemp("desk") / "world.sqlite"
    headers = {"Authorization": f"Api-Key {KEY}"}
    with (
        running(path, world, key=KEY) as url,
        httpx.Client(base_url=url, headers=headers) as opened,
    ):
        yield opened


@pytest.fixture
def account(home: Path, desk: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Settings:
    url = str(desk.base_url).rstrip("/")
    monkeypatch.setenv("TUPANA_API_KEY", KEY)
    monkeypatch.setenv("TUPANA_BASE_URL", url)
    return Settings(api_key=KEY, base_url=url, home=home)


@pytest.fixture
def source(desk: httpx.Client, tmp_path: Path) -> str:
    entity = desk.get("/credentials").json()[0]["master_entities"][0]
    issuer = entity["tax_id"].replace(".", "")
    path = tmp_path / "rows.csv"
    path.write_text(
        "row_key,dte_type,issuer_rut,receiver_rut,receiver_name,date_issued,payment_method,"
        "item_name,quantity,unit_price\n"
        f"k1,33,{issuer},96790240-3,Cía.,{today()},1,Cosa,1,1000\n",
        encoding="utf-8",
    )
    return str(path)


def run(instance: dg.DagsterInstance, job: str, op: str, **config: Any) -> Any:
    return defs.resolve_job_def(job).execute_in_process(
        run_config={"ops": {op: {"config": config}}} if config else None,
        instance=instance,
        raise_on_error=False,
    )


def states(account: Settings) -> list[State]:
    with open_ledger(account.home) as ledger:
        return [row.state for row in rows.newest(ledger).values()]


def test_sending_is_a_dry_run_until_somebody_says_otherwise(
    account: Settings, instance: dg.DagsterInstance, source: str
) -> None:
    assert run(instance, "outbox_plan", "plan_documents", source=source).success
    assert run(instance, "outbox_send", "send_documents").success
    assert run(instance, "outbox_follow", "follow_documents").success
    assert states(account) == [State.PLANNED]
    assert run(instance, "outbox_send", "send_documents", dry_run=False).success
    assert states(account) == [State.VERIFIED]


def test_a_row_left_open_is_a_failed_run_that_nobody_repeats(
    account: Settings, instance: dg.DagsterInstance, source: str, desk: httpx.Client
) -> None:
    fault = {"kind": "other_totals", "path": "/documents/batch", "method": "POST", "times": 1}
    assert desk.post("/_admin/faults", json={"faults": [fault]}).status_code == 200
    run(instance, "outbox_plan", "plan_documents", source=source)
    sent = run(instance, "outbox_send", "send_documents", dry_run=False, wait=1.0)
    assert not sent.success
    (failure,) = [e for e in sent.all_events if e.is_step_failure]
    data = failure.step_failure_data.user_failure_data
    assert data is not None
    assert "1 QUARANTINED" in str(data.description)
    assert not [e for e in sent.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"]
    assert sent.dagster_run.tags["dagster/max_retries"] == "0"
    assert KEY not in repr(sent.all_events)


def test_a_server_that_is_down_is_not_tried_again_by_itself(
    account: Settings,
    instance: dg.DagsterInstance,
    source: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(instance, "outbox_plan", "plan_documents", source=source)
    monkeypatch.setenv("TUPANA_BASE_URL", "http://127.0.0.1:9/v1")
    sent = run(instance, "outbox_send", "send_documents", dry_run=False)
    assert not sent.success
    assert not [e for e in sent.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"]
    assert states(account) == [State.PLANNED]
