"""What went wrong, in one sentence and one exit code; a traceback only ever in a file."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from tupana_etl.cli import output
from tupana_etl.errors import ApiError, TupanaError

INTERRUPTED = 130
BUG = 70

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
    if disk := _disk(error):
        return {"kind": "DiskError", "message": disk}, 1
    crash = import_module("tupana_etl.cli.crash")  # what only a bug needs
    told: dict[str, Any] = crash.told(error, words)
    return told, BUG


def _of_ours(error: TupanaError) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, ApiError):
        for name in ("status", "code", "request_id", "company", "document"):
            if getattr(error, name) is not None:
                told[name] = getattr(error, name)
    return told


def _disk(error: BaseException) -> str | None:
    """What the machine refused, also when another error came of it (a failed rollback).

    DuckDB's errors carry the system's words and no number.
    """
    for each in _chain(error):
        code = each.errno if isinstance(each, OSError) else None
        if code not in _DISK and "duckdb" in type(each).__module__:
            code = next((n for n in _DISK if os.strerror(n) in str(each)), None)
        if code in _DISK:
            where = getattr(each, "filename", None)
            return (
                f"{_DISK[code]}{f' ({where})' if where else ''}. See to that and run the same "
                "command again: what was committed is safe, and it goes on from there."
            )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
