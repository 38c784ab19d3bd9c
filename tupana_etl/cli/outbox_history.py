"""``tupana outbox history``: all that happened to one row."""

from __future__ import annotations

import argparse
from datetime import datetime

from tupana_etl import settings
from tupana_etl.cli import output
from tupana_etl.domain import SANTIAGO
from tupana_etl.errors import ConfigError
from tupana_etl.outbox import rows
from tupana_etl.outbox.ledger import exists, open_ledger
from tupana_etl.outbox.rows import Event


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    told: list[Event] = []
    if exists(configured.home):
        with open_ledger(configured.home) as ledger:
            told = rows.history(ledger, args.row_key)
    if not told:
        raise ConfigError(f"No row {args.row_key!r} was ever planned here.")
    if args.json:
        output.write_json({"row_key": args.row_key, "events": [_event(e) for e in told]})
    else:
        for event in told:
            _tell(event)
    return 0


def _event(event: Event) -> dict[str, object]:
    return {
        "at": event.at,
        "actor": event.actor,
        "from": event.before,
        "to": event.after,
        "reason": event.reason,
        "evidence": dict(event.evidence),
        "generation": event.generation,
    }


def _tell(event: Event) -> None:
    at = datetime.fromisoformat(event.at).astimezone(SANTIAGO).strftime("%Y-%m-%d %H:%M:%S")
    change = (
        event.after if event.before in (None, event.after) else f"{event.before} → {event.after}"
    )
    again = f" (generation {event.generation})" if event.generation > 1 else ""
    output.write(f"{at}  {change}{again}  by {output.printable(event.actor)}")
    output.write(output.paragraph(event.reason, indent="    "))
    if event.evidence:
        said = {n: len(v) if isinstance(v, dict) else v for n, v in event.evidence.items()}
        text = ", ".join(f"{name} {value}" for name, value in said.items())
        output.write(output.paragraph(text, indent="    "))
