"""What a named person decides about a payment whose answer was lost."""

from __future__ import annotations

from tupana_etl.errors import ConfigError
from tupana_etl.outbox import rows
from tupana_etl.outbox.payments import Seen, reads_as_wanted, see
from tupana_etl.outbox.reconcile import is_surely_absent
from tupana_etl.outbox.run import Run
from tupana_etl.outbox.states import State


async def adopt(run: Run, row: rows.Intent, document_id: str, *, by: str, reason: str) -> None:
    """The payment is there: the document is read, says so, and the row is VERIFIED.

    Raises ConfigError, and nothing is changed, when it does not say so.
    """
    if document_id != row.document_id:
        raise ConfigError(
            f"Row {row.row_key} is about document {row.document_id}, not {document_id}. Nothing "
            "was changed."
        )
    if not reads_as_wanted(row, await _seen(run, row)):
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
        )
        rows.move(
            run.ledger,
            row.id,
            State.VERIFIED,
            actor=by,
            reason="adopted by a person",
            evidence=evidence,
        )


async def release(run: Run, row: rows.Intent, *, by: str, reason: str) -> int:
    """The payment was surely never booked: its next generation is READY. Returns its id.

    Raises ConfigError, and nothing is changed, while that is not sure: the document reads
    as wanted, or was not read often and long enough.
    """
    if reads_as_wanted(row, await _seen(run, row)):
        raise ConfigError(
            f"Document {row.document_id} reads as row {row.row_key} wants it. Adopt it instead."
        )
    doubt = is_surely_absent(run.ledger, run.pace, row)
    if doubt:
        raise ConfigError(f"Row {row.row_key} may still be booked: {doubt}")
    with run.ledger.transaction():
        _check_quarantined(run, row)
        rows.move(
            run.ledger,
            row.id,
            State.RELEASED,
            actor=by,
            reason=reason,
            evidence={"document": row.document_id},
            by_person=True,
        )
        approval = run.ledger.con.execute(
            "INSERT INTO approvals (kind, plan_hash, by, at, note) VALUES ('release', ?, ?, ?, ?)",
            [row.payload_sha256, by, run.ledger.now(), reason],
        )
        return rows.next_generation(
            run.ledger, row, approval_id=int(approval.lastrowid or 0), actor=by, reason=reason
        )


async def _seen(run: Run, row: rows.Intent) -> Seen:
    seen = await see(run, row)
    if seen is None:
        raise ConfigError(f"{run.notices[-1]} Nothing was changed.")
    return seen


def _check_quarantined(run: Run, row: rows.Intent) -> None:
    if rows.get(run.ledger, row.id).state is not State.QUARANTINED:
        raise ConfigError(f"Row {row.row_key} was decided meanwhile. Nothing was changed.")
