"""``tupana outbox send``: sends what was approved and follows it to its end."""

from __future__ import annotations

import argparse
from typing import Any

from tupana_etl import pipeline, settings
from tupana_etl.cli import output, tables
from tupana_etl.cli.outbox_status import row_of, tell_rows
from tupana_etl.cli.progress import sending
from tupana_etl.outbox.ledger import exists
from tupana_etl.outbox.send import SendResult
from tupana_etl.outbox.states import RESTING

SHOWN = 10


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    if not exists(configured.home):
        if args.json:
            output.write_json({"rows": [], "complete": True, "requests": 0, "notices": []})
        else:
            output.write("Nothing was ever planned here. See `tupana outbox plan --help`.")
        return 0
    with sending(shown=not args.json) as tell:
        result = pipeline.issue(configured, wait=args.wait, tell=tell)
    if args.json:
        output.write_json(_as_json(result))
    else:
        _tell(result)
    return 0 if result.complete else 1


def _as_json(result: SendResult) -> dict[str, Any]:
    return {
        "environment": result.environment,
        "why": result.why,
        "requests": result.requests,
        "complete": result.complete,
        "awaiting_approval": result.awaiting_approval,
        "notices": result.notices,
        "rows": [row_of(row) for row in result.rows],
    }


def _tell(result: SendResult) -> None:
    output.write(output.paragraph(f"{result.environment.capitalize()}: {result.why}"))
    if result.rows:
        output.write()
        body = [[state, output.number(n)] for state, n in sorted(result.counts.items())]
        output.write(tables.table(["state", "rows"], body, right=["rows"]))
    elif not result.awaiting_approval:
        output.write("Nothing was left to send or to follow.")
    for notice in result.notices:
        output.write()
        output.write(output.paragraph(notice, first="! ", indent="  "))
    open_rows = [row for row in result.rows if row.state not in RESTING]
    if open_rows:
        output.write()
        tell_rows(open_rows[:SHOWN])
        if len(open_rows) > SHOWN:
            output.write(f"… {output.number(len(open_rows) - SHOWN)} more: tupana outbox status")
    if result.awaiting_approval:
        count = output.number(result.awaiting_approval)
        output.write()
        text = f"{count} planned rows wait for approval: `tupana outbox status` shows how."
        output.write(output.paragraph(text))
    if not result.complete:
        output.write("\nNot all is done: tupana outbox status")
