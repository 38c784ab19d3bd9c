"""Rows in the ledger: put in, moved, found. Every move writes its event in the same commit.

The functions that write expect an open ``ledger.transaction()``.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tupana_etl.outbox import chain
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.states import DEAD, ISSUE, OPS, SCHEDULE, IllegalMove, State, check_move

SETTABLE = frozenset(
    {
        *("reason_code", "approval_id", "envelope_id", "position", "plan_id", "source"),
        *("document_id", "folio", "sii_state", "flags", "ever_ambiguous"),
        *("issued_net", "issued_exempt", "issued_iva", "issued_total"),
        *("entity", "dte_type", "receiver_rut", "date_issued", "currency"),
        *("net", "exempt", "iva", "withheld", "total"),
        *("payload", "payload_sha256", "said_sha256", "purged_at"),
    }
)
"""Columns a move may set besides the state."""


CONTENT = (
    *("op", "row_key", "row_tag", "source", "plan_id"),
    *("payload", "payload_sha256", "said_sha256"),
    *("entity", "dte_type", "receiver_rut", "date_issued", "currency"),
    *("net", "exempt", "iva", "withheld", "total"),
)
"""Columns that say what shall be issued: the next generation of a released row keeps them."""


@dataclass(frozen=True)
class Intent:
    """One generation of one row: what shall be issued, once, and what became of it."""

    id: int
    op: str
    row_key: str
    generation: int
    row_tag: str
    """What the API is told of the row key (``json_param``)."""
    source: str
    plan_id: int
    entity: str
    """Issuer RUT."""
    dte_type: str
    receiver_rut: str
    date_issued: str
    currency: str
    net: Decimal | None
    exempt: Decimal | None
    iva: Decimal | None
    withheld: Decimal | None
    total: Decimal | None
    payload: bytes | None
    """The document's canonical JSON; None while BLOCKED, and once it was purged (of a payment
    its day and source stay)."""
    payload_sha256: str
    said_sha256: str
    """Of the values the row held; '' while BLOCKED. Outlives a change of the JSON body."""
    state: State
    reason_code: str
    reason: str
    """Why it is where it is: the last move's."""
    ever_ambiguous: bool
    approval_id: int | None
    envelope_id: int | None
    position: int | None
    """Index in the envelope, from 0."""
    document_id: str | None
    folio: str | None
    sii_state: str | None
    issued_net: Decimal | None
    issued_exempt: Decimal | None
    issued_iva: Decimal | None
    issued_total: Decimal | None
    flags: str
    acknowledged_by: str | None
    acknowledged_at: str | None
    created_at: str
    updated_at: str
    purged_at: str | None
    """When its content was taken out."""


_COLUMNS = tuple(Intent.__dataclass_fields__)
_MONEY = frozenset(
    {"net", "exempt", "iva", "withheld", "total"}
    | {"issued_net", "issued_exempt", "issued_iva", "issued_total"}
)


@dataclass(frozen=True)
class Event:
    """One thing that happened to a row."""

    at: str
    actor: str
    before: str | None
    after: str
    reason: str
    evidence: Mapping[str, Any]
    generation: int


def insert(ledger: Ledger, values: Mapping[str, Any], *, actor: str, reason: str) -> int:
    """A new generation of a row, in the state the values say. Returns its id.

    Raises sqlite3.IntegrityError when another generation of the row key is alive.
    """
    now = ledger.now()
    row = {k: _written(v) for k, v in values.items()} | {"reason": reason}
    row |= {"created_at": now, "updated_at": now}
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    cursor = ledger.con.execute(
        f"INSERT INTO intents ({names}) VALUES ({marks})", list(row.values())
    )
    intent_id = int(cursor.lastrowid or 0)
    _record(ledger, (intent_id, ledger.now(), actor, None, str(values["state"]), reason), {})
    return intent_id


def move(
    ledger: Ledger,
    intent_id: int,
    to: State,
    *,
    actor: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    by_person: bool = False,
    **columns: Any,
) -> None:
    """Moves a row, if the table of moves allows it, and writes down who, why and on what
    evidence. ``columns`` are set with it (see ``SETTABLE``); evidence holds no personal data.
    The reason is shown with the row until it moves again.

    Raises IllegalMove, and nothing is written.
    """
    found = ledger.con.execute("SELECT state FROM intents WHERE id = ?", [intent_id]).fetchone()
    if found is None:
        raise IllegalMove(f"The ledger has no row {intent_id}.")
    before = State(found[0])
    check_move(before, to, by_person=by_person)
    _update(ledger, intent_id, {**columns, "state": to, "reason": reason})
    _record(ledger, (intent_id, ledger.now(), actor, before, str(to), reason), evidence or {})


