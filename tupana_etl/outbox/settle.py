"""What an answer means for the rows of its envelope, written in one commit with the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tupana_etl.api.outcomes import Item, Kind, Outcome
from tupana_etl.outbox import cession_answers, envelopes, failpoints, rows
from tupana_etl.outbox.envelopes import Attempt, Envelope
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.states import CESSION, PAYMENT, State
from tupana_etl.outbox.window import MAX_SKEW

ACTOR = "sender"

REFUSED_ITEMS = frozenset({"invalid", "permanent_error"})
"""Final statuses of a document that was not issued."""


@dataclass(frozen=True)
class Settled:
    """What is to do next with the rows of an envelope."""

    groups: tuple[tuple[int, ...], ...] = ()
    """Rows to bind anew, each group in an envelope of its own."""
    incident: str = ""
    """Why nothing more may be sent for the company."""


def settle(ledger: Ledger, envelope: Envelope, attempt: Attempt, outcome: Outcome) -> Settled:
    """Closes an attempt and moves the rows, in one transaction."""
    failpoints.hit("result.before")
    with ledger.transaction():
        foreign = _foreign(ledger, envelope, outcome)
        to_read = outcome.kind is Kind.REFUSED and envelope.op == PAYMENT
        ambiguous = outcome.kind is Kind.AMBIGUOUS or to_read
        envelopes.close_attempt(
            ledger,
            attempt,
            str(outcome.kind),
            ambiguous=ambiguous,
            http_status=outcome.status,
            request_id=outcome.request_id,
            batch_id=None if foreign else outcome.batch_id,
            response_sha256=outcome.response_sha256,
            skew_seconds=outcome.skew,
            note=_note(outcome),
        )
        if outcome.skew is not None and abs(outcome.skew) > MAX_SKEW:
            why = f"our clock and the server's differ by {outcome.skew:.0f} s"
            envelopes.close_window(ledger, envelope.id, why)
        done = _Case(ledger, envelope, attempt, outcome, foreign, to_read).decide()
    failpoints.hit("result.after")
    return done


def unknown_after_crash(ledger: Ledger, attempt: Attempt) -> None:
    """An attempt whose end nobody saw: its rows may have been executed."""
    with ledger.transaction():
        envelopes.close_attempt(
            ledger, attempt, "unseen", ambiguous=True, note="the process ended during the attempt"
        )
        for intent in envelopes.members(ledger, attempt.envelope_id):
            if intent.state is State.IN_FLIGHT:
                rows.move(
                    ledger,
                    intent.id,
                    State.UNKNOWN,
                    actor="sweeper",
                    reason="the end of the attempt was never seen",
                    evidence={"envelope": attempt.envelope_id, "attempt": attempt.number},
                )


def quarantine(
    ledger: Ledger,
    intents: Sequence[rows.Intent],
    code: str,
    reason: str,
    *,
    actor: str,
    evidence: dict[str, Any] | None = None,
) -> None:
    """Rows that a person has to look at. Expects a transaction."""
    for intent in intents:
        rows.move(
            ledger,
            intent.id,
            State.QUARANTINED,
            actor=actor,
            reason=reason,
            evidence=evidence,
            reason_code=code,
        )


@dataclass(frozen=True)
class _Case:
    """One answer to one envelope."""

    ledger: Ledger
    envelope: Envelope
    attempt: Attempt
    outcome: Outcome
    foreign: str
    to_read: bool
    """400 says "or an error while registering" too (API reference, POST
    /documents/{id}/states), SII's errors among them: the document is read first."""

    def decide(self) -> Settled:
        if self.foreign:
            quarantine(
                self.ledger,
                self._live(),
                "foreign_batch",
                self.foreign,
                actor=ACTOR,
                evidence=self._evidence(),
            )
            return Settled(incident=self.foreign)
        match self.outcome.kind:
            case Kind.ACCEPTED:
                return self._accepted()
            case Kind.REFUSED if not self.to_read:
                return self._refused()
            case Kind.REFUSED | Kind.AMBIGUOUS:
                self._move(State.UNKNOWN, self.outcome.reason)
            case _:  # nothing was processed: as before the attempt
                self._move(State.BOUND, self.outcome.reason)
        return Settled()

    def _accepted(self) -> Settled:
        items = self.outcome.items
        members = envelopes.members(self.ledger, self.envelope.id)
        if items and not _fits(items, len(members)):
            reason = "the answer speaks of documents that were not in the batch"
            quarantine(
                self.ledger,
                self._live(),
                "batch_mismatch",
                reason,
                actor=ACTOR,
                evidence=self._evidence(),
            )
            return Settled()
        ceding = self.envelope.op == CESSION
        refused = cession_answers.refused(self.outcome.answer, self._live()) if ceding else {}
        self._reject(refused)
        for intent in self._live():
            if intent.id not in refused:
                rows.move(
                    self.ledger,
                    intent.id,
                    State.ACCEPTED,
                    actor=ACTOR,
                    reason="taken in",
                    evidence=self._evidence(),
                )
        return Settled()

    def _refused(self) -> Settled:
        if self.envelope.ever_ambiguous:
            reason = f"refused after an attempt of unknown outcome: {self.outcome.reason}"
            quarantine(
                self.ledger,
                self._live(),
                "refused_after_doubt",
                reason,
                actor=ACTOR,
                evidence=self._evidence(),
            )
            return Settled()
        members = self._live()
        named = {
            i: text
            for i, text in self.outcome.refused.items()
            if i < len(members) and self.outcome.status != 413
        }
        if self.envelope.op == CESSION:
            told = cession_answers.refused(self.outcome.answer, members)
            named = {i: told[m.id] for i, m in enumerate(members) if m.id in told}
        if not named and len(members) == 1:
            named = {0: self.outcome.reason}
        self._reject({members[index].id: text for index, text in named.items()})
        envelopes.retire(
            self.ledger,
            self.envelope.id,
            actor=ACTOR,
            reason="refused whole, nothing was made of it: bound anew",
        )
        rest = [m.id for i, m in enumerate(members) if i not in named]
        if not rest or self.envelope.op == CESSION:  # read again before they are sent again
            return Settled()
        if named:
            return Settled((tuple(rest),))
        half = (len(rest) + 1) // 2
        return Settled((tuple(rest[:half]), tuple(rest[half:])))

    def _reject(self, refused: Mapping[int, str]) -> None:
        """Rows, by id, that were provably not executed, each with the reason."""
        for row_id, text in refused.items():
            rows.move(
                self.ledger,
                row_id,
                State.REJECTED,
                actor=ACTOR,
                reason=text,
                evidence=self._evidence(),
                reason_code="refused",
            )

    def _move(self, to: State, reason: str) -> None:
        """Rows in flight; those of a doubtful envelope stay UNKNOWN whatever a replay says."""
        for intent in envelopes.members(self.ledger, self.envelope.id):
            if intent.state is State.IN_FLIGHT:
                rows.move(
                    self.ledger,
                    intent.id,
                    to,
                    actor=ACTOR,
                    reason=reason,
                    evidence=self._evidence(),
                )

    def _live(self) -> list[rows.Intent]:
        """The rows this answer decides, in the order of the body."""
        return [
            intent
            for intent in envelopes.members(self.ledger, self.envelope.id)
            if intent.state in (State.IN_FLIGHT, State.UNKNOWN)
        ]

    def _evidence(self) -> dict[str, Any]:
        told = {
            "envelope": self.envelope.id,
            "attempt": self.attempt.number,
            "class": str(self.outcome.kind),
            "http": self.outcome.status,
            "request_id": self.outcome.request_id,
            "batch": self.outcome.batch_id,
        }
        return {name: value for name, value in told.items() if value is not None}


def _fits(items: Sequence[Item], count: int) -> bool:
    """No position twice, and none beyond the batch. Fewer may follow with the results."""
    places = [item.index for item in items]
    return len(set(places)) == len(places) and all(0 <= place < count for place in places)


def _foreign(ledger: Ledger, envelope: Envelope, outcome: Outcome) -> str:
    """Why the batch in an answer cannot be this envelope's; '' when it can."""
    batch = outcome.batch_id
    if outcome.kind is not Kind.ACCEPTED or batch is None:
        return ""
    before = {a.batch_id for a in envelopes.attempts(ledger, envelope.id) if a.batch_id}
    if before - {batch}:
        return f"a replay was answered with batch {batch}, an earlier attempt with another one"
    other = ledger.con.execute(
        "SELECT id FROM envelopes WHERE batch_id = ? AND id <> ?", [batch, envelope.id]
    ).fetchone()
    return f"batch {batch} is envelope {other[0]}'s, not this one's" if other else ""


def _note(outcome: Outcome) -> str:
    return f"{outcome.reason} [{outcome.code}]" if outcome.code else outcome.reason
