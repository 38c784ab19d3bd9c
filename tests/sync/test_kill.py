"""kill -9 at any moment, then a plain sync: the same tables, nothing asked twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tupana_etl.lake.manifest import Manifest
from tupana_etl.sandbox.server import DEMO_KEY

from .helpers import Site, differences, site

IN_SHORT, IN_LONG = 4, 30


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


@pytest.mark.parametrize("seed", seeds())
def test_a_killed_sync_goes_on_where_it_was(tmp_path: Path, seed: int) -> None:
    moment = random.Random(seed)
    with site(tmp_path, documents=300, latency_ms=15) as here:
        if moment.random() < 0.5:
            here.sync()
            for row in here.truth("documents")[:5]:
                here.admin("pay", document_id=int(row["id"]))
        process = start(here)
        time.sleep(moment.uniform(0.4, 3.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert start(here).wait(timeout=60) == 0
        assert differences(here) == {}
        assert asked_twice(here) == []
        assert not [p for p in here.settings.home.rglob("*") if p.name.endswith(".tmp")]
        manifest = Manifest(here.settings.lake)
        named = {s["path"] for e in manifest.entries() for s in e.body.get("segments", {}).values()}
        files = {str(p.relative_to(manifest.lake)) for p in manifest.lake.rglob("*.parquet")}
        assert files == named
