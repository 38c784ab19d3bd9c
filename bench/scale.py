"""Measures memory and time of each phase of a sync on a large world: `make bench-scale`.

Every phase runs in a process of its own, so that its peak is its own: intake (API to
lake), apply (lake to warehouse), marts (models and the published file), then a whole
reading again over a warehouse that knows every row. The sandbox runs in one more process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PHASES = ("intake", "apply", "marts", "intake again")


def peak_mb() -> float:
    """Most memory this process ever held, in MB of 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss begins with what the parent held when it forked
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _intake(settings: Any, *, full: bool) -> dict[str, Any]:
    from tupana_etl import home
    from tupana_etl.event_loop import run_async
    from tupana_etl.extract.bounds import bounded
    from tupana_etl.extract.intake import Order, take_in
    from tupana_etl.lake.manifest import Manifest
    from tupana_etl.pipeline import choose
    from tupana_etl.warehouse.database import writer

    order = Order(settings, choose([]), full=full)
    with home.lock(settings.home, 0), writer(settings.warehouse) as con:
        manifest = Manifest(settings.lake)
        manifest.open_for_append()
        with bounded(con) as known:
            taken = run_async(take_in(order, manifest, known, lambda *_: None))
    return {
        "requests": taken.requests,
        "rows": sum(e.body["seen"] for e in taken.entries if e.body["stream"] == "documents"),
        "complete": all(e.body["complete"] for e in taken.entries),
    }


def _apply(settings: Any) -> dict[str, Any]:
    from tupana_etl import home
    from tupana_etl.lake.manifest import Manifest
    from tupana_etl.warehouse.apply import apply
    from tupana_etl.warehouse.database import writer

    with home.lock(settings.home, 0), writer(settings.warehouse) as con:
        apply(con, Manifest(settings.lake))
        counted = con.execute("SELECT count(*) FROM raw.documents").fetchone()
    return {"rows": counted[0] if counted else 0, "requests": 0}


def _marts(settings: Any) -> dict[str, Any]:
    from tupana_etl.pipeline import rebuild_marts

    return {"rows": len(rebuild_marts(settings)), "requests": 0}


def run_phase(name: str, home: Path, url: str, connections: int) -> dict[str, Any]:
    """Runs one phase in this process and says what it took."""
    from tupana_etl import settings
    from tupana_etl.sandbox.server import DEMO_KEY

    given = {
        "TUPANA_API_KEY": DEMO_KEY,
        "TUPANA_BASE_URL": url,
        "TUPANA_HOME": str(home),
        "TUPANA_MAX_CONCURRENCY": str(connections),
    }
    phases: dict[str, Callable[[], dict[str, Any]]] = {
        "intake": lambda: _intake(loaded, full=False),
        "apply": lambda: _apply(loaded),
        "marts": lambda: _marts(loaded),
        "intake again": lambda: _intake(loaded, full=True),
    }
    loaded = settings.load(given, home.parent)
    started = time.monotonic()
    result = phases[name]()
    used = resource.getrusage(resource.RUSAGE_SELF)
    return result | {
        "phase": name,
        "seconds": round(time.monotonic() - started, 2),
        "cpu": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(peak_mb(), 1),
    }


def serve(database: Path, documents: int, latency_ms: int) -> None:
    """Serves the world on a free port until its standard input closes."""
    from tupana_etl.sandbox.server import World, running

    world = World(documents=documents, seed=1, latency_ms=latency_ms)
    with running(database, world) as url:
        print(url, flush=True)
        sys.stdin.read()


@contextmanager
def sandbox(database: Path, documents: int, latency_ms: int) -> Iterator[str]:
    """A sandbox in a process of its own while the block runs; yields its URL."""
    asked = ["serve", str(database), str(documents), str(latency_ms)]
    with subprocess.Popen(
        [sys.executable, __file__, *asked],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        url = server.stdout.readline().strip() if server.stdout else ""
        if not url:
            raise SystemExit("The sandbox did not start; its reason stands above.")
        try:
            yield url
        finally:
            server.communicate()


def measure(work: Path, args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Each phase on a fresh home, in a process of its own, one after another."""
    world = args.world or work / "world.sqlite"
    with sandbox(world, args.documents, args.latency) as url:
        for name in args.phases:
            asked = ["phase", name, str(work / "home"), url, str(args.connections)]
            done = subprocess.run(
                [sys.executable, __file__, *asked], stdout=subprocess.PIPE, text=True, check=True
            )
            yield json.loads(done.stdout)


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
        return
    if sys.argv[1:2] == ["phase"]:
        print(json.dumps(run_phase(sys.argv[2], Path(sys.argv[3]), sys.argv[4], int(sys.argv[5]))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=200_000)
    parser.add_argument("--latency", type=int, default=50, help="milliseconds an answer waits")
    parser.add_argument("--connections", type=int, default=8, help="requests in flight")
    parser.add_argument("--phases", type=_phases, default=PHASES, help="such as intake,apply")
    parser.add_argument("--world", type=Path, help="file that keeps the world for the next time")
    parser.add_argument("--json", action="store_true", help="one object per phase and line")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tupana-scale-") as folder:
        report(measure(Path(folder), args), as_json=args.json)


def _phases(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not set(names) <= set(PHASES):
        raise argparse.ArgumentTypeError(f"phases are {', '.join(PHASES)}")
    return names


def report(results: Iterator[dict[str, Any]], *, as_json: bool) -> None:
    """Prints each phase when it is done."""
    if not as_json:
        print(f"{'phase':<14}{'rows':>10}{'requests':>10}{'wall s':>9}{'CPU s':>9}{'peak MB':>9}")
    for r in results:
        line = f"{r['phase']:<14}{r['rows']:>10,}{r['requests'] or '':>10}"
        line += f"{r['seconds']:>9}{r['cpu']:>9}{r['peak_mb']:>9}"
        print(json.dumps(r) if as_json else line, flush=True)


if __name__ == "__main__":
    main()
