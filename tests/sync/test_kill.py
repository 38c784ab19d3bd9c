"""kill -9 at any moment, then a plain sync: the same tables, nothing asked twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tupana_etl.lake.manifest import Manifest
from tupana_etl.sandbox.server import DEMO_KEY

from .helpers import Site, differences, site

IN_SHORT, IN_LONG = 2, 30

FEWEST_REQUESTS = 40
"""Requests that any sync of these worlds needs."""


def start(here: Site) -> subprocess.Popen[bytes]:
    env = {
        **os.environ,
        "TUPANA_API_KEY": DEMO_KEY,
        "TUPANA_BASE_URL": here.url,
        "TUPANA_HOME": str(here.settings.home),
        "TUPANA_START_DATE": str(here.settings.start_date),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tupana_etl", "sync", "--json"],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def asked_twice(here: Site) -> list[object]:
    """Windows that one run committed whole more than once."""
    names = ("run", "stream", "company", "direction", "date_from", "date_to", "period", "undated")
    read = Counter(
        tuple(entry.body[name] for name in names)
        for entry in Manifest(here.settings.lake).entries()
        if entry.kind == "window" and entry.body["complete"]
    )
    return [window for window, times in read.items() if times > 1]


def seeds() -> list[object]:
    later = [pytest.param(n, marks=pytest.mark.long) for n in range(IN_SHORT, IN_LONG)]
    return [*range(IN_SHORT), *later]


def strike(here: Site, process: subprocess.Popen[bytes], reached: Callable[[], bool]) -> None:
    """Kills a sync as soon as it is as far as that, and sees that it was not done."""
    deadline = time.monotonic() + 60
    while not reached():
        assert process.poll() is None, "it ended before the blow"
        assert time.monotonic() < deadline, "it never came that far"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def ended(here: Site) -> int:
    """Runs that are closed in the manifest."""
    manifest = Manifest(here.settings.lake)
    return sum(entry.kind == "end" for entry in manifest.entries()) if manifest.exists else 0


def points(here: Site, moment: random.Random) -> Callable[[], bool]:
    """A named point of a sync: so many requests, the reading done, the file being published."""
    phase = moment.choice(["reading", "reading", "reading", "applying", "publishing"])
    if phase == "applying":
        runs = ended(here)
        return lambda: ended(here) > runs
    if phase == "publishing":
        copy = here.settings.analytics.with_name(f".{here.settings.analytics.name}.tmp")
        return copy.exists
    asked = here.stats()["requests"] + moment.randint(1, FEWEST_REQUESTS)
    return lambda: here.stats()["requests"] >= asked


@pytest.mark.parametrize("seed", seeds())
def test_a_killed_sync_goes_on_where_it_was(tmp_path: Path, seed: int) -> None:
    moment = random.Random(seed)
    with site(tmp_path, documents=300, latency_ms=15) as here:
        if moment.random() < 0.5:
            here.sync()
            for row in here.truth("documents")[:5]:
                here.admin("pay", document_id=int(row["id"]))
        reached = points(here, moment)
        strike(here, start(here), reached)
        assert start(here).wait(timeout=60) == 0
        assert differences(here) == {}
        assert asked_twice(here) == []
        assert not [p for p in here.settings.home.rglob("*") if p.name.endswith(".tmp")]
        manifest = Manifest(here.settings.lake)
        named = {s["path"] for e in manifest.entries() for s in e.body.get("segments", {}).values()}
        files = {str(p.relative_to(manifest.lake)) for p in manifest.lake.rglob("*.parquet")}
        assert files == named
