"""What one process and all it starts cost: seconds, CPU seconds, peak memory of the tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

ROOT = Path(__file__).parents[1]
LOOK_EVERY = 0.04
"""Seconds between two looks at the memory of the tree."""
LONGEST = 1800.0


@dataclass(frozen=True)
class Cost:
    seconds: float
    cpu: float
    """User and system seconds of the process and of every child it waited for."""
    peak_mb: float
    """Most memory of the whole tree at one moment, MB of 10^6 bytes; shared pages count once
    for each process that holds them."""
    status: int


def run(
    command: Sequence[str],
    environ: Mapping[str, str],
    log: Path,
    strike: Callable[[], bool] | None = None,
) -> Cost:
    """Runs a command to its end; what it prints goes to ``log``.

    ``strike`` is asked all the time; once it says yes, the whole tree is killed (SIGKILL).
    """
    with log.open("wb") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            list(command),
            env={**os.environ, **environ},
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        memory = _Memory(process.pid)
        if strike is not None:
            Thread(target=_strike, args=(process.pid, strike, memory.done), daemon=True).start()
        _, status, used = _wait(process.pid)
        seconds = time.perf_counter() - started
        memory.stop()
        process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = max(memory.peak, 0) or used.ru_maxrss * unit
    return Cost(seconds, used.ru_utime + used.ru_stime, peak / 1e6, process.returncode)


def _wait(pid: int) -> tuple[int, int, os.struct_rusage]:  # type: ignore[name-defined]
    deadline = time.monotonic() + LONGEST
    while True:
        found = os.wait4(pid, os.WNOHANG)
        if found[0]:
            return found
        if time.monotonic() > deadline:
            os.killpg(pid, signal.SIGKILL)
            return os.wait4(pid, 0)
        time.sleep(0.005)


def _strike(pid: int, due: Callable[[], bool], done: Event) -> None:
    while not done.wait(0.01):
        if due():
            os.killpg(pid, signal.SIGKILL)
            return


class _Memory:
    """Looks at a process tree until told to stop (Linux; elsewhere the peak stays 0)."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self.done = Event()
        self._pid = pid
        self._thread = Thread(target=self._look, daemon=True)
        if Path("/proc/self/statm").exists():
            self._thread.start()

    def stop(self) -> None:
        self.done.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self.done.wait(LOOK_EVERY):
            resident = sum(_resident(pid) for pid in _tree(self._pid))
            self.peak = max(self.peak, resident * page)


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for thread in _threads(pid):
        for child in _read(thread / "children").split():
            yield from _tree(int(child))


def _resident(pid: int) -> int:
    fields = _read(Path(f"/proc/{pid}/statm")).split()
    return int(fields[1]) if len(fields) > 1 else 0


def _threads(pid: int) -> list[Path]:
    """None once the process is gone."""
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return []


def _read(path: Path) -> str:
    """Empty once the process is gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
