"""``tupana`` alone: the commands, and where the home is."""

from __future__ import annotations

import argparse
from importlib import metadata

from tupana_etl import settings
from tupana_etl.cli import output
from tupana_etl.cli.commands import COMMANDS, NEVER_ISSUED


def version() -> str:
    try:
        return metadata.version("tupana-etl")
    except metadata.PackageNotFoundError:
        return "unknown"


def _version(*, as_json: bool) -> None:
    if as_json:
        output.write_json({"version": version()})
    else:
        output.write(f"tupana {version()}")


def run(args: argparse.Namespace) -> int:
    if args.version:
        _version(as_json=args.json)
        return 0
    configured = settings.load()
    summaries = {c.name: c.summary for c in COMMANDS}
    if args.json:
        output.write_json(
            {"version": version(), "home": str(configured.home), "commands": summaries}
        )
        return 0
    output.write(f"Tupana ETL {version()}: Chilean tax documents, from and to Tu Pana.")
    output.write()
    for name, summary in summaries.items():
        output.write(f"  tupana {name:<11} {summary}")
    output.write()
    output.write(f"  home  {configured.home}" + ("" if configured.home.exists() else "  (not yet)"))
    key = "set" if configured.api_key else "not set; `tupana demo` needs none"
    output.write(f"  key   {key}")
    output.write()
    output.write("`tupana COMMAND --help` shows an example.")
    output.write(NEVER_ISSUED)
    return 0
