"""Who runs: floors, ours and the peers, each a command with its own environment."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.load.app import KEY

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "bench" / "peers"
BUILD = ROOT / "build" / "bench"


@dataclass(frozen=True)
class Contestant:
    """One way to bring documents from the API into a DuckDB file."""

    key: str
    name: str
    """As tables show it."""
    kind: str
    """floor, ours or peer."""
    command: tuple[str, ...]
    """Arguments of Python."""
    peer: str = ""
    """Folder of ``bench/peers`` with its requirements; empty is the project's own environment."""
    parallel: bool = False
    """Keeps many requests in flight; the others read one page after another."""
    file: str = ""
    """DuckDB file below its working folder; empty for one that keeps nothing."""
    table: str = "documents"

    @property
    def own_mode(self) -> str:
        """How its documentation has it read again: whoever has a cursor uses it."""
        return "cursor" if self.kind == "peer" and not self.parallel else "windows"

    @property
    def python(self) -> Path:
        return BUILD / f"venv-{self.peer}" / "bin" / "python" if self.peer else Path(sys.executable)

    def environ(self, url: str, work: Path, in_flight: int, mode: str) -> dict[str, str]:
        """Everything a contestant is told; ``mode`` is windows, cursor or own."""
        mode = self.own_mode if mode == "own" else mode
        return {
            # An installed package is compiled; a tree that may not keep what it compiles is not.
            "PYTHONDONTWRITEBYTECODE": "",
            "BENCH_URL": url,
            "BENCH_WORK": str(work),
            "BENCH_IN_FLIGHT": str(in_flight),
            "BENCH_MODE": mode,
            "PYTHONPATH": str(ROOT),
            "TUPANA_API_KEY": KEY,
            "TUPANA_BASE_URL": f"{url}/v1",
            "TUPANA_HOME": str(work / "home"),
            "TUPANA_MAX_CONCURRENCY": str(in_flight),
            "DAGSTER_HOME": str(work),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "DO_NOT_TRACK": "1",
            "AIRBYTE_OFFLINE_MODE": "1",
            **_TUNED.get(self.key, {}),
        }


_TUNED = {
    "dlt-tuned": {
        "NORMALIZE__WORKERS": "2",
        "EXTRACT__DATA_WRITER__FILE_MAX_ITEMS": "10000",
    },
    "dlt-states": {"EXTRACT__WORKERS": "32", "NORMALIZE__WORKERS": "2"},
}


def _ours(key: str, name: str, *command: str) -> Contestant:
    file, table = "home/warehouse.duckdb", "raw.documents"
    return Contestant(key, name, "ours", command, parallel=True, file=file, table=table)


def _peer(key: str, name: str, how: str, *, parallel: bool = False) -> Contestant:
    peer = key.partition("-")[0]
    command, file = (str(PEERS / peer / "run.py"), how), f"{peer}.duckdb"
    table = "documents" if peer == "sdk" else "bench.documents"
    return Contestant(key, name, "peer", command, peer, parallel, file, table)


def _floor(key: str, name: str, file: str = "") -> Contestant:
    command = ("-m", "bench.floors", key.removeprefix("floor-"))
    return Contestant(key, name, "floor", command, parallel=True, file=file)


OURS = _ours("ours", "Tupana ETL, all streams", "-m", "bench.ours")
# What floors and peers read, and nothing else.
DOCUMENTS = _ours("ours-documents", "Tupana ETL, documents only", "-m", "bench.ours", "documents")
# After a sync, in its home.
HELP = _ours("ours-help", "`tupana --help`", "-m", "tupana_etl", "--help")
QUERY = _ours("ours-query", "`tupana query`", "-m", "tupana_etl", "query", "SELECT 1")
MARTS = _ours("ours-rebuild", "`tupana marts`", "-m", "tupana_etl", "marts")
WHOLE = _ours("ours-marts", "`tupana sync`: tables, models, published", "-m", "tupana_etl", "sync")
AGAIN = _ours("ours-again", "`tupana sync` once more", "-m", "tupana_etl", "sync")
_MATERIALIZE = ("-m", "dagster", "asset", "materialize", "-m", "dagster_project.definitions")
EVERYTHING = _ours(
    "ours-dagster-all", "the same and the reports, by Dagster", *_MATERIALIZE, "--select", "*"
)
DAGSTER = _ours(
    "ours-dagster", "the same, by Dagster", *_MATERIALIZE, "--select", "not group:reports"
)
AFTER_SYNC = (AGAIN, EVERYTHING, DAGSTER, MARTS, QUERY, HELP)
OUTBOX = (
    _ours("ours-plan", "`tupana outbox plan`"),
    _ours("ours-send", "`tupana outbox send`: sent, followed, read back"),
    _ours("ours-status", "`tupana outbox status`"),
)

ALL = {
    c.key: c
    for c in (
        _floor("floor-fetch", "floor: fetched, thrown away"),
        _floor("floor-insert", "floor: fetched, decoded, inserted", "floor.duckdb"),
        _floor("floor-states", "floor: one request a document, thrown away"),
        OURS,
        DOCUMENTS,
        WHOLE,
        *AFTER_SYNC,
        *OUTBOX,
        _peer("dlt-arrow", "dlt, own parallel pages to Arrow", "arrow", parallel=True),
        _peer("dlt-children", "dlt, the same, children as tables", "children", parallel=True),
        _peer("dlt-tuned", "dlt REST source, tuned", "tuned"),
        _peer("dlt-documented", "dlt REST source, defaults", "documented"),
        _peer("dlt-states", "dlt REST source, states in parallel", "states", parallel=True),
        _peer("sdk", "tupana SDK + pandas", "loop"),
        _peer("sdk-states", "tupana SDK, states one by one", "states"),
        _peer("singer", "Singer SDK + target-duckdb", "sync"),
        _peer("airbyte", "Airbyte CDK (PyAirbyte)", "sync"),
    )
}


def set_up(peer: str) -> None:
    """Makes the environment of a peer from its hash-checked lock, unless it is there."""
    lock, venv = PEERS / peer / "requirements.lock", BUILD / f"venv-{peer}"
    stamp, wanted = venv / ".ready", lock.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(f"Installing {peer} into {venv.relative_to(ROOT)} ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", "--require-hashes"]
    subprocess.run([*pip, "--no-deps", "-r", str(lock)], check=True)
    stamp.write_text(wanted, encoding="utf-8")
