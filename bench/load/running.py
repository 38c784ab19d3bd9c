"""Starts the load server in a process of its own, and speaks with it."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

from bench.load.app import Counts
from bench.load.world import World

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """A running load server; ``world`` is the runner's own view of the same file."""

    url: str
    world: World
    pid: int

    def set(self, **values: float) -> None:
        """Sets the mood (:class:`bench.load.app.Mood`, ``first``, ``last``); counts begin anew."""
        self._ask("set", {key: str(value) for key, value in values.items()})
        self.world.first = int(values.get("first", self.world.first))
        self.world.last = int(values.get("last", self.world.last))

    def flip(self, numbers: list[int]) -> None:
        self._ask("flip", {"numbers": ",".join(map(str, numbers))})
        for number in numbers:
            self.world.flip(number)

    def counts(self) -> Counts:
        return self._ask("counts", {})

    def _ask(self, what: str, asked: dict[str, str]) -> Counts:
        url = f"{self.url}/bench/{what}?{urlencode(asked)}"
        with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - our own server
            return Counts(**json.load(answer))


@contextmanager
def load_server(folder: Path, documents: int, *, traces: bool = True) -> Iterator[Server]:
    """A load server while the block runs; its documents stay in ``folder`` for the day."""
    today = datetime.now(UTC).date()
    kind = "embedded" if traces else "none"
    world = World(folder / f"{today}-{documents}-{kind}.json", documents, today, traces)
    asked = [str(world.path), str(documents), "--traces", kind]
    with subprocess.Popen(
        [sys.executable, "-m", "bench.load", *asked],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise SystemExit("The load server did not start; its reason stands above.")
        try:
            yield Server(url, world, process.pid)
        finally:
            process.communicate()
