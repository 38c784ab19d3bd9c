"""``tupana scheduled create``: what would be made, a person's name, and then it is made once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tupana_etl import pipeline, settings
from tupana_etl.cli import output, tables
from tupana_etl.cli.outbox_plan import BAD
from tupana_etl.cli.progress import sending
from tupana_etl.errors import ConfigError
from tupana_etl.outbox import rows, schedule_plan, schedule_source
from tupana_etl.outbox.approve import approve
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.plan import Plan, PlanRow
from tupana_etl.outbox.rows import Intent
from tupana_etl.outbox.send import SendResult
from tupana_etl.outbox.states import RESTING, SCHEDULE, State
from tupana_etl.settings import Settings


def run(args: argparse.Namespace) -> int:
    configured = settings.load().need_key()
    source = schedule_source.read(args.source, configured.analytics)
    with open_ledger(configured.home) as ledger:
        made = schedule_plan.make(ledger, source)
    if not args.json:
        _tell(made)
    if not made.is_clean:
        return _blocked(made, as_json=args.json)
    by = args.by.strip() or _asked(made, as_json=args.json)
    if by:
        with open_ledger(configured.home) as ledger:
            approve(ledger, made.plan_hash, by)
    return _finish(configured, args, made)


def _finish(configured: Settings, args: argparse.Namespace, made: Plan) -> int:
    """Sends what was approved, follows what was sent, and says how each row stands."""
    with sending(shown=not args.json) as tell:
        result = pipeline.issue(configured, wait=args.wait, tell=tell, only=SCHEDULE)
    with open_ledger(configured.home) as ledger:
        newest = rows.newest(ledger, SCHEDULE)
    ends = [newest[row.draft.row_key] for row in made.rows if row.draft.row_key in newest]
    if args.json:
        output.write_json(_as_json(made, ends, result))
    else:
        _tell_ends(ends, result)
    settled = all(end.state in RESTING or end.acknowledged_by for end in ends)
    return 0 if settled else 1


def _asked(made: Plan, *, as_json: bool) -> str:
    """The name of whoever approves. '' when nothing is left to approve; ConfigError without."""
    waiting = sum(row.state == State.PLANNED for row in made.rows)
    if not waiting:
        return ""
    if sys.stdin.isatty() and not as_json:
        output.note(f"Make {waiting}? Your name approves it; an empty line leaves it:")
        name = sys.stdin.readline().strip()
        if name:
            return name
    raise ConfigError(
        f"Nothing was sent: {waiting} wait for a person. Run it again with --by NAME, or approve "
        f"the plan: tupana outbox approve {made.plan_hash} --by NAME, then tupana outbox send."
    )


def _blocked(made: Plan, *, as_json: bool) -> int:
    if as_json:
        output.write_json(_as_json(made, [], None))
    else:
        output.write("\nNothing was sent. Mend the source and run it again.")
    return 1


def _tell(made: Plan) -> None:
    output.write(f"Plan {made.plan_hash} of {output.printable(made.source)}")
    sent = [row for row in made.rows if row.will_be_sent]
    if sent:
        output.write()
        columns = ["row key", "type", "receiver", "total a run", "currency"]
        output.write(tables.table(columns, [_cells(row) for row in sent], right=["total a run"]))
        output.write()
        for row in sent:
            text = f"{row.draft.row_key}: {row.draft.remark}."
            output.write(output.paragraph(text))
    for row in (row for row in made.rows if row.state in BAD):
        name = output.printable(row.draft.row_key) or "(no row key)"
        output.write(f"\n{row.state}  {name}  {row.draft.place}  {row.reason_code}".rstrip())
        output.write(output.paragraph(row.reason or "See its history.", indent="  "))
    done = sum(not row.will_be_sent and row.state not in BAD for row in made.rows)
    if done:
        output.write(f"\nSent before, and not again: {output.number(done)}.")


def _cells(row: PlanRow) -> list[str]:
    draft = row.draft
    amount = "" if draft.total is None else output.number(draft.total)
    return [output.cell(draft.row_key), draft.dte_type, draft.receiver_rut, amount, draft.currency]


def _tell_ends(ends: Sequence[Intent], result: SendResult) -> None:
    output.write()
    body = [
        [output.cell(end.row_key), str(end.state), end.document_id or "", output.cell(end.reason)]
        for end in ends
    ]
    output.write(tables.table(["row key", "state", "schedule", "why"], body))
    for notice in result.notices:
        output.write()
        output.write(output.paragraph(notice))
    if ends and all(end.state is State.VERIFIED for end in ends):
        output.write("\nAll are there as asked. `tupana sync` brings them into the warehouse.")


def _as_json(made: Plan, ends: Sequence[Intent], result: SendResult | None) -> dict[str, Any]:
    after = {end.row_key: end for end in ends}
    told = []
    for row in made.rows:
        end = after.get(row.draft.row_key)
        told.append(
            {
                "row_key": row.draft.row_key,
                "dte_type": row.draft.dte_type,
                "issuer_rut": row.draft.issuer_rut,
                "receiver_rut": row.draft.receiver_rut,
                "total": row.draft.total,
                "currency": row.draft.currency,
                "state": str(end.state if end else row.state),
                "reason": end.reason if end else row.reason,
                "reason_code": end.reason_code if end else row.reason_code,
                "schedule_id": end.document_id if end else None,
            }
        )
    notices = result.notices if result else []
    return {"plan_hash": made.plan_hash, "rows": told, "notices": notices}
