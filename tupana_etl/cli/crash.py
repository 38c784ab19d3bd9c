"""What a bug of ours leaves behind: a file with the traceback, and no key in it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from dotenv import dotenv_values

from tupana_etl.cli.overview import version

_SECRETS = (
    *("TUPANA_API_KEY", "TUPANA_WEBHOOK_SECRET"),
    *("TUPANA_SII_PASSWORD", "TUPANA_CERTIFICATE_PASSWORD"),
)


def told(error: BaseException, words: list[str]) -> dict[str, str]:
    """One sentence about an error nobody expected, and the file with its traceback."""
    about = {"kind": type(error).__name__}
    text = redacted("".join(traceback.format_exception(error)))
    head = f"tupana {version()}, Python {sys.version}, {sys.platform}\n{words}\n\n"
    file = _keep(redacted(head) + text)
    if file is None:
        about["message"] = f"This is a bug of ours ({about['kind']}), and nowhere to write it down."
    else:
        about["message"] = (
            f"This is a bug of ours ({about['kind']}). What happened is in {file}: please send "
            "it to the maintainers; keys are taken out of it."
        )
        about["file"] = str(file)
    return about


def _keep(text: str) -> Path | None:
    """Writes the crash into the home, or beside other temporary files."""
    name = f"crash-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.txt"
    home = Path(os.environ.get("TUPANA_HOME") or "tupana_home")
    for folder in (home, Path(tempfile.gettempdir())):
        file = folder / name
        try:
            file.touch(0o600, exist_ok=False)
            file.write_text(text, encoding="utf-8")
        except OSError:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
            continue
        return file.absolute()
    return None


def redacted(text: str) -> str:
    """The text without the key and the webhook secrets of the environment and ``.env``."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text


def _secrets() -> set[str]:
    values = [os.environ.get(name, "") for name in _SECRETS]
    with contextlib.suppress(OSError, ValueError):
        values += [dotenv_values(".env").get(name) or "" for name in _SECRETS]
    parts = (part.strip() for value in values for part in value.split(","))
    bare = (part.removeprefix("Api-Key ").strip() for part in parts)
    return {part for part in bare if len(part) > 3}
