"""Runs senders in processes of their own, quickly: imports once, forks for each.

Reads one JSON object a line (home, url, key; failpoint, wait, settle, interrupt) and
answers with how the child ended: an exit code, or minus the signal that killed it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tupana_etl.outbox import failpoints
from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.send import Ways, send
from tupana_etl.settings import Settings


def run_one(order: dict[str, Any]) -> int:
    os.environ[failpoints.VARIABLE] = order.get("failpoint", "")
    if order.get("interrupt"):
        failpoints.watch = interrupt
    settings = Settings(
        api_key=order["key"],
        base_url=order["url"],
        home=Path(order["home"]),
        max_concurrency=order.get("most", 8),
    )
    pace = Pace(settle=order.get("settle", 0.05), poll=0.02)
    result = asyncio.run(send(settings, wait=order.get("wait", 20.0), ways=Ways(pace=pace)))
    return 0 if result.complete else 1


def interrupt(stage: str) -> None:
    """Ctrl-C, once the whole request is out and before its answer."""
    if stage == "send_request_body.complete":
        os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = run_one(order)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
