"""``tupana outbox plan``: what would be issued, to the peso and to the byte."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tupana_etl import settings
from tupana_etl.cli import output, tables
from tupana_etl.domain import DTE_TYPES
from tupana_etl.errors import ConfigError
from tupana_etl.outbox import planning
from tupana_etl.outbox.plan import CONFLICT, Caps, Plan, PlanRow
from tupana_etl.outbox.states import ISSUE, State

SHOWN = 20
BAD = (State.BLOCKED, CONFLICT, State.REJECTED, State.QUARANTINED)


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    caps = Caps(args.max_documents, args.max_clp)
    made = planning.make(configured, args.what, args.source, caps, allow_claims=args.allow_claims)
    if args.show is not None:
        _show(made, args.show, as_json=args.json)
    elif args.json:
        output.write_json(_as_json(made))
    else:
        _tell(made, limit=len(made.rows) if args.all else SHOWN)
    return 0 if made.is_clean else 1


def _as_json(made: Plan) -> dict[str, Any]:
    return {
        "plan_hash": made.plan_hash,
        "source": made.source,
        "needs_approval": made.over_caps or None,
        "rows": [_row(row) for row in made.rows],
        "withdrawn": made.withdrawn,
    }


def _row(row: PlanRow) -> dict[str, Any]:
    draft, totals = row.draft, row.draft.totals
    amounts = ("net", "exempt", "iva", "withheld", "total")
    return {
        "row_key": draft.row_key,
        "dte_type": draft.dte_type,
        **{name: getattr(totals, name) if totals else None for name in amounts},
        "total": draft.total,
        "state": str(row.state),
        "reason": row.reason,
        "reason_code": row.reason_code,
        "issuer_rut": draft.issuer_rut,
        "receiver_rut": draft.receiver_rut,
        "date_issued": draft.date_issued,
        "currency": draft.currency,
        "place": draft.place,
        "document_id": draft.document_id,
        "folio": draft.folio,
        "event": draft.event or None,
        "until": draft.until or None,
    }


def _show(made: Plan, row_key: str, *, as_json: bool) -> None:
    """One document as it will be sent; its bytes, not a paraphrase."""
    row = next((r for r in made.rows if r.draft.row_key == row_key), None)
    if row is None:
        raise ConfigError(f"The plan of {made.source} has no row {row_key!r}.")
    payload = row.draft.payload
    if as_json:
        output.write_json(
            {
                "plan_hash": made.plan_hash,
                **_row(row),
                "body": None if payload is None else payload.decode(),
                "sha256": row.draft.sha256,
                "headers": {"X-Use-Defaults": "true"} if made.op == ISSUE else {},
            }
        )
        return
    output.write(f"{output.printable(row_key)}: {row.state} ({row.draft.place})")
    if row.reason:
        output.write(output.paragraph(row.reason))
    if payload is not None:
        output.write(f"\nSHA-256 {row.draft.sha256}")
        if made.op == ISSUE:
            output.write("X-Use-Defaults: true fills the folio and the parties' registry data.")
        output.write()
        output.write(output.paragraph(msgspec.json.format(payload, indent=2).decode()))
    totals = row.draft.totals
    if totals:
        names = ("net", "exempt", "iva", "withheld", "total")
        amounts = [(name, getattr(totals, name)) for name in names]
        told = ", ".join(f"{n} {output.number(a)}" for n, a in amounts if a or n == "total")
        output.write(f"\n{row.draft.currency}: {told}")


def _tell(made: Plan, limit: int) -> None:
    output.write(f"Plan {made.plan_hash} of {output.printable(made.source)}")
    sent = [row for row in made.rows if row.will_be_sent]
    if sent:
        output.write()
        _tell_totals(sent)
        output.write()
        _tell_rows(sent[:limit])
        if len(sent) > limit:
            output.write(f"… {output.number(len(sent) - limit)} more (--all)")
    for remark, count in Counter(row.draft.remark for row in sent if row.draft.remark).items():
        output.write(output.paragraph(f"{output.number(count)} of them: {remark}"))
    _tell_others(made, limit)
    output.write()
    _tell_next(made, sent)


def _tell_totals(sent: Sequence[PlanRow]) -> None:
    sums: dict[tuple[str, str], list[Any]] = {}
    for row in sent:
        company = row.draft.company or row.draft.issuer_rut
        at = sums.setdefault((company, row.draft.dte_type), [0, Decimal(0)])
        at[0] += 1
        at[1] += row.draft.clp
    body = [
        [company, f"{kind} {DTE_TYPES[kind].name}", output.number(n), output.number(clp)]
        for (company, kind), (n, clp) in sorted(sums.items())
    ]
    total = sum((clp for _, clp in sums.values()), Decimal(0))
    body.append(["", "all", output.number(len(sent)), output.number(total)])
    columns = ["company", "type", "documents", "pesos"]
    output.write(tables.table(columns, body, right=columns[2:], bold_last=True))


def _tell_rows(sent: Sequence[PlanRow]) -> None:
    acts = any(row.draft.company for row in sent)
    body = []
    for row in sent:
        draft = row.draft
        total = output.number(draft.total or Decimal(0))
        unit = "" if draft.currency == "CLP" else f" {draft.currency}"
        body.append(
            [
                output.cell(draft.row_key),
                f"{draft.dte_type} {draft.event}".rstrip(),
                draft.issuer_rut if draft.company else draft.receiver_rut,
                *((draft.until if acts else draft.date_issued), f"{total}{unit}"),
                "approved" if row.state == State.READY else "",
            ]
        )
    party, when = ("issuer", "until (Santiago)") if acts else ("receiver", "date")
    columns = ["row key", "type", party, when, "total", ""]
    output.write(tables.table(columns, body, right=["total"]))


def _tell_others(made: Plan, limit: int) -> None:
    bad = [row for row in made.rows if row.state in BAD]
    for row in bad[:limit]:
        name = output.printable(row.draft.row_key) or "(no row key)"
        output.write()
        output.write(f"{row.state}  {name}  {row.draft.place}  {row.reason_code}".rstrip())
        output.write(output.paragraph(row.reason or "See its history.", indent="  "))
    if len(bad) > limit:
        output.write(f"… {output.number(len(bad) - limit)} more like these (--all)")
    counted: dict[str, int] = {}
    for row in made.rows:
        if not row.will_be_sent and row.state not in BAD:
            counted[str(row.state)] = counted.get(str(row.state), 0) + 1
    if counted:
        told = ", ".join(f"{output.number(n)} {state}" for state, n in sorted(counted.items()))
        output.write(f"\nAlready under way or done: {told}. They are not sent again.")
    if made.withdrawn:
        count = output.number(len(made.withdrawn))
        output.write()
        output.write(output.paragraph(f"Withdrawn, as the source no longer holds them: {count}."))


def _tell_next(made: Plan, sent: Sequence[PlanRow]) -> None:
    waiting = sum(row.state == State.PLANNED for row in sent)
    blocked = sum(row.state == State.BLOCKED for row in made.rows)
    if blocked:
        output.write(f"Blocked: {output.number(blocked)}. Mend the source and plan again.")
    if not sent:
        output.write("There is nothing to send.")
        return
    if made.over_caps:
        output.write(output.paragraph(f"{made.over_caps[:1].upper()}{made.over_caps[1:]}."))
    output.write("Nothing was sent. Next:")
    if waiting:
        output.write(f"  tupana outbox approve {made.plan_hash} --by NAME")
    output.write("  tupana outbox send")
    if waiting and not made.over_caps:
        output.write("(In a proven sandbox this plan needs no approval.)")
