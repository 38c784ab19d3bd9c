"""``tupana scheduled``: finds the command under it; alone, it lists what the last sync saw."""

from __future__ import annotations

import argparse
from importlib import import_module

LISTED = """SELECT id, sender_rut AS issuer, receiver_rut AS receiver, dte_type_code AS type,
    frequency, coalesce(day_of_month, day_of_week) AS day, amount, currency, status
FROM raw.scheduled_documents WHERE _deleted_at IS NULL ORDER BY sender_rut, id"""


def run(args: argparse.Namespace) -> int:
    if args.part is None:
        args.sql, args.limit = LISTED, 1000
    name = "query" if args.part is None else f"scheduled_{args.part}"
    code: int = import_module(f"tupana_etl.cli.{name}").run(args)
    return code
