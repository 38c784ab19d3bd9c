"""Issuing from Dagster: planned there, sent only when somebody says so, never by itself again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from dagster_project.definitions import defs
from tupana_etl import analysis, pipeline
from tupana_etl.domain import today, utcnow
from tupana_etl.outbox import rows
from tupana_etl.outbox.approve import approve
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.purge import purge
from tupana_etl.outbox.states import State
from tupana_etl.sandbox.server import World, running
from tupana_etl.settings import Settings

from .conftest import KEY

PAYMENT = "row_key,issuer_rut,dte_type,folio,event,paid_on"
CESSION = (
    "row_key,issuer_rut,dte_type,folio,amount,assignee_rut,assignee_name,assignee_address,"
    "assignee_email"
)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    world = World(documents=80, companies=1, months=2, seed=5)
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
        return [row.state for row in rows.everything(ledger)]


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


def test_payments_and_cessions_are_planned_and_wait_for_a_person(
    account: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    pipeline.sync(account)
    with analysis.connect(account) as con:
        invoices = con.execute(
            "SELECT issuer_rut, dte_type_code, folio, total_clp FROM marts.factoring_candidates "
            "WHERE eligible ORDER BY document_id LIMIT 2"
        ).fetchall()
    paid, ceded = invoices
    payments, cessions = tmp_path / "payments.csv", tmp_path / "cessions.csv"
    payments.write_text(f"{PAYMENT}\nbank:1,{','.join(paid[:3])},PAID,{today()}\n")
    factor = "76083507-2,Factoring Uno SpA,Av. Apoquindo 100,ops@factoring.example"
    cessions.write_text(f"{CESSION}\nop:1,{','.join(map(str, ceded))},{factor}\n")
    assert run(instance, "outbox_plan_payments", "plan_payments", source=str(payments)).success
    planned = run(instance, "outbox_plan_cessions", "plan_cessions", source=str(cessions))
    assert planned.success
    assert run(instance, "outbox_send", "send_documents", dry_run=False).success
    assert states(account) == [State.VERIFIED, State.PLANNED], "a cession takes a name"
    (output,) = [e for e in planned.all_events if e.is_successful_output]
    plan_hash = str(output.step_output_data.metadata["plan_hash"].value)
    with open_ledger(account.home) as ledger:
        approve(ledger, plan_hash, "Ana")
    assert run(instance, "outbox_send", "send_documents", dry_run=False).success
    assert states(account) == [State.VERIFIED, State.VERIFIED]
    assert portfolio(account) == []
    pipeline.sync(account)
    assert portfolio(account) == [(ceded[2],)]


def portfolio(account: Settings) -> list[tuple[str]]:
    """Folios that the factor of these tests holds."""
    with analysis.connect(account) as con:
        sql = (
            "SELECT folio FROM marts.factoring_portfolio WHERE assignee_name = 'Factoring Uno SpA'"
        )
        return con.execute(sql).fetchall()


@pytest.mark.parametrize(("kind", "head"), [("payments", PAYMENT), ("cessions", CESSION)])
def test_blocked_rows_fail_the_plan_and_say_which_command_names_them(
    account: Settings, instance: dg.DagsterInstance, tmp_path: Path, kind: str, head: str
) -> None:
    pipeline.sync(account)
    bad = tmp_path / "bad.csv"
    bad.write_text(f"{head}\nk,76086428-5,33,9{',' * (head.count(',') - 3)}\n")
    result = run(instance, f"outbox_plan_{kind}", f"plan_{kind}", source=str(bad))
    assert not result.success
    (failure,) = [e for e in result.all_events if e.is_step_failure]
    assert f"tupana outbox plan {kind}" in str(failure.step_failure_data.user_failure_data)


def test_content_is_purged_when_somebody_says_so(
    account: Settings,
    instance: dg.DagsterInstance,
    source: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(instance, "outbox_plan", "plan_documents", source=source)
    assert run(instance, "outbox_send", "send_documents", dry_run=False).success
    at = utcnow() + timedelta(days=91)
    assert purge.__kwdefaults__ is not None
    monkeypatch.setitem(purge.__kwdefaults__, "clock", lambda: at)
    told = {"older_than": 90, "by": "Ana"}
    with pytest.raises(dg.DagsterInvalidConfigError, match="older_than"):  # no term is assumed
        run(instance, "outbox_purge", "purge_content")
    assert not run(instance, "outbox_purge", "purge_content", older_than=1, by="Ana").success

    def contents() -> list[bool]:
        with open_ledger(account.home) as ledger:
            return [row.payload is not None for row in rows.everything(ledger)]

    assert run(instance, "outbox_purge", "purge_content", **told).success
    assert contents() == [True], "a dry run until somebody says otherwise"
    assert run(instance, "outbox_purge", "purge_content", **told, dry_run=False).success
    assert contents() == [False]
