"""The commands under ``tupana scheduled``."""

from __future__ import annotations

import argparse

from tupana_etl.cli.command import Command, wait_option


def _create(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="SOURCE",
        help="JSON, CSV, Parquet or .sql file, table or SELECT",
    )
    p.add_argument("--by", metavar="NAME", default="", help="who approves; asked for at a terminal")
    wait_option(p, 120, "another sender, and for what was sent to show")


SCHEDULED = Command(
    "scheduled",
    "standing orders: documents that Tu Pana issues by itself",
    "tupana scheduled create --from schedules.json --by 'Ana Rojas'",
    more="Alone it lists those that the last sync saw.",
    parts=(
        Command(
            "create",
            "make schedules from rows: shown, approved by name, made once",
            "tupana scheduled create --from schedules.csv --by 'Ana Rojas'",
            _create,
            more="At most one schedule is made for a row key; one that is there already with the "
            "same content is adopted. Nothing is sent while a row is blocked. Without --by the "
            "plan is shown, and at a terminal your name is asked for. docs/outbox.md says which "
            "columns a row has; `tupana outbox status` and `resolve` know schedules too.",
        ),
    ),
)
