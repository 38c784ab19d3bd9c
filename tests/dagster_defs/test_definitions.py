"""What Dagster is told: derived from the declarations, loadable from anywhere, no secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.freshness import TimeWindowFreshnessPolicy

from dagster_project import dev, resources
from dagster_project.definitions import defs
from dagster_project.inbox import webhook_events
from tupana_etl.domain import utcnow
from tupana_etl.inbox.event import Event
from tupana_etl.inbox.store import open_inbox
from tupana_etl.reports import KINDS
from tupana_etl.streams import STREAMS
from tupana_etl.warehouse.models import find_models
from tupana_etl.warehouse.tables import SERVICE_COLUMNS

from .conftest import KEY

REPO = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def graph() -> dg.AssetGraph:
    return defs.resolve_asset_graph()


def test_the_definitions_load() -> None:
    dg.Definitions.validate_loadable(defs)


@pytest.mark.parametrize("target", ["workspace", "module"])
def test_they_load_from_any_folder(target: str, tmp_path: Path) -> None:
    where = {
        "workspace": ["-w", str(REPO / "workspace.yaml")],
        "module": ["-m", "dagster_project.definitions"],
    }
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "dagster", "definitions", "validate", *where[target]],
        cwd=tmp_path,
        env={**os.environ, "DAGSTER_HOME": str(tmp_path), "TUPANA_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "home").exists(), "loading must touch nothing"


def test_one_asset_per_stream_and_per_model_and_the_file(graph: dg.AssetGraph) -> None:
    models = {m.name for m in find_models()}
    expected = {f"raw.{name}" for name in STREAMS} | models | {"published.analytics"}
    expected |= {f"reports.{kind}" for kind in KINDS}
    assert {".".join(key.path) for key in graph.get_all_asset_keys()} == expected


def test_assets_depend_on_what_their_sql_reads(graph: dg.AssetGraph) -> None:
    keys = {".".join(key.path) for key in graph.get_all_asset_keys()}
    for model in find_models():
        read = {d.replace("history.", "raw.") for d in model.depends_on}
        found = graph.get(dg.AssetKey(model.name.split("."))).parent_keys
        assert {".".join(key.path) for key in found} == read & keys
    lines = graph.get(dg.AssetKey(["raw", "document_lines"]))
    assert lines.parent_keys == {dg.AssetKey(["raw", "documents"])}


def test_nothing_is_left_out_of_the_published_file(graph: dg.AssetGraph) -> None:
    published = dg.AssetKey(["published", "analytics"])
    above = dg.AssetSelection.assets(published).upstream().resolve(graph)
    reports = {key for key in graph.get_all_asset_keys() if key.path[0] == "reports"}
    assert above == graph.get_all_asset_keys() - reports
    assert all(graph.get(key).parent_keys == {published} for key in reports)


def test_groups_follow_one_another_without_a_ring(graph: dg.AssetGraph) -> None:
    order = ["raw", "staging", "marts", "quality", "published", "reports"]
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        for parent in node.parent_keys:
            above = graph.get(parent).group_name
            assert order.index(above) <= order.index(node.group_name), (parent, key)


def test_columns_and_words_are_those_of_the_declarations(graph: dg.AssetGraph) -> None:
    for stream in STREAMS.values():
        node = graph.get(dg.AssetKey(["raw", stream.name]))
        assert stream.doc in (node.description or "")
        schema = node.metadata["dagster/column_schema"]
        columns = [*stream.columns, *SERVICE_COLUMNS]
        assert [(c.name, c.type, c.description) for c in schema.columns] == [
            (c.name, c.kind.duckdb, c.doc) for c in columns
        ]
        assert tuple(c.name for c in schema.columns if not c.constraints.nullable)
    for model in find_models():
        node = graph.get(dg.AssetKey(model.name.split(".")))
        assert node.description == model.description
        schema = node.metadata["dagster/column_schema"]
        assert {c.name: c.description for c in schema.columns} == model.columns


def test_every_step_that_writes_waits_for_its_turn() -> None:
    repository = defs.get_repository_def()
    pools = {op.name: op.pool for op in repository.get_job("sync_all").all_node_defs}  # type: ignore[attr-defined]
    writers = dict.fromkeys(("sync", "unique_keys", "marts"), resources.WRITER_POOL)
    assert pools == {**writers, "findings": None}, "findings reads what was published"


def test_every_asset_says_when_it_is_too_old_and_where_its_code_is(graph: dg.AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        policy = node.freshness_policy
        assert isinstance(policy, TimeWindowFreshnessPolicy), key
        if key.path[0] == "raw":
            declared = STREAMS[key.path[1]].freshness
            assert policy.warn_window is not None
            assert policy.warn_window.to_timedelta() == declared
            assert policy.fail_window.to_timedelta() > declared
        if key.path[0] not in ("published", "reports"):
            (place,) = node.metadata["dagster/code_references"].code_references
            lines = Path(place.file_path).read_text(encoding="utf-8").splitlines()
            found = lines[place.line_number - 1 :]
            assert key.path[1] in (found[1] if key.path[0] == "raw" else place.file_path)


def test_a_model_is_due_when_what_it_reads_is_newer(graph: dg.AssetGraph) -> None:
    for key in graph.get_all_asset_keys():
        by_hand = key.path[0] in ("raw", "reports")
        assert (graph.get(key).automation_condition is None) == by_hand
    above = dg.AssetKey(["raw", "cessions"])
    with dg.DagsterInstance.ephemeral() as instance:
        for key in graph.get_all_asset_keys():
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        before = dg.evaluate_automation_conditions(defs, instance)
        instance.report_runless_asset_event(dg.AssetMaterialization(above))
        after = dg.evaluate_automation_conditions(defs, instance, cursor=before.cursor)
    asked = {key for key in graph.get_all_asset_keys() if after.get_num_requested(key)}
    below = dg.AssetSelection.assets(above).downstream(include_self=False)
    due = (below - dg.AssetSelection.groups("reports")).resolve(graph)
    assert before.total_requested == 0
    assert asked == due


def test_what_starts_by_itself_is_off_until_switched_on() -> None:
    crons = {"incremental": "*/15 * * * *", "nightly_sweep": "20 3 * * *"}
    schedules = {s.name: s for s in defs.get_repository_def().schedule_defs}
    assert {n: s.cron_schedule for n, s in schedules.items()} == {
        **crons,
        "monthly_close": "0 5 10 * *",
    }
    for schedule in schedules.values():
        assert schedule.execution_timezone == "America/Santiago"
        assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
        assert schedule.description
    sensors = {s.name: s for s in defs.get_repository_def().sensor_defs}
    assert sensors.keys() == {"new_companies", "rebuild_marts", "webhook_events"}
    for sensor in sensors.values():
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
        assert sensor.description


@pytest.mark.parametrize(
    ("name", "running", "turn"),
    [
        ("incremental", None, True),
        ("incremental", "sync_all", False),
        ("incremental", "sync_full", False),
        ("incremental", "backfill_company", True),  # it waits for the one writer's place
        ("nightly_sweep", "sync_all", True),
        ("nightly_sweep", "sync_full", False),
        ("monthly_close", "sync_full", False),
    ],
)
def test_a_schedule_leaves_out_its_turn_while_as_much_is_read(
    name: str, running: str | None, turn: bool, instance_in_files: dg.DagsterInstance
) -> None:
    repository = defs.get_repository_def()
    with dg.build_schedule_context(
        instance=instance_in_files, repository_def=repository
    ) as context:
        if running:
            job = defs.resolve_job_def(running)
            instance_in_files.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        tick = repository.get_schedule_def(name).evaluate_tick(context)
    assert bool(tick.run_requests) is turn
    assert turn or "under way" in (tick.skip_message or "")


def test_no_secret_in_what_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUPANA_API_KEY", KEY)
    code = (
        "from dagster_project.definitions import defs\n"
        "from dagster._core.remote_representation.external_data import RepositorySnap\n"
        "from dagster_shared.serdes import serialize_value\n"
        "print(serialize_value(RepositorySnap.from_def(defs.get_repository_def())))"
    )
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "Real data: reads https://api.tupana.ai/v1" in done.stdout
    assert KEY not in done.stdout + done.stderr
    assert set(resources.TupanaResource.model_fields) == {"demo_documents"}


def test_a_wrong_setting_does_not_keep_the_ui_from_opening(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUPANA_MAX_CONCURRENCY", "lots")
    assert "TUPANA_MAX_CONCURRENCY" in resources.origin()


def test_make_dev_opens_this_workspace_on_this_machine_only(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: started.append(command))
    monkeypatch.setenv("DAGSTER_HOME", "elsewhere")
    monkeypatch.setenv("TUPANA_API_KEY", KEY)
    dev.main(["--live-data-poll-rate", "1000"])
    said = capsys.readouterr().out
    assert f"-w {REPO / 'workspace.yaml'} -h 127.0.0.1 -p 30" in " ".join(started[0])
    assert started[0][-1] == "1000"
    assert os.environ["DAGSTER_HOME"] == str(home / "dagster")
    assert "http://127.0.0.1:30" in said
    assert "Real data" in said
    assert KEY not in said

    with pytest.raises(SystemExit) as refused:  # two daemons would start everything twice
        dev.main([])
    assert refused.value.code == 1
    assert "open on this home already: http://127.0.0.1:30" in capsys.readouterr().err
    assert len(started) == 1


def test_the_inbox_sensor_asks_for_one_run_only_when_an_event_is_due(
    home: Path, instance: dg.DagsterInstance
) -> None:
    repository = defs.get_repository_def()
    with dg.build_sensor_context(
        instance=instance, repository_def=repository, resources=defs.resources
    ) as context:
        early = webhook_events.evaluate_tick(context)
        assert "No webhook event" in (early.skip_message or "")
        event = Event("document.paid", "999", "", "", "0" * 64)
        with open_inbox(home / "demo") as inbox:  # without a key, the demo's home
            assert inbox.keep(event, utcnow())
            assert len(webhook_events.evaluate_tick(context).run_requests or ()) == 1
            inbox.settle(inbox.due(utcnow()), "handled", utcnow())
        done = webhook_events.evaluate_tick(context)
        assert "No event is due" in (done.skip_message or "")
    job = defs.resolve_job_def("drain_inbox")
    for _ in range(2):
        result = job.execute_in_process(instance=instance)
        assert result.success, "a drain without events is harmless"
