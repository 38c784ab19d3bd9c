"""Runs of the whole graph in this process, against a small sandbox."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from dagster_project import checks
from dagster_project.checks import FINDINGS
from dagster_project.companies import new_companies
from dagster_project.definitions import defs
from dagster_project.resources import TupanaResource, told
from tupana_etl import analysis, pipeline
from tupana_etl.api.client import Client
from tupana_etl.errors import CompanyRefused, LockHeld
from tupana_etl.settings import Settings
from tupana_etl.streams import STREAMS

from .conftest import KEY, failed_checks, run_all


def count(settings: Settings, table: str) -> int:
    with analysis.connect(settings) as con:
        row = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else -1


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, object]:
    for event in result.get_asset_materialization_events():
        found = event.materialization
        if found.asset_key.to_user_string() == asset:
            return {name: value.value for name, value in found.metadata.items()}
    raise AssertionError(f"{asset} was not materialized")


def test_everything_twice_and_the_second_time_nothing_is_new(
    account: Settings, instance_in_files: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]
) -> None:
    first = run_all(instance_in_files, job="sync_full")
    assert first.success
    assert failed_checks(first) == set()
    everything = {k.to_user_string() for k in defs.resolve_asset_graph().get_all_asset_keys()}
    events = first.get_asset_materialization_events()
    assert {e.materialization.asset_key.to_user_string() for e in events} == everything
    documents = metadata(first, "raw/documents")
    assert documents["dagster/row_count"] == count(account, "raw.documents") == documents["new"]
    assert documents["complete_percent"] == 100
    assert documents["requests"]
    assert documents["requests_saved"] == documents["seen"], "events come with the list"
    assert str(documents["preview"]).count("\n") == 6
    report = metadata(first, "reports/receivables")
    assert Path(str(report["file"])).parent == account.home / "exports"
    assert "Cuentas por cobrar" in Path(str(report["file"])).read_text(encoding="utf-8")
    receivables = metadata(first, "marts/receivables")
    assert receivables["dagster/row_count"]
    assert "█" in str(receivables["chart"])
    with analysis.connect(account) as con:
        owed = con.execute("SELECT sum(open_balance_clp) FROM marts.receivables").fetchone()
    assert receivables["open_balance_clp"] == report["open_balance_clp"] == float(*(owed or ()))
    foreign: Any = report["in_foreign_currency_clp"]
    assert foreign > 0, "else this could not tell one sum from the other"
    schema: Any = receivables["dagster/column_schema"]
    documented = {c.name: c.description for c in schema.columns}
    assert documented["amount"].endswith("← marts.documents.amount")
    lineage: Any = receivables["dagster/column_lineage"]
    named = {dep for deps in lineage.deps_by_column.values() for dep in deps}
    assert dg.TableColumnDep(dg.AssetKey(["marts", "documents"]), "amount") in named
    assert count(account, "raw.syncs") == 1, "one reading feeds every stream"

    before = {name: count(account, f"history.{name}") for name in STREAMS}
    with analysis.connect(account) as analyst:  # stays open meanwhile: nobody waits
        second = run_all(instance_in_files)
        assert second.success
        assert analyst.execute("SELECT count(*) FROM raw.syncs").fetchone() == (1,)
    assert count(account, "raw.syncs") == 2
    assert {name: count(account, f"history.{name}") for name in STREAMS} == before
    again = metadata(second, "raw/documents")
    assert (again["new"], again["changed"]) == (0, 0)

    with analysis.connect(account) as con:
        signed = con.execute("SELECT pdf FROM raw.documents WHERE pdf IS NOT NULL").fetchone()
    stored = [
        p.read_bytes() for p in Path(instance_in_files.root_directory).rglob("*") if p.is_file()
    ]
    assert any(b"raw" in content for content in stored)
    said = "".join(capfd.readouterr()).encode()
    for secret in (KEY, *(signed or ())):
        assert not any(secret.encode() in content for content in (*stored, said))


def test_one_company_and_one_stream_alone(account: Settings, instance: dg.DagsterInstance) -> None:
    assert run_all(instance, "raw/master_entities").success
    with pipeline.at_rest(account) as con:
        row = con.execute("SELECT tax_id FROM raw.master_entities ORDER BY id").fetchone()
    rut = row[0] if row else ""
    result = run_all(instance, "raw/cessions", entity=rut)
    assert result.success
    events = result.get_asset_materialization_events()
    assert [e.materialization.asset_key.path[-1] for e in events] == ["cessions"]
    assert str(metadata(result, "raw/cessions")["by_company"]).count("\n") == 2
    assert rut in str(metadata(result, "raw/cessions")["by_company"])


def test_a_check_alone_asks_only_for_its_own_stream(
    account: Settings, instance: dg.DagsterInstance
) -> None:
    check = dg.AssetCheckKey(dg.AssetKey(["raw", "webhooks"]), "complete")
    job = dg.define_asset_job("alone", selection=dg.AssetSelection.checks(check))
    result = (
        dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
        .resolve_job_def("alone")
        .execute_in_process(instance=instance)
    )
    assert [e.check_name for e in result.get_asset_check_evaluations()] == ["complete"]
    with pipeline.at_rest(account) as con:
        read = con.execute("SELECT DISTINCT stream FROM raw.windows").fetchall()
    assert read == [("webhooks",)]


def test_a_refused_company_fails_its_checks_and_the_others_are_published(
    account: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_all(instance, "raw/master_entities").success
    with pipeline.at_rest(account) as con:
        ruts = [r for (r,) in con.execute("SELECT tax_id FROM raw.master_entities").fetchall()]
    get = Client.get

    async def refuse(self: Client, path: str, *args: Any, **options: Any) -> Any:
        if options.get("company") == ruts[0]:
            raise CompanyRefused("No access to this company.", status=403)
        return await get(self, path, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Client, "get", refuse)
        result = run_all(instance)
    assert result.success
    by_company = {s.name for s in STREAMS.values() if "company" in s.slices}
    assert failed_checks(result) == {
        "raw/master_entities every_company_answers",
        *(f"raw/{name} complete" for name in by_company),
    }
    why = {e.check_name: e for e in result.get_asset_check_evaluations() if not e.passed}
    assert ruts[0] in (why["every_company_answers"].description or "")
    assert "No access to this company" in (why["complete"].description or "")
    assert 0 < float(str(metadata(result, "raw/cessions")["complete_percent"])) < 100
    with analysis.connect(account) as con:
        assert con.execute("SELECT complete FROM raw.syncs ORDER BY ALL").fetchone() == (False,)
        read = con.execute(
            """SELECT DISTINCT tax_id FROM raw.documents
            JOIN raw.master_entities USING (master_entity_id)"""
        ).fetchall()
    assert {rut for (rut,) in read} == set(ruts[1:])
    assert failed_checks(run_all(instance)) == set(), "the next sync mends it"


def test_a_dry_run_says_what_there_is_and_writes_nothing(
    account: Settings, instance: dg.DagsterInstance
) -> None:
    result = run_all(instance, dry_run=True)
    assert result.success
    assert not result.get_asset_materialization_events()
    assert not list(account.home.rglob("*"))
    told_of = [e for e in result.all_events if e.is_asset_observation]
    asked = {s.name for s in STREAMS.values() if not s.is_child}
    assert {e.asset_key.path[-1] for e in told_of if e.asset_key} == asked
    announced = pipeline.preview(account, ["documents"])
    read = pipeline.sync(account, ["documents"], marts=False).streams
    assert {(a.entity, a.rows) for a in announced} == {(r.entity, r.seen) for r in read}


def test_a_finding_fails_its_check_and_is_shown(
    known: Settings, instance: dg.DagsterInstance
) -> None:
    with duckdb.connect(str(known.analytics)) as con:
        for change in (
            "UPDATE marts.book_reconciliation SET status = 'differs', total_difference = 7",
            "UPDATE marts.source_freshness SET status = 'late'",
            """INSERT INTO marts.data_quality (check_name, severity, message)
            VALUES ('iva_off', 'warning', 'one'), ('some_rule', 'error', 'two')""",
            "UPDATE marts.receivables_aging SET open_balance_clp = open_balance_clp + 1",
            "UPDATE marts.payables_aging SET open_balance_clp = open_balance_clp - 1",
        ):
            con.execute(change)
    selection = dg.AssetSelection.checks(checks.findings)
    only = dg.Definitions(
        assets=defs.assets,
        asset_checks=defs.asset_checks,
        resources=defs.resources,
        jobs=[dg.define_asset_job("look", selection)],
    )
    result = only.resolve_job_def("look").execute_in_process(instance=instance)
    assert failed_checks(result) == {f"{f.table.replace('.', '/')} {f.name}" for f in FINDINGS}
    for evaluation in result.get_asset_check_evaluations():
        assert "found. The first: " in (evaluation.description or "")
        assert evaluation.metadata["findings"].value
        assert str(evaluation.metadata["first_findings"].value).count("\n") >= 2
        assert not evaluation.blocking


def test_companies_are_partitions_and_one_of_them_is_read_whole(
    account: Settings, read_home: Path, instance: dg.DagsterInstance
) -> None:
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, resources=defs.resources
    ) as context:
        early = new_companies.evaluate_tick(context)
        assert "Nothing is published yet" in (early.skip_message or "")
        shutil.copytree(read_home, account.home, dirs_exist_ok=True)
        (request,) = new_companies.evaluate_tick(context).dynamic_partitions_requests or ()
        instance.add_dynamic_partitions("company", list(request.partition_keys))
        again = new_companies.evaluate_tick(context)
    assert not again.dynamic_partitions_requests
    ruts = sorted(r.entity for r in pipeline.preview(account, ["documents"]))
    assert list(request.partition_keys) == ruts

    job = defs.resolve_job_def("backfill_company")
    result = job.execute_in_process(partition_key=ruts[0], instance=instance)
    assert result.success
    shown = str(metadata(result, "raw/book_summaries")["by_company"])
    assert [rut for rut in ruts if rut in shown] == [ruts[0]]
    months = {r.windows for r in pipeline.sync(account, ["book_summaries"], full=True).streams}
    assert {metadata(result, "raw/book_summaries")["requests"]} == months, "all, due or not"
    assert not instance.get_materialized_partitions(dg.AssetKey(["raw", "documents"]))


def test_wrong_data_is_not_published(known: Settings, instance: dg.DagsterInstance) -> None:
    published = known.analytics.stat().st_mtime_ns
    with pipeline.at_rest(known) as con:
        con.execute("INSERT INTO history.webhooks SELECT * FROM history.webhooks")
    result = run_all(instance)
    assert not result.success
    assert failed_checks(result) == {"raw/webhooks unique_key"}
    steps = {e.step_key for e in result.all_events if e.is_step_start}
    assert "marts" not in steps
    assert known.analytics.stat().st_mtime_ns == published


def test_without_a_key_a_sandbox_answers_in_a_home_apart(
    home: Path, instance: dg.DagsterInstance
) -> None:
    small = dg.Definitions.merge(
        dg.Definitions(assets=defs.assets, asset_checks=defs.asset_checks, executor=defs.executor),
        dg.Definitions(resources={"tupana": TupanaResource(demo_documents=60)}),
    )
    result = small.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance)
    assert result.success
    assert count(Settings(home=home / "demo"), "raw.documents") >= 60
    assert {f.stat().st_mode & 0o777 for f in (home, home / "demo")} == {0o700}
    assert not (home / "analytics.duckdb").exists()
    assert not (home / "lake").exists()


@pytest.mark.parametrize(
    ("config", "sentence"),
    [({"since": "yesterday"}, "since is 'yesterday'"), ({"entity": "1-1"}, "1-1")],
)
def test_what_a_person_must_change_is_one_sentence_and_not_retried(
    account: Settings, instance: dg.DagsterInstance, config: dict[str, str], sentence: str
) -> None:
    result = run_all(instance, "raw/webhooks", **config)
    assert not result.success
    failure = result.failure_data_for_node("sync")
    assert failure is not None
    assert failure.error is not None
    assert sentence in failure.error.message
    assert not result.retry_attempts_for_node("sync")


def test_what_time_may_cure_is_tried_again() -> None:
    with pytest.raises(dg.RetryRequested) as asked, told():
        raise LockHeld("Another run is using the home.")
    assert asked.value.max_retries == 2
    assert "Another run" in str(asked.value.__cause__)