def note(
    ledger: Ledger,
    intent_id: int,
    *,
    actor: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    restate: bool = False,
    **columns: Any,
) -> None:
    """Records something that does not change the state: a look-up, SII's verdict, a flag.

    With ``restate`` the reason takes the place of the one shown with the row.
    """
    found = ledger.con.execute("SELECT state FROM intents WHERE id = ?", [intent_id]).fetchone()
    if columns or restate:
        _update(ledger, intent_id, {**columns, **({"reason": reason} if restate else {})})
    state = str(found[0])
    _record(ledger, (intent_id, ledger.now(), actor, state, state, reason), evidence or {})


def replan(ledger: Ledger, intent_id: int, plan_id: int, source: str) -> None:
    """The same content in a newer plan: nothing happened to the row itself."""
    ledger.con.execute(
        "UPDATE intents SET plan_id = ?, source = ? WHERE id = ?", [plan_id, source, intent_id]
    )


def next_generation(
    ledger: Ledger, old: Intent, *, approval_id: int, actor: str, reason: str
) -> int:
    """The same content once more, READY: a person released the old generation, which must be
    RELEASED already. Returns the new row's id."""
    about = () if old.op in (ISSUE, SCHEDULE) else ("document_id", "folio")
    names = (*CONTENT, *about)
    values = {name: getattr(old, name) for name in names}
    new = {"generation": old.generation + 1, "state": State.READY, "approval_id": approval_id}
    return insert(ledger, values | new, actor=actor, reason=reason)


def acknowledge(ledger: Ledger, intent_id: int, *, by: str, reason: str) -> None:
    """A person has seen a rejected row: it no longer makes ``status`` fail."""
    note(ledger, intent_id, actor=by, reason=reason, evidence={"acknowledged": True})
    ledger.con.execute(
        "UPDATE intents SET acknowledged_by = ?, acknowledged_at = ? WHERE id = ?",
        [by, ledger.now(), intent_id],
    )


def _update(ledger: Ledger, intent_id: int, columns: Mapping[str, Any]) -> None:
    unknown = set(columns) - SETTABLE - {"state", "reason"}
    if unknown:
        raise IllegalMove(f"A move may not set {', '.join(sorted(unknown))}.")
    given = {k: _written(v) for k, v in columns.items()} | {"updated_at": ledger.now()}
    sets = ", ".join(f"{name} = ?" for name in given)
    ledger.con.execute(f"UPDATE intents SET {sets} WHERE id = ?", [*given.values(), intent_id])


def _record(ledger: Ledger, told: tuple[Any, ...], evidence: Mapping[str, Any]) -> None:
    chain.record(ledger.con, told, evidence)


def first_broken_event(ledger: Ledger) -> int | None:
    """Id of the first event that the chain of hashes does not vouch for; None when whole."""
    return chain.first_broken(ledger.con)


def get(ledger: Ledger, intent_id: int) -> Intent:
    """One row; KeyError when there is none."""
    found = _select(ledger, "WHERE id = ?", [intent_id])
    if not found:
        raise KeyError(intent_id)
    return found[0]


def in_state(ledger: Ledger, states: Collection[State], op: str = "issue") -> list[Intent]:
    """Rows in any of the states, oldest first."""
    marks = ", ".join("?" * len(states))
    return _select(
        ledger, f"WHERE op = ? AND state IN ({marks}) ORDER BY id", [op, *map(str, states)]
    )


def of_source(ledger: Ledger, source: str, op: str = "issue") -> list[Intent]:
    """The newest generation of every row of a source, oldest first."""
    return [i for i in newest(ledger, op).values() if i.source == source]


def newest(ledger: Ledger, op: str = "issue") -> dict[str, Intent]:
    """The newest generation of every row, by row key, oldest first."""
    return {i.row_key: i for i in _select(ledger, "WHERE op = ? ORDER BY generation, id", [op])}


def everything(ledger: Ledger) -> list[Intent]:
    """The newest generation of every row of every kind, oldest first."""
    return [row for op in OPS for row in newest(ledger, op).values()]


