"""``tupana outbox resolve``: a named person decides about a row."""

from __future__ import annotations

import argparse

from tupana_etl import settings
from tupana_etl.cli import output
from tupana_etl.errors import ConfigError
from tupana_etl.event_loop import run_async
from tupana_etl.outbox import resolve
from tupana_etl.outbox.ledger import exists, open_ledger
from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.status import current, is_settled
from tupana_etl.settings import Settings


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    if not exists(configured.home):
        raise ConfigError(f"{configured.home} has no ledger: nothing was ever planned here.")
    decision = next((name for name in resolve.DECISIONS if getattr(args, name)), None)
    if decision is None:
        return _list(configured, args.row_key, as_json=args.json)
    if not args.row_key:
        raise ConfigError(f"--{decision} needs the ROW_KEY it is about.")
    for name in ("by", "reason"):
        if not getattr(args, name).strip():
            raise ConfigError(f"--{name} is missing: a decision has a name and a reason.")
    row = run_async(
        resolve.decide(
            configured,
            args.row_key,
            decision,
            by=args.by.strip(),
            reason=args.reason.strip(),
            document=args.adopt,
            also_by=args.also_by,
        )
    )
    if args.json:
        output.write_json({"row_key": row.row_key, "state": str(row.state), "decision": decision})
    else:
        text = f"{row.row_key} is {row.state}, decided by {args.by.strip()}."
        output.write(output.paragraph(text))
        if decision == "release":
            output.write("Next: tupana outbox send")
    return 0


def _list(configured: Settings, row_key: str | None, *, as_json: bool) -> int:
    """What is open, why, and what may be done about it."""
    with open_ledger(configured.home) as ledger:
        wanted = [
            row
            for row in current(ledger)
            if (row.row_key == row_key if row_key else not is_settled(row))
        ]
        if row_key and not wanted:
            raise ConfigError(f"The ledger has no row {row_key!r}.")
        told = [(row, resolve.advice(ledger, row, Pace())) for row in wanted]
    found = [(row, text) for row, text in told if text]
    if as_json:
        output.write_json(
            {
                "rows": [
                    {"row_key": r.row_key, "state": str(r.state), "reason": r.reason, "advice": a}
                    for r, a in found
                ]
            }
        )
        return 1 if found else 0
    if not found:
        output.write("No row waits for a person.")
        return 0
    for row, text in found:
        output.write(f"{output.printable(row.row_key)}  {row.state}")
        output.write(output.paragraph(row.reason or "See its history.", indent="  ", first="  "))
        output.write(output.paragraph(text, indent="    ", first="  → "))
    return 1
