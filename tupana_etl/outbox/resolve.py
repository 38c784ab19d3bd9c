"""What a named person decides about rows that nothing else may decide.

Every decision is one transaction with the person's name and reason in the row's history;
whoever comes second sees it made.
"""

from __future__ import annotations

from tupana_etl.errors import ConfigError
from tupana_etl.outbox import facts, read_resolve, rows
from tupana_etl.outbox.facts import Facts
from tupana_etl.outbox.ledger import Ledger, open_ledger
from tupana_etl.outbox.look import look_up, read_document
from tupana_etl.outbox.reconcile import is_surely_absent, note_misses
from tupana_etl.outbox.run import Pace, Run, is_incident
from tupana_etl.outbox.send import Ways, at_work
from tupana_etl.outbox.states import BY_A_PERSON, ISSUE, State
from tupana_etl.settings import Settings

DECISIONS = ("adopt", "release", "abandon", "acknowledge")


async def decide(
    settings: Settings,
    row_key: str,
    decision: str,
    *,
    by: str,
    reason: str,
    document: str | None = None,
    also_by: str = "",
    ways: Ways | None = None,
) -> rows.Intent:
    """Carries out one of ``DECISIONS`` about a row; the row's newest generation after it.

    ``adopt`` needs the id of the ``document``, releasing a cession or a schedule a second
    person (``also_by``). Raises ConfigError, with nothing changed, when nobody is named, no
    reason is given, or the row does not allow it.
    """
    if not by.strip() or not reason.strip():
        raise ConfigError("A decision has a name and a reason. Nothing was changed.")
    ways = ways or Ways()
    with open_ledger(settings.home, ways.clock) as ledger:
        if decision in ("abandon", "acknowledge"):
            act = abandon if decision == "abandon" else acknowledge
            act(ledger, row_key, by=by, reason=reason)
        else:
            row = _quarantined(ledger, row_key)  # told before anybody is asked
            async with at_work(settings, ledger, ways) as run:
                if row.op != ISSUE and decision == "release":
                    await read_resolve.release(run, row, by=by, also_by=also_by, reason=reason)
                elif row.op != ISSUE:
                    await read_resolve.adopt(run, row, document or "", by=by, reason=reason)
                elif decision == "release":
                    await release(run, row_key, by=by, reason=reason)
                else:
                    await adopt(run, row_key, document or "", by=by, reason=reason)
        return _newest(ledger, row_key)


async def adopt(run: Run, row_key: str, document_id: str, *, by: str, reason: str) -> Facts:
    """A quarantined row's document is this one: it is read, and the row is VERIFIED.

    What differs from the row is recorded in its flags. Raises ConfigError when the
    document does not exist, was never issued, or is another row's.
    """
    row = _quarantined(run.ledger, row_key)
    found = await read_document(run, document_id)
    if found is None or not found.issued:
        raise ConfigError(f"Document {document_id} was not issued, so no row can be adopted to it.")
    others = [i for i in rows.by_tag(run.ledger, found.tag or "") if i.row_key != row_key]
    others += [i for i in rows.of_document(run.ledger, document_id) if i.row_key != row_key]
    if others or (found.tag is not None and found.tag != row.row_tag):
        whose = f"row {others[0].row_key}'s" if others else "of another row"
        raise ConfigError(f"Document {document_id} is {whose}. Nothing was changed.")
    differences = facts.compare(row, found).differences
    flags = "adopted" + (f" differs:{','.join(differences)}" if differences else "")
    with run.ledger.transaction():
        current = _quarantined(run.ledger, row_key)
        rows.move(
            run.ledger,
            current.id,
            State.ISSUED,
            actor=by,
            reason=reason,
            evidence={"document": found.id, "differs": list(differences)},
            by_person=True,
            document_id=found.id,
            folio=found.folio,
        )
        rows.move(
            run.ledger,
            current.id,
            State.VERIFIED,
            actor=by,
            reason="adopted by a person",
            evidence={"document": found.id},
            flags=flags,
            **found.amounts,
        )
    return found


