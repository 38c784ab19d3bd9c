from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from dagster_project.definitions import defs
from tupana_etl.pipeline import sync
from tupana_etl.sandbox.server import World, running
from tupana_etl.settings import Settings

KEY = "canary-Qx7-never-to-be-seen"
SMALL = World(documents=150, months=6)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One small server for every test that only reads it."""
    with running(tmp_path_factory.mktemp("world") / "world.sqlite", SMALL, key=KEY) as url:
        yield url


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, and nothing of this machine's environment or ``.env``."""
    for name in ("API_KEY", "BASE_URL", "ENTITIES", "START_DATE", "PUBLISH", "ENVIRONMENT"):
        monkeypatch.delenv(f"TUPANA_{name}", raising=False)
    monkeypatch.setenv("TUPANA_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def account(home: Path, world: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An account with a key, as a user has it: only the environment tells of it."""
    monkeypatch.setenv("TUPANA_API_KEY", KEY)
    monkeypatch.setenv("TUPANA_BASE_URL", world)
    return Settings(api_key=KEY, base_url=world, home=home)


@pytest.fixture(scope="session")
def read_home(world: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that was read and published once. To be copied, never written."""
    home = tmp_path_factory.mktemp("read") / "home"
    assert sync(Settings(api_key=KEY, base_url=world, home=home)).complete
    return home


@pytest.fixture
def known(account: Settings, read_home: Path) -> Settings:
    """The account, its world already read and published."""
    shutil.copytree(read_home, account.home)
    return account


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """Dagster's storage in memory: in files every event of a run waits for the disk."""
    with dg.DagsterInstance.ephemeral() as opened:
        yield opened


@pytest.fixture
def instance_in_files(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's storage in files: to be searched, or for a schedule, which asks for no other."""
    (tmp_path / "instance").mkdir()
    with dg.DagsterInstance.local_temp(
        str(tmp_path / "instance"), overrides={"telemetry": {"enabled": False}}
    ) as opened:
        yield opened


def run_all(
    instance: dg.DagsterInstance, *selection: str, job: str = "sync_all", **config: object
) -> dg.ExecuteInProcessResult:
    """What a person starts in the UI: everything, or only some assets (``raw/documents``)."""
    return defs.resolve_job_def(job).execute_in_process(
        run_config={"ops": {"sync": {"config": config}}} if config else None,
        asset_selection=[dg.AssetKey(s.split("/")) for s in selection] or None,
        instance=instance,
        raise_on_error=False,
    )


def failed_checks(result: dg.ExecuteInProcessResult) -> set[str]:
    found = result.get_asset_check_evaluations()
    return {f"{e.asset_key.to_user_string()} {e.check_name}" for e in found if not e.passed}
