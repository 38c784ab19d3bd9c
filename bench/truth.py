"""What a contestant's table lacks, has twice or has wrong, held against what the server shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

from bench.contestants import Contestant
from bench.load.rows import id_of
from bench.load.world import World


@dataclass(frozen=True)
class Found:
    rows: int
    lost: int
    """Shown by the server, not in the table."""
    ghosts: int
    """In the table as if they lived, no longer shown by the server."""
    doubled: int
    """Rows beyond the first with the same id."""
    stale: int
    """Whether it is paid is not what the server says."""

    @property
    def wrong(self) -> int:
        return self.lost + self.ghosts + self.doubled + self.stale


def found(contestant: Contestant, work: Path, world: World) -> Found:
    """Compares by id, row by row."""
    deleted = " WHERE _deleted_at IS NULL" if contestant.kind == "ours" else ""
    query = f"SELECT id::BIGINT, is_paid::VARCHAR FROM {contestant.table}{deleted}"
    with duckdb.connect(str(work / contestant.file), read_only=True) as con:
        try:
            rows = con.execute(query).fetchall()
        except duckdb.CatalogException:
            rows = []  # it never came so far as to make its table
    shown = {id_of(n, world.documents): n for n in range(world.first, world.last)}
    kept = {id_: paid.lower() in ("true", "t", "1") for id_, paid in rows}
    return Found(
        rows=len(rows),
        lost=len(shown.keys() - kept.keys()),
        ghosts=len(kept.keys() - shown.keys()),
        doubled=len(rows) - len(kept),
        stale=sum(world.is_paid(shown[i]) is not kept[i] for i in shown.keys() & kept.keys()),
    )
