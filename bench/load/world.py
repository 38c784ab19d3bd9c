"""What the server shows of the rendered documents, and how that changes while it is read.

The newest ``first`` and everything from ``last`` on are hidden: rows appear and disappear
at both ends by moving two numbers. Rows that are paid are written over in memory only.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from bench.load.rows import FIRST_ID, PAID, UNPAID, WIDTH, moment, render


@dataclass
class World:
    """The documents of one file. Numbers count from the newest, 0."""

    path: Path
    documents: int
    today: date
    traces: bool = True
    first: int = 0
    last: int = 0
    width: int = field(init=False)
    rows: mmap.mmap = field(init=False, repr=False)

    def __post_init__(self) -> None:
        render(self.path, self.documents, self.today, traces=self.traces)
        self.last = self.last or self.documents
        self.width = WIDTH[self.traces]
        with self.path.open("rb") as file:
            self.rows = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def between(self, oldest: date | None, newest: date | None) -> range:
        """Numbers of the visible documents issued from ``oldest`` to ``newest``, inclusive."""
        low, high = self.first, self.last
        shown = range(low, high)
        if newest is not None:
            low += bisect_left(shown, -newest.toordinal(), key=self._age)
        if oldest is not None:
            high = self.first + bisect_left(shown, 1 - oldest.toordinal(), key=self._age)
        return range(low, max(low, high))

    def _age(self, number: int) -> int:
        return -moment(number, self.documents, self.today).toordinal()

    def cut(self, numbers: range) -> bytes:
        """These documents, joined by commas."""
        if not numbers:
            return b""
        return self.rows[numbers.start * self.width : numbers.stop * self.width - 1]

    def number(self, id_: int) -> int | None:
        """Number of the document with this id; None if it is not shown."""
        number = FIRST_ID + self.documents - id_
        return number if self.first <= number < self.last else None

    def flip(self, number: int) -> None:
        """A paid document becomes unpaid, an unpaid one paid."""
        start = number * self.width
        at = self.rows.find(b'"is_paid":', start, start + self.width)
        was_paid = self.rows[at : at + len(PAID)] == PAID
        self.rows[at : at + len(PAID)] = UNPAID if was_paid else PAID

    def is_paid(self, number: int) -> bool:
        start = number * self.width
        return self.rows.find(PAID, start, start + self.width) >= 0
