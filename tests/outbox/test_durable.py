"""The order of things as the kernel saw it: the attempt is on disk before a byte leaves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tupana_etl.outbox.states import State
from tupana_etl.sandbox.server import DEMO_KEY

from .desk import REPO, Desk, open_desk

TRACED = "fsync,fdatasync,pwrite64,write,sendto,sendmsg,unlink"


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="tupana-strace-"))
    with open_desk(folder) as opened:
        yield opened
    shutil.rmtree(folder)


def traced(desk: Desk, home: Path, log: Path) -> list[str]:
    """System calls of a whole send, one request at a time, in the order of the kernel."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed, so the order of system calls cannot be seen")
    order = {"home": str(home), "url": desk.url, "key": DEMO_KEY, "most": 1}
    looking = [strace, "-f", "-y", "-s", "64", "-e", f"trace={TRACED}", "-o", str(log)]
    done = subprocess.run(  # noqa: S603
        [*looking, sys.executable, "-m", "tests.outbox.forker"],
        cwd=REPO,
        input=json.dumps(order) + "\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "ptrace" in done.stderr and "permitted" in done.stderr:
        pytest.skip("this machine does not let strace look: " + done.stderr.strip())
    assert done.stdout.strip() == "0", done.stderr
    return log.read_text(encoding="utf-8", errors="replace").splitlines()


def test_every_post_leaves_after_its_attempt_is_on_disk(desk: Desk, tmp_path: Path) -> None:
    home = desk.home()
    desk.approve(home, "a", "b")
    desk.approve(home, "c", issuer=desk.issuers[1])
    calls = traced(desk, home, tmp_path / "strace.log")
    assert set(desk.states(home).values()) == {State.VERIFIED}
    commits, unsynced = 0, False
    before: list[int] = []
    for call in calls:
        if re.search(r"pwrite64\(\d+<[^>]*/ledger\.sqlite>", call):
            unsynced = True
        elif re.search(r"f(data)?sync\(\d+<[^>]*/ledger\.sqlite>", call):
            commits, unsynced = commits + 1, False
        elif re.search(r'(sendto|sendmsg|write)\(\d+<[^>]*>, "POST /', call):
            assert not unsynced, "a POST left while the ledger was not on disk"
            before.append(commits)
            commits = 0
    assert len(before) == 2
    # Between two POSTs: the answer to the first, and the attempt of the second.
    assert before[1] == 2, "a POST left before its attempt was on disk"
