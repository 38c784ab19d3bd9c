"""What went wrong, in one sentence and one exit code; a traceback only ever in a file."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tupana_etl.cli import output
from tupana_etl.errors import ApiError, TupanaError

INTERRUPTED = 130
BUG = 70

_SECRETS = ("TUPANA_API_KEY", "TUPANA_WEBHOOK_SECRET")

_DISK = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "The disk quota is used up",
    errno.EFBIG: "A file may not grow as large as it has to",
    errno.EACCES: "Permission denied",
    errno.EPERM: "Permission denied",
    errno.EROFS: "The file system is read-only",
    errno.EIO: "The disk failed",
    errno.EMFILE: "Too many files are open",
}
"""What the machine may refuse: no bug of ours, and nothing a traceback would explain."""


def report(error: BaseException, words: list[str], *, as_json: bool) -> int:
    """Tells what happened, on stdout as JSON or on stderr for people; the exit code."""
    told, code = _told(error, words)
    if as_json:
        output.write_json({"error": {**told, "exit_code": code}})
    else:
        output.note(output.paragraph(told["message"], first="tupana: "))
    return code


def _told(error: BaseException, words: list[str]) -> tuple[dict[str, Any], int]:
    if isinstance(error, TupanaError):
        return _of_ours(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        message = "Interrupted; run the same command again, it goes on where it was."
        return {"kind": "Interrupted", "message": message}, INTERRUPTED
    if isinstance(error, OSError) and error.errno in _DISK:
        return {"kind": "DiskError", "message": _disk(error)}, 1
    return _bug(error, words), BUG


def _of_ours(error: TupanaError) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, ApiError):
        for name in ("status", "code", "request_id", "company", "document"):
            if getattr(error, name) is not None:
                told[name] = getattr(error, name)
    return told


def _disk(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    cure = "Free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "See to that"
    return (
        f"{_DISK[error.errno or 0]}{where}. {cure} and run the same command again: what was "
        "committed is safe, and it goes on from there."
    )


def _bug(error: BaseException, words: list[str]) -> dict[str, Any]:
    told = {"kind": type(error).__name__}
    text = redacted("".join(traceback.format_exception(error)))
    head = f"tupana {output.version()}, Python {sys.version}, {sys.platform}\n{words}\n\n"
    file = _keep(redacted(head) + text)
    if file is None:
        told["message"] = f"This is a bug of ours ({told['kind']}), and nowhere to write it down."
    else:
        told["message"] = (
            f"This is a bug of ours ({told['kind']}). What happened is in {file}: please send "
            "it to the maintainers; keys are taken out of it."
        )
        told["file"] = str(file)
    return told


def _keep(text: str) -> Path | None:
    """Writes the crash into the home, or beside other temporary files."""
    name = f"crash-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.txt"
    for folder in (Path(os.environ.get("TUPANA_HOME") or "tupana_home"), _temporary()):
        try:
            handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError:
            continue
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        return (folder / name).absolute()
    return None


def _temporary() -> Path:
    return Path(tempfile.gettempdir())


def redacted(text: str) -> str:
    """The text without the key and the webhook secrets of the environment and ``.env``."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return text


def _secrets() -> set[str]:
    values = [os.environ.get(name, "") for name in _SECRETS]
    try:
        from dotenv import dotenv_values  # noqa: PLC0415 - only when something crashed

        values += [dotenv_values(".env").get(name) or "" for name in _SECRETS]
    except (ImportError, OSError, ValueError):
        pass
    parts = (part.strip() for value in values for part in value.split(","))
    bare = (part.removeprefix("Api-Key ").strip() for part in parts)
    return {part for part in bare if len(part) > 3}
