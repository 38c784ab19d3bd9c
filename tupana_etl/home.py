"""The home: one folder, one account, one run at a time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tupana_etl.errors import ConfigError, LockHeld, OriginError
from tupana_etl.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def prepare(home: Path) -> None:
    """Creates the home for this user alone. Raises ConfigError when it cannot be."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"TUPANA_HOME {home} cannot be created: {error.strerror}. Choose another folder."
        ) from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise ConfigError(f"TUPANA_HOME {home} is not writable by you. Choose another folder.")


@contextmanager
def lock(home: Path, wait: float, name: str = ".lock") -> Iterator[None]:
    """Holds the home; the operating system frees it if the process dies.

    ``name`` is the file that is locked: one for each thing that only one run may do.

    Raises LockHeld after ``wait`` seconds, naming the process that has it.
    """
    prepare(home)
    path = home / name
    with path.open("a+") as file:
        path.chmod(0o600)
        _acquire(file.fileno(), path, wait)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def _acquire(handle: int, path: Path, wait: float) -> None:
    import fcntl  # noqa: PLC0415 - not on Windows, which settings refuse with a sentence

    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = path.read_text().strip() or "unknown"
                raise LockHeld(
                    f"Another run (process {holder}) is using {path.parent}; waited {wait:.0f} s. "
                    "Nothing was read or written; try again when it has ended."
                ) from None
            time.sleep(min(0.2, max(deadline - time.monotonic(), 0.01)))
        else:
            return


def check_origin(settings: Settings, ruts: Iterable[str], *, pin: bool = True) -> None:
    """Pins the home to a server and its companies at the first sync, compares ever after.

    ``ruts`` are all the companies the key sees. A loopback port may change (a sandbox
    takes a free one), companies may come and go, and a new key of the same account is not
    another origin; an account that shares no company is. Without ``pin`` it only compares.
    Raises OriginError.
    """
    path = settings.home / "origin.json"
    now = {"server": _server(settings.base_url), "companies": sorted(set(ruts))}
    if not now["companies"]:
        return  # nothing to tell one account from another by
    pinned = _pinned(path)
    if pinned is not None:
        same = set(pinned["companies"]) & set(now["companies"])
        if pinned["server"] != now["server"] or not same:
            raise OriginError(
                f"{settings.home} holds data of {pinned['server']} for another account. "
                "Mixing two accounts in one home would mix their books: set TUPANA_HOME to "
                "a new folder for this one. Nothing was read or written."
            )
        now["companies"] = sorted({*pinned["companies"], *now["companies"]})
    if pin and now != pinned:
        _pin(path, now)


def _pinned(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except msgspec.DecodeError:
        raise OriginError(
            f"{path} is damaged, so it cannot be told whose data this home holds. If you are "
            "sure that it is this account's, delete that file. Nothing was read or written."
        ) from None


def _pin(path: Path, origin: dict[str, Any]) -> None:
    temporary = path.with_name(".origin.json.tmp")
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(origin))
        file.flush()
        os.fsync(file.fileno())
    temporary.chmod(0o600)
    temporary.replace(path)


def is_sandbox(home: Path) -> bool:
    """True when the home's data come from a server on this machine."""
    pinned = _pinned(home / "origin.json")
    return pinned is not None and str(pinned["server"]).startswith("loopback")


def _server(base_url: str) -> str:
    parts = urlsplit(base_url)
    if parts.hostname in LOOPBACK:
        return f"loopback{parts.path}"
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path}"
