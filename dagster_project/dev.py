"""``make dev``: the Dagster UI on this machine, on real data or on the demo's."""

import os
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from dagster_project.resources import origin
from tupana_etl import settings as configuration
from tupana_etl.errors import LockHeld, TupanaError
from tupana_etl.home import prepare

HOST = "127.0.0.1"  # the UI has no login
FIRST_PORT = 3000
HERE = Path(__file__).parent


def main(arguments: Sequence[str]) -> None:
    """Replaces this process by ``dagster dev``."""
    port = arguments[arguments.index("-p") + 1] if "-p" in arguments[:-1] else free_port()
    url = f"http://{HOST}:{port}"
    try:
        home = instance(configuration.load().home)
        alone(home, url)
    except TupanaError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(f"{origin()}\nDagster opens at {url} in some 15 seconds.\n")
    sys.stdout.flush()
    command = ["-m", "dagster", "dev", *target(), "-h", HOST, "-p", str(port), *arguments]
    os.environ["DAGSTER_HOME"] = str(home)
    os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 - no shell, our own words


def instance(home: Path) -> Path:
    """Dagster's folder in the home, for this user alone: previews hold people's data."""
    folder = home / "dagster"
    for private in (home, folder):
        prepare(private)
    if not (folder / "dagster.yaml").exists():
        shutil.copyfile(HERE / "instances/local/dagster.yaml", folder / "dagster.yaml")
    return folder


def alone(folder: Path, url: str) -> None:
    """Holds the instance for as long as ``dagster dev`` runs: two daemons on one instance
    would both start what is scheduled. Raises LockHeld that says where it is open."""
    import fcntl  # noqa: PLC0415 - not on Windows, which settings refuse with a sentence

    handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        where = os.read(handle, 100).decode()
        os.close(handle)
        raise LockHeld(f"Dagster is open on this home already: {where}") from None
    os.truncate(handle, 0)
    os.write(handle, url.encode())
    os.set_inheritable(handle, True)  # kept by the process that takes this one's place


def target() -> list[str]:
    """The workspace of the repository; without one (an installed wheel), the module."""
    workspace = HERE.parent / "workspace.yaml"
    if workspace.exists():
        return ["-w", str(workspace)]
    return ["-m", "dagster_project.definitions"]


def free_port() -> int:
    """The first port from 3000 that nobody has."""
    for port in range(FIRST_PORT, FIRST_PORT + 20):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex((HOST, port)) != 0:
                return port
    return FIRST_PORT


if __name__ == "__main__":
    main(sys.argv[1:])
