"""Counts of lists and the borders of their pages, so that page 9,000 costs what page 1 does.

Both are kept until the world changes: SQLite counts the changes of a connection, and the
server has but one.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right, insort
from dataclasses import dataclass, field
from typing import Any

MOST_LISTS = 2000
"""Lists remembered at once: each filter makes one."""

Border = tuple[str, int]
"""Date and id of the row before a position, newest first."""


@dataclass
class List:
    """One filtered list: its length, and where it was cut so far."""

    count: int
    positions: list[int] = field(default_factory=list)
    borders: dict[int, Border] = field(default_factory=dict)

    def nearest(self, offset: int) -> tuple[Border | None, int]:
        """The last known border at or before an offset, and how many rows lie between."""
        at = bisect_right(self.positions, offset)
        if not at:
            return None, offset
        known = self.positions[at - 1]
        return self.borders[known], offset - known

    def remember(self, offset: int, border: Border) -> None:
        if offset not in self.borders:
            insort(self.positions, offset)
            self.borders[offset] = border


@dataclass
class Memory:
    changes: int = -1
    lists: dict[tuple[str, tuple[Any, ...]], List] = field(default_factory=dict)
    listed: dict[tuple[str, tuple[Any, ...]], list[int]] = field(default_factory=dict)

    def of(self, connection: sqlite3.Connection, where: str, values: dict[str, Any]) -> List:
        """The list of a condition on documents, counted once as long as nothing changes."""
        self._forget(connection)
        key = (where, tuple(values.items()))
        if key not in self.lists:
            query = f"SELECT count(*) FROM document d WHERE {where}"
            (count,) = connection.execute(query, values).fetchone()
            self.lists[key] = List(count)
        return self.lists[key]

    def ids(self, connection: sqlite3.Connection, query: str, values: dict[str, Any]) -> list[int]:
        """Ids that a query gives, asked once as long as nothing changes."""
        self._forget(connection)
        key = (query, tuple(values.items()))
        if key not in self.listed:
            self.listed[key] = [id_ for (id_,) in connection.execute(query, values)]
        return self.listed[key]

    def _forget(self, connection: sqlite3.Connection) -> None:
        kept = max(len(self.lists), len(self.listed))
        if self.changes != connection.total_changes or kept >= MOST_LISTS:
            self.changes = connection.total_changes
            self.lists.clear()
            self.listed.clear()
