"""The states of a row and the only moves between them, as data.

A row that is not in a resting state still needs somebody or something: a send, a poll, a
look-up or a person.
"""

from __future__ import annotations

from enum import StrEnum

ISSUE, PAYMENT, CESSION, SCHEDULE = "issue", "payment", "cession", "schedule"
OPS = (ISSUE, PAYMENT, CESSION, SCHEDULE)
"""What a row asks for: a document, a payment booked on one (or an act at SII about one), an
invoice ceded, or a standing order to issue documents."""


class State(StrEnum):
    PLANNED = "PLANNED"
    """Valid, in the newest plan of its source; nobody has approved it."""
    BLOCKED = "BLOCKED"
    """Not valid; the reason says what to mend in the source."""
    WITHDRAWN = "WITHDRAWN"
    """Never sent, and the newest plan of its source no longer holds it."""
    READY = "READY"
    """Approved; the next send takes it."""
    BOUND = "BOUND"
    """Its bytes and its idempotency key are frozen in an envelope; not sent."""
    IN_FLIGHT = "IN_FLIGHT"
    """The attempt is on disk, so bytes may have left."""
    UNKNOWN = "UNKNOWN"
    """It may or may not have been executed; only a look-up tells."""
    ACCEPTED = "ACCEPTED"
    """The API took the batch; the document's result is outstanding."""
    STUCK = "STUCK"
    """Accepted, and no final result in time. Never sent again."""
    ISSUED = "ISSUED"
    """The document exists; not yet compared with what was asked."""
    VERIFIED = "VERIFIED"
    """Read back, and equal to what was asked."""
    REJECTED = "REJECTED"
    """Provably not issued. A changed source row opens a new generation."""
    QUARANTINED = "QUARANTINED"
    """Evidence is missing or contradicts itself; a person decides."""
    ABANDONED = "ABANDONED"
    """A person gave it up."""
    RELEASED = "RELEASED"
    """A person let the next generation take its place."""


S = State

MOVES: dict[State, frozenset[State]] = {
    S.PLANNED: frozenset({S.BLOCKED, S.WITHDRAWN, S.READY, S.ABANDONED}),
    S.BLOCKED: frozenset({S.PLANNED, S.WITHDRAWN, S.ABANDONED}),
    S.WITHDRAWN: frozenset({S.PLANNED, S.BLOCKED}),
    # Approved is sent: a row whose content changed after its approval needs a new one.
    # After a rebuild its document may turn out to be there: from before the restored backup.
    S.READY: frozenset(
        {S.PLANNED, S.BLOCKED, S.WITHDRAWN, S.BOUND, S.ABANDONED, S.ISSUED, S.QUARANTINED}
    ),
    # Back to READY only with its whole envelope retired, which no attempt may have left open.
    S.BOUND: frozenset({S.IN_FLIGHT, S.READY}),
    S.IN_FLIGHT: frozenset({S.ACCEPTED, S.BOUND, S.READY, S.REJECTED, S.UNKNOWN, S.QUARANTINED}),
    # REJECTED: a payment or an act that was refused, and that its document does not show either.
    S.UNKNOWN: frozenset({S.ACCEPTED, S.ISSUED, S.QUARANTINED, S.REJECTED}),
    S.ACCEPTED: frozenset({S.ISSUED, S.REJECTED, S.STUCK, S.QUARANTINED}),
    S.STUCK: frozenset({S.ISSUED, S.REJECTED, S.QUARANTINED}),
    S.ISSUED: frozenset({S.VERIFIED, S.QUARANTINED}),
    S.QUARANTINED: frozenset({S.ISSUED, S.RELEASED, S.ABANDONED}),
    S.VERIFIED: frozenset(),
    S.REJECTED: frozenset(),
    S.ABANDONED: frozenset(),
    S.RELEASED: frozenset(),
}
"""From each state, where a row may go. Nothing else ever happens to a row."""

BY_A_PERSON = frozenset(
    {(S.QUARANTINED, S.ISSUED), (S.QUARANTINED, S.RELEASED)}
    | {(before, S.ABANDONED) for before in S if S.ABANDONED in MOVES[before]}
)
"""Moves that need a name and a reason."""

DEAD = frozenset({S.REJECTED, S.ABANDONED, S.RELEASED})
"""No document of this generation will ever exist: another generation may live."""

UNSENT = frozenset({S.PLANNED, S.BLOCKED, S.WITHDRAWN, S.READY})
"""Not frozen in any envelope: a plan may still change these."""

ENDED = DEAD | {State.VERIFIED, State.WITHDRAWN}
"""Nothing is in doubt: the content is evidence of nothing that is still open."""

RESTING = frozenset({S.VERIFIED, S.ABANDONED, S.WITHDRAWN, S.RELEASED})
"""Nothing is left to do."""


class IllegalMove(RuntimeError):
    """Code tried a move that ``MOVES`` does not hold: a bug, and nothing was written."""


def check_move(before: State, after: State, *, by_person: bool) -> None:
    """Raises IllegalMove unless the table allows it, to whoever asks."""
    if after not in MOVES[before]:
        raise IllegalMove(f"A row cannot go from {before} to {after}.")
    if (before, after) in BY_A_PERSON and not by_person:
        raise IllegalMove(f"Only a named person may move a row from {before} to {after}.")
