"""``tupana sandbox``: the API on this machine until Ctrl-C."""

from __future__ import annotations

import argparse
import hashlib
import signal
import threading
from pathlib import Path

from tupana_etl import home, settings
from tupana_etl.cli import output
from tupana_etl.errors import ConfigError
from tupana_etl.sandbox import draws, faults, server
from tupana_etl.sandbox.faults import Fault
from tupana_etl.sandbox.server import DEMO_KEY, PRODUCTION_KEY, World


def run(args: argparse.Namespace) -> int:
    world = World(
        documents=args.documents,
        seed=args.seed,
        list_rows=args.list,
        latency_ms=args.latency,
        contract=args.contract,
        load=_folder(args.load) if args.load else None,
        faults=_faults(args.faults or []),
    )
    # One file per world: a file that is there is served as it is, whatever was asked for.
    database = settings.load().home / "sandbox" / f"{_name(world)}.sqlite"
    make_world(database, world)
    with server.running(database, world, port=args.port) as url:
        if args.json:
            output.write_json({"url": url, "key": DEMO_KEY, "database": str(database)})
        else:
            _tell(url, database)
        _until_stopped()
    output.note("The sandbox has ended; its world is kept.")
    return 0


def make_world(database: Path, world: World) -> None:
    """Builds a world that is not there yet, for this user alone."""
    folder = database.parent
    for level in (folder.parent, folder):
        home.prepare(level)
    server.build(world, database)
    database.chmod(0o600)  # SQLite gives the files beside it the same mode


def _name(world: World) -> str:
    name = f"{world.documents}-documents-seed-{world.seed}"
    if world.load is None:
        return name
    listing = [(f.name, f.read_bytes()) for f in sorted(world.load.glob("*.xml"))]
    digest = hashlib.sha256(repr(listing).encode()).hexdigest()[:12]
    return f"{name}-load-{digest}"


def _faults(wanted: list[str]) -> tuple[Fault, ...]:
    found: list[Fault] = []
    for text in wanted:
        name, _, seed = text.partition("=")
        try:
            if name in {"reading", "writing"}:
                number = int(seed)
                found += draws.reading(number, []) if name == "reading" else draws.writing(number)
            else:
                found.append(faults.written(text))
        except ValueError as wrong:
            raise ConfigError(f"--faults {text!r}: {wrong}.") from None
    return tuple(found)


def _folder(text: str) -> Path:
    folder = Path(text).expanduser().absolute()
    if not folder.is_dir():
        raise ConfigError(f"--load {text!r} is not a folder.")
    return folder


def _tell(url: str, database: Path) -> None:
    output.write(f"The sandbox answers at {url}")
    output.write(f"Its world is in {database}")
    output.write()
    output.write("In another terminal:")
    output.write(f"  export TUPANA_BASE_URL={url}")
    output.write(f"  export TUPANA_API_KEY={DEMO_KEY}")
    output.write("  tupana sync")
    output.write()
    output.write(f"Or {PRODUCTION_KEY}, which issues with numbers as folios.")
    output.write("Use a home of its own (TUPANA_HOME): one home belongs to one account.")
    output.write("Ctrl-C ends it.")
    output.finish()


def _until_stopped() -> None:
    """Ctrl-C and SIGTERM both end it; neither is a failure here."""
    stopped = threading.Event()
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda *_: stopped.set())
    stopped.wait()
