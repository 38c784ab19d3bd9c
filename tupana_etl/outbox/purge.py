"""Takes the content out of rows that have been at rest for long: what was sent, not that it was.

Gone are payloads and request bodies, the receiver's RUT, and every word that an event or an
attempt quoted from a cell or from the API. Row key, hashes, document id, folio, amounts,
states, who decided what and when, and a payment's day and source stay, so that nothing is
issued twice and sums still reconcile. A row whose end is not known keeps everything, and so
does what shares its row key or its request body: those bytes are evidence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tupana_etl.domain import utcnow
from tupana_etl.errors import ConfigError, LedgerError, LockHeld
from tupana_etl.outbox import chain, failpoints, rows
from tupana_etl.outbox.drafts import canonical
from tupana_etl.outbox.ledger import Clock, Ledger, open_ledger, sending, stamp
from tupana_etl.outbox.legal_acts import Act
from tupana_etl.outbox.payment_drafts import entry_of
from tupana_etl.outbox.run import INCIDENTS
from tupana_etl.outbox.states import DEAD, ENDED, PAYMENT, RESTING, State

LEAST_DAYS = 3
"""A row once in doubt is looked up for 48 hours after its last attempt, for a second document."""

UNFINISHED = "purge_unfinished"
"""Fact of the ledger: content was purged, and the file is yet to be written anew without it."""

LAST = "purged_at_sequence"
"""Fact of the ledger: the commit of the last purge. A copy from before it holds more."""


@dataclass(frozen=True)
class Row:
    """A row at rest for long enough."""

    id: int
    op: str
    row_key: str
    generation: int
    state: State
    rested_at: str
    """When the last thing happened to it (ISO 8601, UTC)."""
    kept_for: str = ""
    """The row, its state and since when, that makes this one keep its content; '' when it goes."""


@dataclass(frozen=True)
class Purge:
    """What a purge took, or would take."""

    before: datetime
    """Rows at rest since before this moment (UTC) are old enough."""
    purged: list[Row]
    kept: list[Row]
    """Old enough, and sharing a row key or a request body with a row that is not."""
    unfinished: Mapping[State, int]
    """By state, rows to which nothing happened for as long, and that are not at rest: they keep
    everything until somebody decides about them."""
    envelopes: list[int]
    """Request bodies that are emptied."""


def purge(
    home: Path, days: int, *, by: str, reason: str = "", clock: Clock = utcnow, wait: float = 60.0
) -> Purge:
    """Purges the content of rows at rest for more than ``days``, in a person's name.

    One commit, then the file is written anew without it; a purge that ended between the two
    is finished by the next one. Waits up to ``wait`` seconds for a sender or another purge.
    Raises ConfigError for too few days or when nobody is named, LedgerError, LockHeld.
    """
    if not by.strip():
        raise ConfigError("--by is missing: a purge has a name. Nothing was purged.")
    with sending(home, wait), open_ledger(home, clock) as ledger:
        found = preview(ledger, days)
        failpoints.hit("purge.before")
        if found.purged:
            with ledger.transaction():
                found = preview(ledger, days)  # plans and people do not wait for the lock
                _take(ledger, found, by=by.strip(), reason=reason.strip() or f"{days} days over")
        failpoints.hit("purge.after")
        if ledger.meta(UNFINISHED):
            _write_anew(ledger)
            failpoints.hit("purge.compacted")
            with ledger.transaction():
                ledger.set_meta(UNFINISHED, "")
    return found


def preview(ledger: Ledger, days: int) -> Purge:
    """What a purge would take at this moment. Raises ConfigError for too few days."""
    if days < LEAST_DAYS:
        raise ConfigError(
            f"--older-than {days} is too early: rows once in doubt are looked up for 48 hours, so "
            f"content stays for {LEAST_DAYS} days at least. Nothing was purged."
        )
    before = ledger.clock() - timedelta(days=days)
    found = list(_with_content(ledger))
    old = [(row, ended) for row, ended in found if row.rested_at < stamp(before)]
    due = {row.id for row, ended in old if ended}
    groups = _groups(ledger, [row for row, _ in found])
    keeping = {groups[row.id]: row for row, _ in found if row.id not in due}
    purged: list[Row] = []
    kept: list[Row] = []
    for row in (row for row, _ in found if row.id in due):
        other = keeping.get(groups[row.id])
        if other is None:
            purged.append(row)
        else:
            told = f"{other.row_key} ({other.state} since {other.rested_at[:10]})"
            kept.append(replace(row, kept_for=told))
    unfinished = Counter(row.state for row, ended in old if not ended)
    return Purge(before, purged, kept, unfinished, _bodies(ledger, {row.id for row in purged}))


def _with_content(ledger: Ledger) -> Iterator[tuple[Row, bool]]:
    """Every row that was not purged, and whether nothing about it is open any more."""
    found = ledger.con.execute(
        "SELECT i.id, i.op, i.row_key, i.generation, i.state, "
        "(SELECT max(e.at) FROM events e WHERE e.intent_id = i.id), "
        "i.reason_code, i.acknowledged_by IS NOT NULL, i.generation < (SELECT max(generation) "
        "FROM intents j WHERE j.op = i.op AND j.row_key = i.row_key) "
        "FROM intents i WHERE i.purged_at IS NULL ORDER BY i.id"
    )
    for row_id, op, key, generation, told, at, code, seen, followed in found:
        state = State(told)
        if followed and state in DEAD:
            ended = True
        elif seen:  # a person knows of its bad end
            ended = state in ENDED or state is State.ISSUED
        else:
            ended = state in RESTING and code not in INCIDENTS
        yield Row(row_id, op, key, generation, state, at), ended


def _groups(ledger: Ledger, found: Sequence[Row]) -> dict[int, int]:
    """By row, the number of its group: rows that share a row key or a request body, directly
    or through others."""
    parent = {row.id: row.id for row in found}

    def top(row_id: int) -> int:
        while parent[row_id] != row_id:
            parent[row_id] = parent[parent[row_id]]
            row_id = parent[row_id]
        return row_id

    first: dict[tuple[str, str] | int, int] = {}
    shared: list[tuple[tuple[str, str] | int, int]] = [((r.op, r.row_key), r.id) for r in found]
    shared += ledger.con.execute("SELECT envelope_id, intent_id FROM members").fetchall()
    for what, row_id in shared:
        if row_id in parent:
            parent[top(row_id)] = top(first.setdefault(what, row_id))
    return {row.id: top(row.id) for row in found}


def _bodies(ledger: Ledger, purged: set[int]) -> list[int]:
    found = ledger.con.execute(
        "SELECT DISTINCT m.envelope_id, m.intent_id FROM members m "
        "JOIN envelopes e ON e.id = m.envelope_id WHERE e.purged_at IS NULL"
    )
    return sorted({envelope for envelope, row_id in found if row_id in purged})


def _take(ledger: Ledger, found: Purge, *, by: str, reason: str) -> None:
    """Expects a transaction."""
    now = ledger.now()
    for row in found.purged:
        intent = rows.get(ledger, row.id)
        words, seals = chain.purge_words(ledger.con, row.id)
        rows.note(
            ledger,
            row.id,
            actor=by,
            reason=f"content purged: {reason}",
            evidence={"sha256": intent.payload_sha256, chain.SEALED: seals},
            restate=intent.reason in words,
            payload=_remains(intent),
            receiver_rut="",
            purged_at=now,
        )
    about = [(envelope,) for envelope in found.envelopes]
    ledger.con.executemany("UPDATE attempts SET note = NULL WHERE envelope_id = ?", about)
    ledger.con.executemany(
        "UPDATE envelopes SET body = x'', purged_at = ? WHERE id = ?",
        [(now, envelope) for envelope in found.envelopes],
    )
    ledger.set_meta(UNFINISHED, now)
    ledger.set_meta(LAST, str(ledger.sequence + 1))
    failpoints.hit("purge.inside")


def _remains(intent: rows.Intent) -> bytes | None:
    """Of a payment its day and source, which the marts show; of an act, which it was."""
    if intent.op != PAYMENT or intent.payload is None:
        return None
    entry = entry_of(intent.payload)
    if isinstance(entry, Act):
        entry = msgspec.structs.replace(entry, reason="", issuer_rut="")
    return canonical(entry)


def _write_anew(ledger: Ledger) -> None:
    try:
        ledger.compact()
    except (LedgerError, LockHeld) as error:
        raise type(error)(
            "The content is purged, and the file could not be written anew without it: bytes of "
            f"it may lie in pages no longer used. {error} The next purge does it."
        ) from error
