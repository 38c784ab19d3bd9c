"""``tupana sync``: reads, applies, rebuilds, publishes, and says what was not whole."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from tupana_etl import analysis, pipeline, settings
from tupana_etl.cli import output
from tupana_etl.cli.progress import reading
from tupana_etl.cli.sync_report import tell
from tupana_etl.pipeline import SyncResult
from tupana_etl.settings import Settings

FIRST_MET = """
WITH met AS (
    SELECT run_id, stream, master_entity_id, document_type, id, column_name, reason,
        if(id IS NULL, md5(raw::VARCHAR), NULL) AS unnamed
    FROM raw.rejects
)
SELECT count(*) FROM (
    SELECT * EXCLUDE (run_id) FROM met WHERE run_id = $run
    EXCEPT SELECT * EXCLUDE (run_id) FROM met WHERE run_id <> $run
)
"""
"""Rejects no earlier run had. ``raw`` does not name a row: its links are new every time."""


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    since = settings.parse_date(args.since or "", "--since")
    with reading(shown=not args.json) as on_rows:
        result = pipeline.sync(
            configured,
            args.streams,
            entity=args.entity,
            since=since,
            full=args.full,
            wait=args.wait,
            on_rows=on_rows,
        )
    new_rejects = new_rejects_of(configured, result)
    if args.json:
        output.write_json(as_json(result, new_rejects))
    else:
        tell(result, configured, new_rejects)
    return exit_code(result, new_rejects)


def exit_code(result: SyncResult, new_rejects: int) -> int:
    """1 when a window is not whole, or a row was rejected that no run had met before."""
    return 0 if result.complete and not new_rejects else 1


def new_rejects_of(configured: Settings, result: SyncResult) -> int:
    if not result.rejected:
        return 0
    with analysis.answer(FIRST_MET, configured, params={"run": result.run_id}) as found:
        ((count,),) = found.rows
    return int(count)


def as_json(result: SyncResult, new_rejects: int) -> dict[str, Any]:
    return {**asdict(result), "new_rejects": new_rejects}
