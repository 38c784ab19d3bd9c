"""The manifest: one line of JSON per thing that became true, in order, append-only.

Files that no line names are not part of the lake. A line is a commit: it is appended and
fsynced after its segments are durable. A crash in the middle of a line leaves a tail
without a newline, which the next writer cuts off. Only the run that holds the home's
lock appends.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tupana_etl.errors import LakeCorrupt
from tupana_etl.lake.segments import make_private, sync_folder


@dataclass(frozen=True)
class Entry:
    """A line: its number from 1, what it is (``run``, ``window`` or ``end``), its fields."""

    seq: int
    kind: str
    body: dict[str, Any]


class Manifest:
    """Reads and appends ``lake/manifest.jsonl``."""

    def __init__(self, lake: Path) -> None:
        self.lake = lake
        self.path = lake / "manifest.jsonl"
        self._next = 0

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Committed entries with ``seq > after``. Raises LakeCorrupt on a broken line."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            for seq, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    return
                if seq > after:
                    yield self._entry(seq, line)

    def _entry(self, seq: int, line: bytes) -> Entry:
        try:
            body = msgspec.json.decode(line, type=dict[str, Any])
            return Entry(seq, body.pop("kind"), body)
        except (msgspec.DecodeError, KeyError) as error:
            raise LakeCorrupt(
                f"{self.path} line {seq} is damaged ({error}). Restore the file from a copy; "
                "nothing was changed."
            ) from None

    def lines(self) -> int:
        """Committed entries."""
        return self.path.read_bytes().count(b"\n") if self.path.exists() else 0

    def open_for_append(self) -> None:
        """Cuts off a torn last line and counts the rest. Call once, holding the lock."""
        make_private(self.lake, self.lake.parent)
        if not self.path.exists():
            self.path.touch(mode=0o600)
            sync_folder(self.lake)
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)
        self._next = data.count(b"\n", 0, whole) + 1

    def append(self, kind: str, body: dict[str, Any]) -> Entry:
        """Commits one entry durably."""
        if not self._next:
            raise RuntimeError("open_for_append was not called")
        line = msgspec.json.encode({"kind": kind, **body}) + b"\n"
        size = self.path.stat().st_size
        try:
            with self.path.open("ab") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            # A full disk leaves half a line; nothing may ever be appended to that.
            os.truncate(self.path, size)
            raise
        entry = Entry(self._next, kind, msgspec.json.decode(msgspec.json.encode(body)))
        self._next += 1
        return entry