async def release(run: Run, row_key: str, *, by: str, reason: str) -> int:
    """A quarantined row was surely never issued: its next generation is READY.

    Raises ConfigError, and nothing is changed, while that is not sure: a document is
    known, the look-ups so far are too few or too close together, or the one made now
    finds something or cannot see all.
    """
    row = _quarantined(run.ledger, row_key)
    if row.document_id is not None:
        raise ConfigError(
            f"Row {row_key} was issued as document {row.document_id}: issuing it again would make "
            "two. Adopt it, or void it with a credit note (61) and abandon the row."
        )
    sight = await look_up(run, row.entity, [row])
    if not sight.complete:
        raise ConfigError(f"Row {row_key} is not released: {sight.why}. Try again later.")
    if sight.of(row):
        found = ", ".join(each.id for each in sight.of(row))
        raise ConfigError(f"Row {row_key} exists as document {found}. Adopt it instead.")
    with run.ledger.transaction():
        note_misses(run.ledger, [row], sight)
    doubt = is_surely_absent(run.ledger, run.pace, row)
    if doubt:
        raise ConfigError(f"Row {row_key} may still appear: {doubt}")
    with run.ledger.transaction():
        current = _quarantined(run.ledger, row_key)
        rows.move(
            run.ledger,
            current.id,
            State.RELEASED,
            actor=by,
            reason=reason,
            evidence={"look": sight.how},
            by_person=True,
        )
        approval = run.ledger.con.execute(
            "INSERT INTO approvals (kind, plan_hash, by, at, note) VALUES ('release', ?, ?, ?, ?)",
            [current.payload_sha256, by, run.ledger.now(), reason],
        )
        return rows.next_generation(
            run.ledger, current, approval_id=int(approval.lastrowid or 0), actor=by, reason=reason
        )


def abandon(ledger: Ledger, row_key: str, *, by: str, reason: str) -> None:
    """Gives a row up: it is never sent, or what became of it is no longer followed.

    Raises ConfigError when it is under way or already at its end.
    """
    with ledger.transaction():
        row = _newest(ledger, row_key)
        if (row.state, State.ABANDONED) not in BY_A_PERSON:
            raise ConfigError(f"Row {row_key} is {row.state}; it cannot be abandoned.")
        rows.move(
            ledger, row.id, State.ABANDONED, actor=by, reason=reason, evidence={}, by_person=True
        )


def acknowledge(ledger: Ledger, row_key: str, *, by: str, reason: str) -> None:
    """A person has seen that a row was rejected by the API or by SII, or issued twice.

    Raises ConfigError for a row that was not.
    """
    with ledger.transaction():
        row = _newest(ledger, row_key)
        if row.state is not State.REJECTED and not row.sii_state and not is_incident(row):
            raise ConfigError(f"Row {row_key} is {row.state}; there is nothing to acknowledge.")
        rows.acknowledge(ledger, row.id, by=by, reason=reason)


def advice(ledger: Ledger, row: rows.Intent, pace: Pace) -> str:
    """What a person may do about a row, by what the ledger knows; '' when nothing is open."""
    if row.acknowledged_by is None and (row.state is State.REJECTED or row.sii_state):
        return "--acknowledge, or mend the source and plan again"
    if row.state is not State.QUARANTINED:
        return "--acknowledge" if is_incident(row) and row.acknowledged_by is None else ""
    exists = row.document_id is not None
    if exists and row.op == ISSUE:
        return f"--adopt {row.document_id} if that document stands as it is, or --abandon"
    over = read_resolve.too_late(ledger, row)
    if over:
        return f"--adopt {row.document_id} once it reads so, or --abandon. {over}"
    doubt = is_surely_absent(ledger, pace, row)
    if not doubt:
        two = " by two people, with --also-by" if row.op in read_resolve.BY_TWO else ""
        return f"--release{two} (it surely never happened), or --abandon"
    found = (
        f"--adopt {row.document_id} once it reads so"
        if exists
        else "--adopt DOCUMENT when it turns up"
    )
    return f"{found}, or --abandon. No release yet: {doubt}"


def _newest(ledger: Ledger, row_key: str) -> rows.Intent:
    found = rows.generations(ledger, row_key)
    if not found:
        raise ConfigError(f"The ledger has no row {row_key!r}. `tupana outbox status` lists them.")
    return found[-1]


def _quarantined(ledger: Ledger, row_key: str) -> rows.Intent:
    row = _newest(ledger, row_key)
    if row.state is not State.QUARANTINED:
        raise ConfigError(f"Row {row_key} is {row.state}, not QUARANTINED. Nothing was changed.")
    return row
