"""Goes on with an older copy of the ledger, put back after a loss.

What happened after the copy was made is in no ledger any more, only in the API. So nothing
is sent on the copy's word: what it holds frozen is thawed, and from then on every row is
looked up by its tag before it is first sent.
"""

from __future__ import annotations

from dataclasses import dataclass

from tupana_etl.errors import ConfigError, LedgerError
from tupana_etl.outbox import custody, envelopes, rows
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.states import State

REBUILT = "rebuilt_at"
"""Fact of the ledger: since when rows are looked up before they are first sent."""


@dataclass(frozen=True)
class Rebuilt:
    """What was accepted."""

    sequence: int
    """Commits the copy had."""
    lost: int
    """Commits this home had seen beyond them; 0 when it cannot be told."""
    thawed: int
    """Rows whose envelope is given up, so that they are looked up first."""


def rebuild(ledger: Ledger, *, by: str, reason: str) -> Rebuilt:
    """Accepts the ledger as it is, opened with ``of_any_age``, in a person's name.

    Raises ConfigError when nobody is named or no reason given, LedgerError when it is
    another home's.
    """
    if not by.strip() or not reason.strip():
        raise ConfigError("--by and --reason are kept for whoever asks later; fill both.")
    witness = _witness(ledger)
    sequence = ledger.sequence
    with ledger.transaction():
        thawed = 0
        for envelope in envelopes.holding(ledger, State.BOUND):
            thawed += len(envelopes.members(ledger, envelope.id))
            envelopes.retire(ledger, envelope.id, actor=by, reason=f"ledger rebuilt: {reason}")
        for intent in rows.in_state(ledger, [State.READY]):
            rows.note(ledger, intent.id, actor=by, reason=f"looked up before sending: {reason}")
        ledger.set_meta(REBUILT, ledger.now())
        ledger.set_meta("sequence", str(max(sequence, witness.sequence if witness else 0)))
    return Rebuilt(sequence, max(0, (witness.sequence if witness else 0) - sequence), thawed)


def _witness(ledger: Ledger) -> custody.Witness | None:
    try:
        witness = custody.read_witness(ledger.home)
    except LedgerError:
        return None  # damaged: it can tell nothing, and is written anew
    if witness is not None and witness.ledger != ledger.meta("uuid"):
        raise LedgerError(
            f"{ledger.home / custody.LEDGER} is another home's ledger; it cannot stand in for "
            "this one. Nothing was changed."
        )
    return witness
