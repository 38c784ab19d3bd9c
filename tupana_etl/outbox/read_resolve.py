"""What named people decide about a payment, a cession or a schedule whose answer was lost."""

from __future__ import annotations

from tupana_etl.errors import ConfigError
from tupana_etl.outbox import cessions, legal_acts, payments, reading, rows, schedules
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.payment_drafts import act_of
from tupana_etl.outbox.reconcile import is_surely_absent
from tupana_etl.outbox.run import Run
from tupana_etl.outbox.states import CESSION, SCHEDULE, State

BY_TWO = {CESSION: "Ceding", SCHEDULE: "Making a schedule"}
"""What takes two people to be done once more: done twice, it sells or invoices twice."""


async def adopt(run: Run, row: rows.Intent, document_id: str, *, by: str, reason: str) -> None:
    """It is there: it is read, and the row is VERIFIED.

    Raises ConfigError, and nothing is changed, when it is not there as the row asked.
    """
    if row.op == SCHEDULE:
        await _check_schedule(run, row, document_id)
    elif document_id != row.document_id:
        raise ConfigError(
            f"Row {row.row_key} is about document {row.document_id}, not {document_id}. Nothing "
            "was changed."
        )
    elif await _absent(run, row):
        raise ConfigError(
            f"Document {document_id} does not read as row {row.row_key} wants it, so there is "
            "nothing to adopt. Nothing was changed."
        )
    evidence = {"document": document_id}
    with run.ledger.transaction():
        _check_quarantined(run, row)
        rows.move(
            run.ledger,
            row.id,
            State.ISSUED,
            actor=by,
            reason=reason,
            evidence=evidence,
            by_person=True,
            flags="adopted",
            document_id=document_id,
        )
        rows.move(
            run.ledger,
            row.id,
            State.VERIFIED,
            actor=by,
            reason="adopted by a person",
            evidence=evidence,
        )


async def release(run: Run, row: rows.Intent, *, by: str, also_by: str, reason: str) -> int:
    """It surely never happened: the row's next generation is READY. Returns its id.

    What is in ``BY_TWO`` takes two people. Raises ConfigError, and nothing is changed, while it
    is not sure: it reads as wanted or otherwise than before, or was not looked for often and
    long enough; and when it is an act whose eight days are over.
    """
    names = f"{by} and {also_by.strip()}" if also_by.strip() else by
    if row.op in BY_TWO and _folded(also_by) in ("", _folded(by)):
        raise ConfigError(
            f"{BY_TWO[row.op]} once more takes two people: give --also-by with another name than "
            "--by. Nothing was changed."
        )
    over = too_late(run.ledger, row)
    if over:
        raise ConfigError(f"Row {row.row_key} is not released. {over} Nothing was changed.")
    if not await _absent(run, row):
        what = "Its schedule" if row.op == SCHEDULE else f"Document {row.document_id}"
        raise ConfigError(f"{what} reads as row {row.row_key} wants it. Adopt it instead.")
    reading.note_miss(run, row)
    doubt = is_surely_absent(run.ledger, run.pace, row)
    if doubt:
        raise ConfigError(f"Row {row.row_key} may still happen: {doubt}")
    with run.ledger.transaction():
        _check_quarantined(run, row)
        rows.move(
            run.ledger,
            row.id,
            State.RELEASED,
            actor=names,
            reason=reason,
            evidence={"document": row.document_id},
            by_person=True,
        )
        approval = run.ledger.con.execute(
            "INSERT INTO approvals (kind, plan_hash, by, at, note) VALUES ('release', ?, ?, ?, ?)",
            [row.payload_sha256, names, run.ledger.now(), reason],
        )
        return rows.next_generation(
            run.ledger, row, approval_id=int(approval.lastrowid or 0), actor=names, reason=reason
        )


def too_late(ledger: Ledger, row: rows.Intent) -> str:
    """Why an act at SII is of no use any more, as a sentence; '' while it is, and of other rows."""
    act = act_of(row.op, row.payload)
    if act is None or act.deadline is None:
        return ""
    return legal_acts.out_of_time(act.event_code, act.deadline, ledger.clock())


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


async def _check_schedule(run: Run, row: rows.Intent, number: str) -> None:
    """Raises ConfigError unless a schedule is the one that a row asks for."""
    if number not in await _schedules(run, row):
        raise ConfigError(
            f"Schedule {number} is not what row {row.row_key} asks for, so there is nothing to "
            "adopt. Nothing was changed."
        )


async def _schedules(run: Run, row: rows.Intent) -> list[str]:
    shelf = await schedules.read_shelf(run, row.entity)
    if shelf is None:
        raise ConfigError(f"{run.notices[-1]} Nothing was changed.")
    return schedules.found_for(run, row, shelf)


async def _absent(run: Run, row: rows.Intent) -> bool:
    """Whether what the row wanted is not there now. Raises ConfigError when nobody can tell."""
    if row.op == SCHEDULE:
        return not await _schedules(run, row)
    if row.op == CESSION:
        known = await cessions.register(run, row.entity)
        if known is None:
            raise ConfigError(f"{run.notices[-1]} Nothing was changed.")
        listed = known.of(row)
        if listed is not None and not cessions.is_wanted(row, listed):
            raise ConfigError(
                f"Row {row.row_key}: {cessions.differs(listed)}. Abandon the row; nothing was "
                "changed."
            )
        return listed is None
    seen = await payments.see(run, row)
    if seen is None:
        raise ConfigError(f"{run.notices[-1]} Nothing was changed.")
    return not payments.reads_as_wanted(row, seen)


def _check_quarantined(run: Run, row: rows.Intent) -> None:
    if rows.get(run.ledger, row.id).state is not State.QUARANTINED:
        raise ConfigError(f"Row {row.row_key} was decided meanwhile. Nothing was changed.")
