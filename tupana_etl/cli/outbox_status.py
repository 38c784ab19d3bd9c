"""``tupana outbox status``: where every row stands and what is left to do."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tupana_etl import settings
from tupana_etl.cli import output, tables
from tupana_etl.domain import utcnow
from tupana_etl.outbox import status
from tupana_etl.outbox.approve import waiting
from tupana_etl.outbox.ledger import exists, open_ledger
from tupana_etl.outbox.rows import Intent
from tupana_etl.outbox.states import SCHEDULE, State

SHOWN = 30


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    if not exists(configured.home):
        if args.json:
            output.write_json({"rows": [], "done": True})
        else:
            output.write("Nothing was ever planned here. See `tupana outbox plan --help`.")
        return 0
    with open_ledger(configured.home) as ledger:
        intents = status.current(ledger)
        plans = waiting(ledger)
    done = status.is_done(intents)
    if args.json:
        output.write_json({"rows": [row_of(i) for i in intents], "done": done})
    else:
        _tell(intents, plans, everything=args.all)
    return 0 if done else 1


def row_of(intent: Intent) -> dict[str, Any]:
    names = (
        *("row_key", "dte_type", "net", "exempt", "iva", "total", "reason", "document_id"),
        *("folio", "reason_code", "flags", "generation", "acknowledged_by", "updated_at"),
    )
    told = {name: getattr(intent, name) for name in names}
    end = status.until(intent)
    return {
        "state": str(intent.state),
        **told,
        "event": status.event_of(intent) or None,
        "until": end and end.isoformat(),
    }


def _tell(
    intents: Sequence[Intent], plans: Sequence[tuple[str, str, int, str]], *, everything: bool
) -> None:
    counted = Counter(intent.state for intent in intents)
    rows = [
        [str(state), output.number(counted[state]), status.NEXT.get(state, "")]
        for state in State
        if counted[state]
    ]
    output.write(tables.table(["state", "rows", "next"], rows, right=["rows"]))
    listed = [i for i in intents if everything or not status.is_settled(i)]
    if listed:
        output.write()
        tell_rows(listed if everything else listed[:SHOWN])
        if not everything and len(listed) > SHOWN:
            output.write(f"… {output.number(len(listed) - SHOWN)} more (--all)")
    for place, urgent in enumerate(status.deadlines(intents, utcnow())):
        output.write(("" if place else "\n") + output.paragraph(urgent))
    for plan_hash, source, count, why in plans:
        text = f"{output.number(count)} rows of {output.printable(source)} wait for approval"
        output.write()
        output.write(output.paragraph(f"{text}{f' ({why})' if why else ''}:"))
        output.write(f"  tupana outbox approve {plan_hash} --by NAME")
    if not listed:
        output.write("\nNothing is left to do.")


def _asked(intent: Intent) -> str:
    return "schedule" if intent.op == SCHEDULE else status.event_of(intent)


def tell_rows(intents: Sequence[Intent]) -> None:
    body = []
    for intent in intents:
        total = "" if intent.total is None else output.number(intent.total)
        why = intent.reason if not status.is_settled(intent) else ""
        seen = f" (seen by {intent.acknowledged_by})" if intent.acknowledged_by else ""
        body.append(
            [
                *(output.cell(intent.row_key), str(intent.state)),
                f"{intent.dte_type} {_asked(intent)}".rstrip(),
                *(intent.folio or "", total, output.cell(why + seen)),
            ]
        )
    columns = ["row key", "state", "type", "folio", "total", "why"]
    output.write(tables.table(columns, body, right=["total"]))
