"""``make dev``: the Dagster UI on this machine, on real data or on the demo's."""

import os
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from dagster_project.resources import origin
from tupana_etl import settings as configuration
from tupana_etl.errors import TupanaError
from tupana_etl.home import prepare

HOST = "127.0.0.1"  # the UI has no login
FIRST_PORT = 3000
HERE = Path(__file__).parent


def main(arguments: Sequence[str]) -> None:
    """Replaces this process by ``dagster dev``."""
    try:
        home = instance(configuration.load().home)
    except TupanaError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    port = free_port()
    sys.stdout.write(f"{origin()}\nDagster opens at http://{HOST}:{port} in some 15 seconds.\n")
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
