"""The plan: what would be issued, what is blocked and why. No call to the API.

A new plan takes the place of the last one of its source: rows that were never frozen get
their new content, an approved row whose content changed needs a new approval, and a row
that is gone is withdrawn. What was frozen or issued keeps its bytes; when its row changed,
the plan says so (CONFLICT) and nothing is sent for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from tupana_etl.outbox import rows
from tupana_etl.outbox.drafts import Draft, drafts
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.reasons import Problem
from tupana_etl.outbox.rows import Intent
from tupana_etl.outbox.sources import Source
from tupana_etl.outbox.states import ISSUE, UNSENT, State

CONFLICT = "CONFLICT"
"""Shown for a row whose document is frozen or issued and whose source changed."""

SENDABLE = (State.PLANNED, State.READY)


@dataclass(frozen=True)
class Caps:
    """Above either, a person approves even in a proven sandbox."""

    documents: int = 200
    clp: int = 100_000_000


@dataclass(frozen=True)
class PlanRow:
    """One row key of the source and where it stands."""

    draft: Draft
    state: str
    """A state of the ledger, or CONFLICT."""
    generation: int = 1
    reason_code: str = ""
    reason: str = ""

    @property
    def will_be_sent(self) -> bool:
        return self.state in SENDABLE


@dataclass(frozen=True)
class Plan:
    """What a source asks for, compared with the ledger."""

    plan_hash: str
    """Over the exact bytes of every row that would be sent."""
    source: str
    rows: list[PlanRow]
    over_caps: str = ""
    """Why a person must approve even in a sandbox; '' within the caps."""
    withdrawn: list[str] = field(default_factory=list)
    """Row keys of the last plan that the source no longer holds."""
    op: str = ISSUE

    @property
    def is_clean(self) -> bool:
        """Nothing blocked, nothing in conflict."""
        return all(row.state not in (State.BLOCKED, CONFLICT) for row in self.rows)


def make(ledger: Ledger, source: Source, caps: Caps | None = None) -> Plan:
    """Reads the rows, compares them with the ledger and records the plan there.

    The same source twice writes nothing the second time. Raises LedgerError, LockHeld.
    """
    read = list(drafts(source.rows, lambda key: ledger.pepper.tag(ISSUE, key)))
    return record(ledger, ISSUE, source.name, read, lambda made: over_caps(made, caps or Caps()))


def record(
    ledger: Ledger,
    op: str,
    source: str,
    read: Sequence[Draft],
    needs_approval: Callable[[Sequence[PlanRow]], str],
) -> Plan:
    """Compares what a source asks for with the ledger, and records the plan there.

    ``needs_approval`` says why a person must approve even in a sandbox; '' when none must.
    Raises LedgerError, LockHeld.
    """
    with ledger.transaction():
        known = rows.newest(ledger, op)
        taken = rows.other_keys(ledger, op, [draft.row_key for draft in read])
        made = [_compare(_own(draft, taken), known.get(draft.row_key)) for draft in read]
        gone = _gone(known, source, {draft.row_key for draft in read})
        plan_hash = _hash(op, source, made)
        plan = Plan(plan_hash, source, made, needs_approval(made), [i.row_key for i in gone], op)
        _take_over(ledger, made, known, source)
        plan_id = _recorded(ledger, plan)
        for row in made:
            if row.draft.row_key not in taken:
                _write(ledger, row, known.get(row.draft.row_key), plan_id, plan)
        for intent in gone:
            rows.move(
                ledger,
                intent.id,
                State.WITHDRAWN,
                actor="planner",
                reason="the source no longer holds it",
                approval_id=None,
            )
    return plan


def _own(draft: Draft, taken: Collection[str]) -> Draft:
    """Row keys are one name space: what happened to a key is asked for without saying of what."""
    if draft.row_key not in taken:
        return draft
    problem = Problem(
        "row_key_taken",
        f"The row key {draft.row_key} is that of a row of another kind; give this one its own.",
    )
    return replace(draft, problems=(problem, *draft.problems))


def _compare(draft: Draft, known: Intent | None) -> PlanRow:
    """Where a row of the source stands, given what the ledger knows of its key."""
    wanted = State.BLOCKED if draft.problems else State.PLANNED
    if known is None:
        return _fresh(draft, wanted, 1)
    if known.state in UNSENT:
        approved = known.state == State.READY and draft.sha256 == known.payload_sha256
        return _fresh(draft, State.READY if approved else wanted, known.generation)
    same = _says_the_same(draft, known)
    if known.state == State.REJECTED and not same:
        return _fresh(draft, wanted, known.generation + 1)
    if same or known.state in (State.REJECTED, State.ABANDONED):
        return PlanRow(draft, known.state, known.generation, known.reason_code, known.reason)
    return PlanRow(draft, CONFLICT, known.generation, "conflict", _conflict(known))


def _says_the_same(draft: Draft, known: Intent) -> bool:
    """Whether the row is as it was sent. A later version may write the same row as other
    JSON, and that is no change of the row."""
    if draft.problems:
        return False
    said = draft.said_sha256 != "" and draft.said_sha256 == known.said_sha256
    return said or draft.sha256 == known.payload_sha256


def _fresh(draft: Draft, state: State, generation: int) -> PlanRow:
    first: Problem | None = draft.problems[0] if draft.problems else None
    code = first.code if first else ""
    return PlanRow(draft, state, generation, code, draft.reason)


def _conflict(known: Intent) -> str:
    if known.op != ISSUE:
        what = f"It is {known.state} with the content that was approved"
        cure = "What is new needs a row key of its own."
    elif known.folio:
        what = f"It was issued as {known.dte_type} folio {known.folio}"
        cure = "To correct it, issue a nota de crédito (61) under a row key of its own."
    else:
        what = f"It is {known.state} with the content that was approved"
        cure = "Wait until it is settled; a nota de crédito (61) can correct it then."
    return f"{what}, and the row has changed since. It is not sent again. {cure}"


def _gone(known: dict[str, Intent], source: str, there: set[str]) -> list[Intent]:
    waiting = UNSENT - {State.WITHDRAWN}
    return [
        intent
        for key, intent in known.items()
        if intent.source == source and intent.state in waiting and key not in there
    ]


def _hash(op: str, source: str, made: Sequence[PlanRow]) -> str:
    """Over source, row keys, generations and the exact bytes, in the order of the source."""
    digest = hashlib.sha256(f"{op}\n{source}\n".encode())
    for row in made:
        if row.will_be_sent:
            line = f"{row.draft.row_key}\0{row.generation}\0{row.draft.sha256}\n"
            digest.update(line.encode())
    return digest.hexdigest()[:32]


def over_caps(made: Sequence[PlanRow], caps: Caps) -> str:
    """Why a person must approve even in a sandbox; '' within the caps."""
    sent = [row for row in made if row.will_be_sent]
    total = sum((row.draft.clp for row in sent), Decimal(0))
    if len(sent) > caps.documents:
        return f"{len(sent)} documents, more than the cap of {caps.documents}"
    if total > caps.clp:
        return f"{total:f} pesos, more than the cap of {caps.clp}"
    return ""


def _recorded(ledger: Ledger, plan: Plan) -> int:
    """Id of the plan: the last one of its source when nothing changed, else a new one."""
    last = ledger.con.execute(
        "SELECT id, plan_hash, needs_approval FROM plans WHERE source = ? AND op = ? "
        "AND superseded_at IS NULL ORDER BY id DESC LIMIT 1",
        [plan.source, plan.op],
    ).fetchone()
    if last and last[1] == plan.plan_hash and last[2] == plan.over_caps:
        return int(last[0])
    ledger.con.execute(
        "UPDATE plans SET superseded_at = ? WHERE source = ? AND op = ? AND superseded_at IS NULL",
        [ledger.now(), plan.source, plan.op],
    )
    sent = [row for row in plan.rows if row.will_be_sent]
    total = sum((row.draft.clp for row in sent), Decimal(0))
    cursor = ledger.con.execute(
        "INSERT INTO plans (plan_hash, source, op, made_at, documents, clp, needs_approval) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            *(plan.plan_hash, plan.source, plan.op, ledger.now()),
            *(len(sent), format(total, "f"), plan.over_caps),
        ],
    )
    return int(cursor.lastrowid or 0)


def _take_over(
    ledger: Ledger, made: Sequence[PlanRow], known: dict[str, Intent], source: str
) -> None:
    """A plan that loses rows to another source covers them no longer."""
    taken = {
        before.plan_id
        for row in made
        if (before := known.get(row.draft.row_key))
        and before.state in UNSENT
        and before.source != source
    }
    for plan_id in taken:
        ledger.con.execute(
            "UPDATE plans SET superseded_at = ? WHERE id = ? AND superseded_at IS NULL",
            [ledger.now(), plan_id],
        )


def _write(ledger: Ledger, row: PlanRow, known: Intent | None, plan_id: int, plan: Plan) -> None:
    if not row.draft.row_key or row.state == CONFLICT:
        return
    content = _content(row, plan_id, plan.source)
    if known is None or row.generation > known.generation:
        new = {
            "op": plan.op,
            "row_key": row.draft.row_key,
            "generation": row.generation,
            "row_tag": ledger.pepper.tag(plan.op, row.draft.row_key),
            "state": row.state,
        }
        rows.insert(ledger, new | content, actor="planner", reason=row.reason or "planned")
    elif known.state not in UNSENT:
        return
    elif known.state != row.state:
        rows.move(
            ledger,
            known.id,
            State(row.state),
            actor="planner",
            reason=row.reason or "planned again",
            approval_id=None,
            **content,
        )
    elif known.payload_sha256 != row.draft.sha256 or row.reason not in ("", known.reason):
        reason = row.reason or "planned again with another content"
        rows.note(ledger, known.id, actor="planner", reason=reason, restate=True, **content)
    elif (known.plan_id, known.source) != (plan_id, plan.source):
        rows.replan(ledger, known.id, plan_id, plan.source)


def _content(row: PlanRow, plan_id: int, source: str) -> dict[str, Any]:
    draft, made = row.draft, row.draft.totals
    return {
        "source": source,
        "plan_id": plan_id,
        "entity": draft.company or draft.issuer_rut,
        "dte_type": draft.dte_type,
        "receiver_rut": draft.receiver_rut,
        "date_issued": draft.date_issued,
        "currency": draft.currency,
        "net": made and made.net,
        "exempt": made and made.exempt,
        "iva": made and made.iva,
        "withheld": made and made.withheld,
        "total": draft.total,
        "payload": draft.payload,
        "payload_sha256": draft.sha256,
        "said_sha256": draft.said_sha256,
        "purged_at": None,
        "reason_code": row.reason_code,
        **({"document_id": draft.document_id, "folio": draft.folio} if draft.document_id else {}),
    }
