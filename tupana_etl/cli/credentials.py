"""``tupana credentials``: finds the command under it; alone, it lists the companies."""

from __future__ import annotations

import argparse
from importlib import import_module


def run(args: argparse.Namespace) -> int:
    name = "companies" if args.part is None else f"credentials_{args.part}"
    module = import_module(f"tupana_etl.cli.{name}")
    code: int = module.run(args)
    return code
