"""``tupana outbox``: finds the command under it; alone, it shows where the rows stand."""

from __future__ import annotations

import argparse
from importlib import import_module


def run(args: argparse.Namespace) -> int:
    if args.part is None:
        args.part, args.all = "status", False
    module = import_module(f"tupana_etl.cli.outbox_{args.part}")
    code: int = module.run(args)
    return code
