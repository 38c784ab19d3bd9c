"""``tupana marts``: the models again, from what is on this machine."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tupana_etl import pipeline, settings
from tupana_etl.cli import output, tables


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    models = pipeline.rebuild_marts(configured, from_lake=args.rebuild, wait=args.wait)
    if args.json:
        output.write_json(
            {"models": [asdict(m) for m in models], "published": str(configured.analytics)}
        )
        return 0
    rows = [[m.name, output.number(m.rows), output.number(round(m.seconds, 2))] for m in models]
    output.write(tables.table(["model", "rows", "seconds"], rows, right=("rows", "seconds")))
    output.write()
    output.write(f"Published: {configured.analytics}")
    return 0