def other_keys(ledger: Ledger, op: str, keys: Collection[str]) -> set[str]:
    """Those of the row keys that rows of another kind have."""
    found = ledger.con.execute("SELECT row_key FROM intents WHERE op <> ?", [op])
    return {str(key) for (key,) in found} & set(keys)


def live(ledger: Ledger, row_key: str, op: str = "issue") -> Intent | None:
    """The generation of a row key that is not dead."""
    rows = _select(ledger, "WHERE op = ? AND row_key = ?", [op, row_key])
    return next((row for row in rows if row.state not in DEAD), None)


def generations(ledger: Ledger, row_key: str) -> list[Intent]:
    """Every generation of a row key, from the first. Kinds share one name space of keys."""
    return _select(ledger, "WHERE row_key = ? ORDER BY generation", [row_key])


def newest_verified(
    ledger: Ledger, entity: str, *, without: Collection[int] = (), op: str = "issue"
) -> Intent | None:
    """The last row of a company whose document was read back: one that must be findable."""
    found = _select(
        ledger,
        "WHERE op = ? AND entity = ? AND state = ? AND document_id IS NOT NULL "
        "ORDER BY date_issued DESC, id DESC LIMIT ?",
        [op, entity, str(State.VERIFIED), len(without) + 1],
    )
    return next((row for row in found if row.id not in without), None)


def of_envelope(ledger: Ledger, envelope_id: int) -> list[Intent]:
    """The rows an envelope was bound with, in the order of its body."""
    return _select(
        ledger,
        "WHERE id IN (SELECT intent_id FROM members WHERE envelope_id = ?) ORDER BY (SELECT "
        "position FROM members WHERE envelope_id = ? AND intent_id = intents.id)",
        [envelope_id, envelope_id],
    )


def doubtful_since(
    ledger: Ledger, moment: str, states: Collection[State], op: str = "issue"
) -> list[Intent]:
    """Rows whose envelope once had an unknown outcome and was sent after ``moment``."""
    marks = ", ".join("?" * len(states))
    return _select(
        ledger,
        f"WHERE op = ? AND ever_ambiguous = 1 AND state IN ({marks}) AND envelope_id IN "
        "(SELECT envelope_id FROM attempts WHERE opened_at >= ?) ORDER BY id",
        [op, *map(str, states), moment],
    )


def of_document(ledger: Ledger, document_id: str, op: str = ISSUE) -> list[Intent]:
    """Rows that were issued as a document, or that another kind of row is about."""
    return _select(ledger, "WHERE op = ? AND document_id = ? ORDER BY id", [op, document_id])


def by_tag(ledger: Ledger, row_tag: str) -> list[Intent]:
    """Every generation of the row whose tag the API showed, from the first."""
    return _select(ledger, "WHERE row_tag = ? ORDER BY generation", [row_tag])


def counts(ledger: Ledger, op: str | None = None) -> dict[State, int]:
    """How many rows stand in each state; dead generations count too."""
    where, values = ("WHERE op = ?", [op]) if op else ("", [])
    found = ledger.con.execute(
        f"SELECT state, count(*) FROM intents {where} GROUP BY state", values
    ).fetchall()
    return {State(state): int(n) for state, n in found}


def history(ledger: Ledger, row_key: str) -> list[Event]:
    """All that ever happened to a row key, from the first."""
    found = ledger.con.execute(
        "SELECT e.at, e.actor, e.from_state, e.to_state, e.reason, e.evidence, i.generation "
        "FROM events e JOIN intents i ON i.id = e.intent_id "
        "WHERE i.row_key = ? ORDER BY e.id",
        [row_key],
    ).fetchall()
    return [
        Event(at, actor, before, after, reason, json.loads(evidence), generation)
        for at, actor, before, after, reason, evidence, generation in found
    ]


def _select(ledger: Ledger, where: str, values: Iterable[Any]) -> list[Intent]:
    cursor: Iterable[sqlite3.Row] = ledger.con.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM intents {where}", list(values)
    )
    return [Intent(**_read(dict(zip(_COLUMNS, row, strict=True)))) for row in cursor]


def _read(row: dict[str, Any]) -> dict[str, Any]:
    row["state"] = State(row["state"])
    row["ever_ambiguous"] = bool(row["ever_ambiguous"])
    for name in _MONEY:
        row[name] = None if row[name] is None else Decimal(row[name])
    return row


def _written(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(value) if isinstance(value, State) else value
