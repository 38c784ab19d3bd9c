"""Singer: the tap piped into target-duckdb, whose last state line is kept for the next run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WORK = Path(os.environ["BENCH_WORK"])
TAP = Path(__file__).parent / "tap.py"


def main() -> int:
    state, config, target = WORK / "state.json", WORK / "config.json", WORK / "target.json"
    config.write_text("{}")
    told = {"filepath": str(WORK / "singer.duckdb"), "default_target_schema": "bench"}
    target.write_text(json.dumps(told))
    known = ["--state", str(state)] if state.exists() else []
    tap = subprocess.Popen(
        [sys.executable, str(TAP), "--config", str(config), *known],
        stdout=subprocess.PIPE,
    )
    into = [str(Path(sys.executable).with_name("target-duckdb")), "--config", str(target)]
    done = subprocess.run(into, stdin=tap.stdout, stdout=subprocess.PIPE, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if lines:
        state.write_text(lines[-1])
    return tap.wait() or done.returncode


if __name__ == "__main__":
    sys.exit(main())
