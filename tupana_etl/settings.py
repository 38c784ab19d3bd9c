"""Settings: environment variables, with a ``.env`` in the working directory below them.

One frozen object is read once and handed down; nothing else in the package looks at the
environment. ``.env.example`` lists every variable.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from tupana_etl.errors import ConfigError

DEFAULT_BASE_URL = "https://api.tupana.ai/v1"
ENVIRONMENTS = ("sandbox", "production")


@dataclass(frozen=True)
class Settings:
    """Where from, where to and how hard. Secrets do not show in ``repr``."""

    api_key: str = field(default="", repr=False)
    base_url: str = DEFAULT_BASE_URL
    home: Path = Path("tupana_home")
    entities: tuple[str, ...] = ()
    """RUTs or ids as the user wrote them; empty means every company of the key."""
    start_date: date | None = None
    """Oldest issue date to read; None means 24 months before the first sync."""
    max_concurrency: int = 8
    environment: str = ""
    """A label only: what the key really is must be proven."""
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    publish: Path | None = None
    """Where analytics.duckdb is published; None means inside the home."""
    publish_group: str = ""
    """Unix group that may read what is published; empty means this user alone."""

    @property
    def analytics(self) -> Path:
        """The published database that people open."""
        if self.publish is None:
            return self.home / "analytics.duckdb"
        return self.publish if self.publish.suffix else self.publish / "analytics.duckdb"

    @property
    def warehouse(self) -> Path:
        """The writer's own database; nobody else opens it."""
        return self.home / "warehouse.duckdb"

    @property
    def lake(self) -> Path:
        return self.home / "lake"

    def need_key(self) -> Settings:
        """Self, or a ConfigError that says how to set a key."""
        if not self.api_key:
            raise ConfigError(
                "No API key. Set TUPANA_API_KEY in the environment or in .env "
                "(see .env.example), or run `tupana demo`, which needs none."
            )
        return self

    def with_home(self, home: Path) -> Settings:
        return replace(self, home=home)


def load(environ: Mapping[str, str] | None = None, directory: Path | None = None) -> Settings:
    """Settings from the environment, with ``.env`` of ``directory`` for what it lacks.

    Raises ConfigError naming the variable that is wrong, what it holds (never for
    secrets) and what it may hold.
    """
    refuse_windows()
    given = os.environ if environ is None else environ
    dotenv = dotenv_values((directory or Path.cwd()) / ".env")
    values = {k: v for k, v in dotenv.items() if v is not None} | dict(given)

    def text(name: str, default: str = "") -> str:
        return values.get(name, "").strip() or default

    def several(name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text(name).split(",") if part.strip())

    environment = text("TUPANA_ENVIRONMENT")
    if environment and environment not in ENVIRONMENTS:
        raise ConfigError(
            f"TUPANA_ENVIRONMENT is {environment!r}; it may be sandbox, production or empty."
        )
    publish = text("TUPANA_PUBLISH")
    return Settings(
        api_key=_key(text("TUPANA_API_KEY")),
        base_url=_base_url(text("TUPANA_BASE_URL", DEFAULT_BASE_URL)),
        home=_path(text("TUPANA_HOME", "tupana_home"), "TUPANA_HOME"),
        entities=several("TUPANA_ENTITIES"),
        start_date=parse_date(text("TUPANA_START_DATE"), "TUPANA_START_DATE"),
        max_concurrency=_whole("TUPANA_MAX_CONCURRENCY", text("TUPANA_MAX_CONCURRENCY", "8")),
        environment=environment,
        webhook_secrets=several("TUPANA_WEBHOOK_SECRET"),
        publish=_path(publish, "TUPANA_PUBLISH") if publish else None,
        publish_group=_group(text("TUPANA_PUBLISH_GROUP"), publish),
    )


def parse_date(text: str, name: str) -> date | None:
    """``YYYY-MM-DD``, or None for empty text; ConfigError names ``name``."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    # fromisoformat also takes 20250131 and 2025-W05.
    if day is None or day.isoformat() != text:
        raise ConfigError(f"{name} is {text!r}; write it as YYYY-MM-DD.")
    return day


def refuse_windows() -> None:
    if platform.system() == "Windows":
        raise ConfigError(
            "Tupana ETL runs on Linux and macOS. On Windows, use WSL: "
            "its locks and atomic renames are what keeps the data safe."
        )


def _key(text: str) -> str:
    """The bare key: people paste it with the header's prefix, or with stray characters."""
    key = text.removeprefix("Api-Key ").strip()
    if any(not 32 < ord(c) < 127 for c in key):
        raise ConfigError(
            "TUPANA_API_KEY holds a space or a character that no key has; copy it again."
        )
    return key


def _base_url(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"TUPANA_BASE_URL is {text!r}; it must be an http(s) URL.")
    if parts.scheme == "http" and not local:
        raise ConfigError(
            "TUPANA_BASE_URL is plain http to another machine: the key would travel in the "
            "open. Use https."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError("TUPANA_BASE_URL may hold no user, password, query or fragment.")
    return text.rstrip("/")


def _path(text: str, name: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f"{name} is {text!r}; there is no such user.") from None


def _group(name: str, publish: str) -> str:
    """A group needs a place outside the home, where only the user goes."""
    if name and not publish:
        raise ConfigError(
            "TUPANA_PUBLISH_GROUP is set and TUPANA_PUBLISH is not: nobody else can enter the "
            "home. Set TUPANA_PUBLISH to a folder that the group may enter."
        )
    return name


def _whole(name: str, text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise ConfigError(f"{name} is {text!r}; it must be a whole number from 1 to 64.")
    return int(text)
