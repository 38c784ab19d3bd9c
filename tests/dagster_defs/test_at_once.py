"""Runs in processes of their own: one is killed in mid-sync, two start at the same moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_project import dev
from tupana_etl import analysis, pipeline
from tupana_etl.lake.manifest import Manifest
from tupana_etl.settings import Settings
from tupana_etl.streams import STREAMS

pytestmark = pytest.mark.long


def start(instance: Path, log: Path) -> subprocess.Popen[bytes]:
    """What the UI starts: a run of everything, in a process of its own."""
    command = ["-m", "dagster", "asset", "materialize", "--select", "*"]
    return subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, *command, "-m", "dagster_project.definitions"],
        env={**os.environ, "DAGSTER_HOME": str(instance)},
        stdout=log.open("w"),
        stderr=subprocess.STDOUT,
    )


def windows(settings: Settings) -> int:
    found = Manifest(settings.lake)
    return sum(e.kind == "window" for e in found.entries()) if found.path.exists() else 0


def contents(settings: Settings) -> dict[str, Sequence[Any]]:
    """Every stream's current rows, but for when they were first seen."""
    with analysis.connect(settings) as con:
        return {
            name: con.execute(
                f"""SELECT * EXCLUDE (_synced_at) FROM raw.{name} ORDER BY
                {", ".join(stream.key)}"""
            ).fetchall()
            for name, stream in STREAMS.items()
        }


def test_a_killed_run_and_two_at_once_give_the_tables_of_one(
    account: Settings, tmp_path: Path
) -> None:
    killed = start(dev.instance(tmp_path / "killed"), tmp_path / "log")
    deadline = time.monotonic() + 60
    while windows(account) < 5:
        assert killed.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not account.analytics.exists(), "it was in mid-sync"

    shared = dev.instance(tmp_path / "shared")
    dg.DagsterInstance.from_config(str(shared)).dispose()  # as a daemon has long done
    logs = [tmp_path / "one", tmp_path / "other"]
    for run in [start(shared, log) for log in logs]:
        assert run.wait(timeout=300) == 0, "\n".join(log.read_text()[-3000:] for log in logs)

    plain = replace(account, home=tmp_path / "plain")
    pipeline.sync(plain)
    assert contents(account) == contents(plain)
    with analysis.connect(account) as con:
        assert con.execute("SELECT bool_and(complete), count(*) FROM raw.syncs").fetchone() == (
            True,
            2,  # one went on with what the killed one had begun
        )
