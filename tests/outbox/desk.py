"""The sandbox over real HTTP, homes with approved rows, and senders that can be killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tupana_etl.domain import today, utcnow
from tupana_etl.outbox import rows
from tupana_etl.outbox.custody import TAG_PARAM
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.states import State
from tupana_etl.sandbox.server import DEMO_KEY, World, running

from .office import put_ready

REPO = Path(__file__).parents[2]


@dataclass
class Desk:
    """A sandbox and a process that forks senders."""

    url: str
    issuers: list[str]
    """RUTs of the user's companies."""
    api: httpx.Client
    forker: subprocess.Popen[str]
    contract: str = "2026-08"
    homes: int = 0
    folder: Path = field(default_factory=Path)

    def home(self) -> Path:
        self.homes += 1
        return self.folder / f"home-{self.homes}"

    def approve(self, home: Path, *row_keys: str, **document: Any) -> None:
        options = {"issuer": self.issuers[0], "date": today().isoformat(), **document}
        with open_ledger(home) as ledger:
            put_ready(ledger, dict.fromkeys(row_keys, options), utcnow())

    def send(self, home: Path, failpoint: str = "", **order: Any) -> int:
        """Exit code of a sender, or minus the signal that ended it."""
        told = {"home": str(home), "url": self.url, "failpoint": failpoint, "key": DEMO_KEY}
        assert self.forker.stdin is not None
        assert self.forker.stdout is not None
        self.forker.stdin.write(json.dumps(told | order) + "\n")
        self.forker.stdin.flush()
        return int(self.forker.stdout.readline())

    def issued(self) -> dict[str, int]:
        """Documents that exist by row tag: the oracle."""
        counts = self.api.get("/_admin/issued").json()["counts"]
        found: dict[str, int] = counts.get(TAG_PARAM, {})
        return found

    def lever(self, path: str, **body: Any) -> None:
        answer = self.api.post(f"/_admin{path}", json=body)
        assert answer.status_code == 200, answer.text

    def rows(self, home: Path) -> dict[str, rows.Intent]:
        with open_ledger(home) as ledger:
            assert rows.first_broken_event(ledger) is None
            return rows.newest(ledger)

    def states(self, home: Path) -> dict[str, State]:
        return {key: row.state for key, row in self.rows(home).items()}


@contextmanager
def open_desk(folder: Path, **world: Any) -> Iterator[Desk]:
    made = World(**{"documents": 40, "companies": 2, "months": 3, "seed": 3, **world})
    with (
        running(folder / "world.sqlite", made) as url,
        httpx.Client(
            base_url=url, headers={"Authorization": f"Api-Key {DEMO_KEY}"}, timeout=30
        ) as api,
        subprocess.Popen(
            [sys.executable, "-m", "tests.outbox.forker"],
            cwd=REPO,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as forker,
    ):
        entities = [e for c in api.get("/credentials").json() for e in c["master_entities"]]
        issuers = list(dict.fromkeys(e["tax_id"].replace(".", "") for e in entities))
        yield Desk(url, issuers, api, forker, made.contract, folder=folder)
        assert forker.stdin is not None
        forker.stdin.close()
