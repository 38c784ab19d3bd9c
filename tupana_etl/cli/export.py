"""``tupana export``: a table as a file for other programs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from tupana_etl import settings
from tupana_etl.cli import output
from tupana_etl.export import export


def run(args: argparse.Namespace) -> int:
    out = Path(args.out) if args.out else None
    made = export(args.table, args.format, settings.load(), out=out, force=args.force)
    if args.json:
        output.write_json({**asdict(made), "path": str(made.path), "format": args.format})
        return 0
    output.write(
        f"{made.table}: {output.number(made.rows)} rows, {output.number(made.bytes)} bytes"
    )
    output.write(str(made.path))
    for sentence in made.notes:
        output.write(output.paragraph(sentence))
    return 0
