"""Approval: a named person lets exactly the planned bytes be sent.

The only other way is a proven sandbox and a plan under its caps. Approving what needs no
approval, or has it, is harmless; a plan that another took the place of is refused.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tupana_etl.errors import ConfigError
from tupana_etl.outbox import rows
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.states import State

SHORTEST = 8
"""Characters of a plan hash that must be given."""


@dataclass(frozen=True)
class Approved:
    """What an approval did."""

    plan_hash: str
    source: str
    by: str
    newly: int
    """Rows that may be sent now and could not before."""
    ready: int
    """Rows of the plan that the next send takes."""


def approve(ledger: Ledger, plan_hash: str, by: str, note: str = "") -> Approved:
    """Makes every PLANNED row of a plan READY, with who and when.

    ``plan_hash`` may be cut to its first characters (8 at least). Raises ConfigError when
    no such plan was made, when a newer plan took its place, or when nobody is named.
    """
    name = by.strip()
    if not name:
        raise ConfigError("--by is empty: an approval has a name.")
    with ledger.transaction():
        plan_id, whole, source = _find(ledger, plan_hash.strip().lower())
        newly = _release(ledger, plan_id, whole, kind="plan", by=name, note=note)
        ready = _count(ledger, plan_id, State.READY)
    return Approved(whole, source, name, newly, ready)


def admit_in_sandbox(ledger: Ledger, proof: str) -> int:
    """Lets every current plan under its caps be sent, because this is proven to be a sandbox.

    ``proof`` is the evidence, and is kept. Call it only with a proof (invariant: a label is
    none). Returns how many rows became READY; plans over their caps wait for a person.
    """
    if not proof:
        raise ValueError("no proof")
    with ledger.transaction():
        plans = ledger.con.execute(
            "SELECT id, plan_hash FROM plans WHERE superseded_at IS NULL AND needs_approval = ''"
        ).fetchall()
        return sum(
            _release(ledger, plan_id, plan_hash, kind="sandbox", by="sandbox", note=proof)
            for plan_id, plan_hash in plans
        )


def waiting(ledger: Ledger) -> list[tuple[str, str, int, str]]:
    """Current plans with rows nobody has approved: hash, source, rows, why the caps stop it."""
    found = ledger.con.execute(
        "SELECT p.plan_hash, p.source, count(*), p.needs_approval FROM plans p "
        "JOIN intents i ON i.plan_id = p.id AND i.state = ? WHERE p.superseded_at IS NULL "
        "GROUP BY p.id ORDER BY p.id",
        [State.PLANNED],
    ).fetchall()
    return [(str(h), str(source), int(n), str(why)) for h, source, n, why in found]


def _find(ledger: Ledger, given: str) -> tuple[int, str, str]:
    if len(given) < SHORTEST or not given.isalnum():
        raise ConfigError(
            f"{given!r} is no plan hash; give at least its first {SHORTEST} characters, as "
            "`tupana outbox plan` shows them."
        )
    found = ledger.con.execute(
        "SELECT id, plan_hash, source, superseded_at FROM plans "
        "WHERE substr(plan_hash, 1, ?) = ? ORDER BY superseded_at IS NULL, id",
        [len(given), given],
    ).fetchall()
    if not found:
        raise ConfigError(f"No plan {given} was made here. Run `tupana outbox plan` again.")
    plan_id, plan_hash, source, superseded = found[-1]
    if superseded:
        newer = ledger.con.execute(
            "SELECT plan_hash FROM plans WHERE source = ? AND superseded_at IS NULL "
            "ORDER BY id DESC LIMIT 1",
            [source],
        ).fetchone()
        instead = f" Look at the newer one, {newer[0]}, and approve that." if newer else ""
        raise ConfigError(
            f"Plan {plan_hash} of {source} is not the newest any more, so it was not approved."
            f"{instead or ' Plan its source again.'}"
        )
    return int(plan_id), str(plan_hash), str(source)


def _release(ledger: Ledger, plan_id: int, plan_hash: str, *, kind: str, by: str, note: str) -> int:
    found = ledger.con.execute(
        "SELECT id FROM intents WHERE plan_id = ? AND state = ? ORDER BY id",
        [plan_id, State.PLANNED],
    ).fetchall()
    if not found:
        return 0
    approval_id = ledger.con.execute(
        "INSERT INTO approvals (kind, plan_hash, by, at, note) VALUES (?, ?, ?, ?, ?)",
        [kind, plan_hash, by, ledger.now(), note],
    ).lastrowid
    reason = "approved" if kind == "plan" else f"needs no approval: {note}"
    for (intent_id,) in found:
        intent = rows.get(ledger, intent_id)
        if hashlib.sha256(intent.payload or b"").hexdigest() != intent.payload_sha256:
            raise ConfigError(
                f"The content of {intent.row_key} is not what was planned. Nothing was approved; "
                "plan again."
            )
        rows.move(
            ledger,
            intent_id,
            State.READY,
            actor=by,
            reason=reason,
            evidence={"plan": plan_hash},
            approval_id=approval_id,
        )
    return len(found)


def _count(ledger: Ledger, plan_id: int, state: State) -> int:
    found = ledger.con.execute(
        "SELECT count(*) FROM intents WHERE plan_id = ? AND state = ?", [plan_id, state]
    ).fetchone()
    return int(found[0])
