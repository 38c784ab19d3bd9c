"""What ``tupana doctor`` asks of the machine and of the settings."""

from __future__ import annotations

import os
import platform
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from tupana_etl.cli.overview import version
from tupana_etl.settings import DEFAULT_BASE_URL, Settings

LOW_DISK = 2 * 1024**3
"""Bytes below which a warning is due: warehouse, its copy and the lake grow together."""

USED = ("duckdb", "pyarrow", "httpx", "dagster")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    level: Literal["ok", "warn", "fail"]
    found: str
    to_do: str = ""
    code: int = 0
    """Exit code it asks for: 2 the user must act, 1 it may pass by itself."""

    def __post_init__(self) -> None:
        if self.level == "fail" and not self.code:
            object.__setattr__(self, "code", 2)


def check_machine() -> Iterator[Check]:
    """The system and the versions of what matters."""
    yield Check("system", "ok", f"{platform.system()} {platform.machine()}")
    yield Check("python", "ok", platform.python_version())
    used = ", ".join(f"{name} {metadata.version(name)}" for name in USED)
    yield Check("versions", "ok", f"tupana-etl {version()}, {used}")


def check_settings(configured: Settings) -> Iterator[Check]:
    """Key, address and home. The key itself is never shown."""
    if configured.api_key:
        yield Check("key", "ok", f"set, {len(configured.api_key)} characters (not shown)")
    else:
        yield Check(
            "key", "fail", "not set", "Set TUPANA_API_KEY, or try `tupana demo`, which needs none."
        )
    usual = "" if configured.base_url == DEFAULT_BASE_URL else " (TUPANA_BASE_URL)"
    yield Check("server", "ok", f"{configured.base_url}{usual}")
    yield from _check_home(configured.home)


def _check_home(home: Path) -> Iterator[Check]:
    there = next(p for p in (home, *home.parents) if p.exists())
    if not home.exists() and os.access(there, os.W_OK | os.X_OK):
        yield Check("home", "ok", f"{home} (made by the first sync)")
    elif not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Check(
            "home",
            "fail",
            f"{home} is not writable by you",
            "Set TUPANA_HOME to a folder of your own.",
        )
    elif stat.S_IMODE(home.stat().st_mode) & 0o077:
        yield Check(
            "home",
            "warn",
            f"{home} is open to other users of this machine",
            f"It holds tax data: chmod 700 '{home}'",
        )
    else:
        yield Check("home", "ok", f"{home}, private")
    free = shutil.disk_usage(there).free
    text = f"{free / 1024**3:.1f} GB free".replace(".", ",")
    if free < LOW_DISK:
        yield Check("disk", "warn", text, "A sync needs about three times the data's size.")
    else:
        yield Check("disk", "ok", text)
