"""The manifest: one line of JSON per thing that became true, in order, append-only.

Files that no line names are not part of the lake. A line is a commit: it is appended and
fsynced after its segments are durable. A crash in the middle of a line leaves a tail
without a newline, which the next writer cuts off. Only the run that holds the home's
lock appends.

``manifest.jsonl`` is the tail. When it has grown and its last run has ended, it is sealed:
renamed to ``manifest-<first>-<last>.jsonl`` by the numbers of its lines, so that a run
reads what is recent however many years lie behind it. Later it is compacted
(:mod:`tupana_etl.lake.compact`) into ``….jsonl.gz``, and never written again.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from tupana_etl.errors import LakeCorrupt
from tupana_etl.lake.segments import make_private, sync_folder

SEAL_BYTES = 8_000_000
"""A tail larger than this is sealed: some hundred thousand documents read, 40 ms to parse."""

SEAL_SEGMENTS = 2_000
"""So is one that names more segments: a few seconds to put together."""

_SEALED = re.compile(r"manifest-(\d+)-(\d+)\.jsonl(\.gz)?")


@dataclass(frozen=True)
class Entry:
    """A line: its number from 1, what it is (``run``, ``resumed``, ``window`` or ``end``),
    its fields."""

    seq: int
    kind: str
    body: dict[str, Any]


@dataclass(frozen=True, order=True)
class Sealed:
    """A part of the manifest that is over, by the numbers of its lines."""

    first: int
    last: int
    path: Path

    def open(self) -> IO[bytes]:
        if self.path.suffix != ".gz":
            with suppress(FileNotFoundError):  # compressed since it was listed
                return self.path.open("rb")
        return gzip.open(self.packed, "rb")  # type: ignore[return-value] # reads bytes

    @property
    def packed(self) -> Path:
        """Its name once it is compressed."""
        return self.path.with_suffix("").with_suffix(".jsonl.gz")


class Manifest:
    """Reads and appends ``lake/manifest.jsonl``."""

    def __init__(self, lake: Path) -> None:
        self.lake = lake
        self.path = lake / "manifest.jsonl"
        self._next = 0
        self._appending = threading.Lock()
        self.on_append: Callable[[Entry], None] = _nobody
        """Told of each entry once it is durable, in order; must not wait."""

    @property
    def exists(self) -> bool:
        """Whether anything was ever begun here."""
        return self.path.exists() or bool(self._sealed())

    def entries(self, after: int = 0) -> Iterator[Entry]:
        """Committed entries with ``seq > after``. Raises LakeCorrupt on a broken line.

        Needs no lock: a seal meanwhile changes names, never lines.
        """
        parts, tail = self._now()
        first = 1
        for sealed in parts:
            if sealed.first != first:
                raise LakeCorrupt(
                    f"Lines {first} to {sealed.first - 1} of the manifest are not in {self.lake}. "
                    "Restore its manifest-*.jsonl.gz files from a copy; nothing was changed."
                )
            first = sealed.last + 1
            if sealed.last > after:
                yield from self._whole(sealed, after)
        with tail:
            yield from self._parsed(tail, self.path, first, after)

    def recent(self) -> Iterator[Entry]:
        """Entries since the last seal: all that an unfinished run can have written."""
        return self.entries(self._base())

    def _whole(self, sealed: Sealed, after: int) -> Iterator[Entry]:
        """Its entries, all that its name promises: what is short of some is damaged."""
        came = max(sealed.first - 1, after)
        try:
            with sealed.open() as file:
                for entry in self._parsed(file, sealed.path, sealed.first, after):
                    came = entry.seq
                    yield entry
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise _damaged(sealed.path, came + 1, error) from None
        if came != sealed.last:
            raise _damaged(sealed.path, came + 1, f"it should go on to {sealed.last}")

    def _parsed(self, file: IO[bytes], path: Path, first: int, after: int) -> Iterator[Entry]:
        for seq, line in enumerate(file, start=first):
            if not line.endswith(b"\n"):
                return
            if seq > after:
                yield self._entry(path, seq, line)

    def _entry(self, path: Path, seq: int, line: bytes) -> Entry:
        try:
            body = msgspec.json.decode(line, type=dict[str, Any])
            return Entry(seq, body.pop("kind"), body)
        except (msgspec.DecodeError, KeyError) as error:
            raise _damaged(path, seq, error) from None

    def lines(self) -> int:
        """Committed entries."""
        parts, tail = self._now()
        with tail:
            return _last(parts) + tail.read().count(b"\n")

    def open_for_append(self) -> None:
        """Cuts off a torn last line, seals a tail that has grown, and counts the rest.

        Call at the start of a run, holding the lock.
        """
        make_private(self.lake, self.lake.parent)
        self._create_tail()
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)
        grown = whole > SEAL_BYTES or data.count(b'"sha256":', 0, whole) > SEAL_SEGMENTS
        if grown and self._last_kind(data[:whole]) == "end":
            self._seal(data.count(b"\n", 0, whole))
        self._next = self.lines() + 1

    def append(self, kind: str, body: dict[str, Any]) -> Entry:
        """Commits one entry durably; windows end in several threads at once."""
        if not self._next:
            raise RuntimeError("open_for_append was not called")
        line = _line(kind, body)
        with self._appending:
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
            self.on_append(entry)
        return entry

    def _sealed(self) -> list[Sealed]:
        """In order, each once: where a part is compacted, that is it."""
        found: dict[int, Sealed] = {}
        for path in sorted(self.lake.glob("manifest-*.jsonl*")):  # .jsonl, then .jsonl.gz
            if match := _SEALED.fullmatch(path.name):
                first, last = int(match[1]), int(match[2])
                found[first] = Sealed(first, last, path)
        return sorted(found.values())

    def _base(self) -> int:
        """Number of the last sealed entry."""
        return _last(self._sealed())

    def _now(self) -> tuple[list[Sealed], IO[bytes]]:
        """The sealed parts and the tail that follows them, of one moment."""
        while True:
            parts = self._sealed()
            try:
                tail: IO[bytes] = self.path.open("rb")
            except (FileNotFoundError, NotADirectoryError):
                # Nothing was begun, or it was sealed this moment.
                tail = io.BytesIO()
            if _last(parts) == self._base():
                return parts, tail
            tail.close()

    def _create_tail(self) -> None:
        if not self.path.exists():
            self.path.touch(mode=0o600)
            sync_folder(self.lake)

    def _last_kind(self, data: bytes) -> str:
        start = data.rfind(b"\n", 0, -1) + 1
        return self._entry(self.path, 0, data[start:]).kind

    def _seal(self, lines: int) -> None:
        base = self._base()
        self.path.rename(self.lake / f"manifest-{base + 1:09d}-{base + lines:09d}.jsonl")
        sync_folder(self.lake)
        self._create_tail()

    def uncompacted(self) -> list[Sealed]:
        """Sealed parts whose plain file still stands, oldest first."""
        return sorted(
            Sealed(int(match[1]), int(match[2]), path)
            for path in self.lake.glob("manifest-*.jsonl")
            if (match := _SEALED.fullmatch(path.name))
        )

    def lines_of(self, part: Sealed, *, packed: bool = False) -> Iterator[Entry]:
        """Entries of one sealed part, of its plain or its compacted file."""
        path = part.packed if packed else part.path
        return self._whole(Sealed(part.first, part.last, path), 0)

    def pack(self, part: Sealed, entries: Iterable[Entry]) -> None:
        """Puts the compacted file of a part in place; its plain one does not count any more."""
        temporary = part.packed.with_name(f".{part.packed.name}.tmp")
        with temporary.open("wb") as file:
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                for entry in entries:
                    packed.write(_line(entry.kind, entry.body))
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o600)
        temporary.replace(part.packed)
        sync_folder(self.lake)


def _nobody(entry: Entry) -> None:
    """Nobody waits for entries."""


def _line(kind: str, body: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"kind": kind, **body}) + b"\n"


def _last(parts: list[Sealed]) -> int:
    return max((sealed.last for sealed in parts), default=0)


def _damaged(path: Path, seq: int, why: object) -> LakeCorrupt:
    return LakeCorrupt(
        f"{path}: entry {seq} is damaged ({why}). Restore the file from a copy; what was "
        "applied before stays as it is."
    )
