"""Dagster's own settings: each file that we give loads, and does what it says."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.instance.ref import InstanceRef

from dagster_project import dev, resources
from dagster_project.definitions import defs

REPO = Path(__file__).parents[2]
INSTANCES = Path(dev.__file__).parent / "instances"
DOCKER = {"TUPANA_IMAGE": "tupana", "TUPANA_NETWORK": "tupana"}


def check_settings(instance: dg.DagsterInstance) -> None:
    """What both files have in common."""
    assert not instance.telemetry_enabled
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 1
    pools = instance.get_concurrency_config().pool_config
    assert pools.default_pool_limit == 1
    assert instance.event_log_storage.supports_global_concurrency_limits


def test_make_dev_makes_a_private_instance_and_keeps_ones_changes(tmp_path: Path) -> None:
    folder = dev.instance(tmp_path / "home")
    assert folder == tmp_path / "home" / "dagster"
    assert {f.stat().st_mode & 0o777 for f in (folder, folder.parent)} == {0o700}
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        check_settings(instance)
    (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert dev.instance(tmp_path / "home") == folder
    assert (folder / "dagster.yaml").read_text() == "telemetry: {enabled: false}\n"


def test_plain_dagster_dev_in_the_repository_has_the_same_settings(tmp_path: Path) -> None:
    """Without DAGSTER_HOME it makes a temporary one, with the dagster.yaml it stands in."""
    temporary = InstanceRef.from_dir(str(tmp_path), config_dir=str(REPO))
    with dg.DagsterInstance.from_ref(temporary) as instance:
        check_settings(instance)


def test_a_slot_is_free_again_when_its_run_has_ended(tmp_path: Path) -> None:
    with dg.DagsterInstance.from_config(str(dev.instance(tmp_path))) as instance:
        storage, pool = instance.event_log_storage, resources.WRITER_POOL
        run = instance.create_run_for_job(
            defs.resolve_job_def("sync_all"), status=dg.DagsterRunStatus.STARTED
        )
        storage.initialize_concurrency_limit_to_default(pool)
        assert storage.claim_concurrency_slot(pool, run.run_id, "sync").is_claimed
        assert not storage.claim_concurrency_slot(pool, "another", "sync").is_claimed
        storage.free_concurrency_slots_for_run(run.run_id)
        assert storage.claim_concurrency_slot(pool, "another", "sync").is_claimed


@pytest.fixture
def postgres() -> Iterator[dict[str, str]]:
    """A Postgres of its own, as the variables that the settings name."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    programs = found[-1].parent if found else None
    path = os.pathsep.join([str(programs or ""), os.environ["PATH"]])
    initdb, server = shutil.which("initdb", path=path), shutil.which("postgres", path=path)
    if initdb is None or server is None:
        pytest.skip("no Postgres on this machine (Debian: apt-get install postgresql)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        owner = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
        if owner:
            shutil.chown(folder, owner)
        data = f"{folder}/data"
        subprocess.run(  # noqa: S603 - our own words
            [initdb, "-D", data, "-U", "tupana", "--auth=trust", "--no-sync"],
            user=owner, cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        running = subprocess.Popen(  # noqa: S603 - our own words
            [server, "-D", data, "-p", port, "-c", f"unix_socket_directories={folder}"],
            user=owner, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield {
                "DAGSTER_PG_HOST": "127.0.0.1",
                "DAGSTER_PG_PORT": port,
                "DAGSTER_PG_DB": "postgres",
                "DAGSTER_PG_USERNAME": "tupana",
                "DAGSTER_PG_PASSWORD": "any: it trusts this machine",
            }
        finally:
            running.terminate()
            running.wait()


def test_the_settings_for_a_server_keep_runs_in_postgres(
    postgres: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder of its own: Dagster leaves the logs of its runs beside the settings.
    home = shutil.copytree(INSTANCES / "postgres", tmp_path / "postgres")
    for name, value in {**postgres, **DOCKER}.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        check_settings(instance)
        assert type(instance.run_launcher).__name__ == "DockerRunLauncher"
        result = dg.materialize([small], instance=instance)
        assert result.success
        assert instance.get_run_by_id(result.run_id)
        assert instance.get_latest_materialization_event(small.key)
    with dg.DagsterInstance.from_config(str(home)) as again:
        assert again.get_runs_count() == 1


@dg.asset
def small() -> None:
    """An asset that costs nothing."""
