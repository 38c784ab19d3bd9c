"""``tupana webhooks``: finds the command under it; alone, it lists."""

from __future__ import annotations

import argparse
from importlib import import_module


def run(args: argparse.Namespace) -> int:
    if args.part is None:
        args.part, args.entity = "list", None
    module = import_module(f"tupana_etl.cli.webhooks_{args.part}")
    code: int = module.run(args)
    return code
