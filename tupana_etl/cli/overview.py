"""``tupana`` alone: the commands, and where the home is."""

from __future__ import annotations

import argparse

from tupana_etl.cli import output
from tupana_etl.cli.parser import COMMANDS, NEVER_ISSUED


def run(args: argparse.Namespace) -> int:
    from tupana_etl import settings  # noqa: PLC0415 - --help does not need it

    configured = settings.load()
    summaries = {name: doc.partition("\n")[0] for name, (_, doc, _, _) in COMMANDS.items()}
    if args.json:
        output.write_json(
            {"version": output.version(), "home": str(configured.home), "commands": summaries}
        )
        return 0
    output.write(f"Tupana ETL {output.version()}: Chilean tax documents between Tu Pana and a")
    output.write("warehouse, both ways.")
    output.write()
    for name, summary in summaries.items():
        output.write(f"  tupana {name:<11} {summary}")
    output.write()
    output.write(f"  home  {configured.home}" + ("" if configured.home.exists() else "  (not yet)"))
    key = "set" if configured.api_key else "not set; `tupana demo` needs none"
    output.write(f"  key   {key}")
    output.write()
    output.write("`tupana COMMAND --help` shows an example. " + NEVER_ISSUED)
    return 0
