"""The tables of the ledger. Triggers guard what code must never do, whoever writes."""

from __future__ import annotations

import sqlite3

from tupana_etl.outbox.states import DEAD, ENDED, UNSENT, State

SCHEMA_VERSION = 2

PURGED = "purged"
"""What stands for words of an event that were purged with the content of its row."""


def _listed(states: frozenset[State]) -> str:
    return ", ".join(f"'{state}'" for state in sorted(states))


def _ended(row: str) -> str:
    acknowledged = f"{row}.state = 'ISSUED' AND {row}.acknowledged_by IS NOT NULL"
    return f"({row}.state IN ({_listed(ENDED)}) OR ({acknowledged}))"


TABLES = f"""
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE plans (
    id INTEGER PRIMARY KEY,
    plan_hash TEXT NOT NULL,
    source TEXT NOT NULL,
    op TEXT NOT NULL,
    made_at TEXT NOT NULL,
    documents INTEGER NOT NULL,
    clp TEXT NOT NULL,
    needs_approval TEXT NOT NULL,   -- why the caps stop it; '' when they do not
    superseded_at TEXT
) STRICT;
CREATE INDEX plans_by_hash ON plans (plan_hash);

CREATE TABLE approvals (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('plan', 'sandbox', 'release')),
    plan_hash TEXT NOT NULL,
    by TEXT NOT NULL CHECK (by <> ''),
    at TEXT NOT NULL,
    note TEXT NOT NULL
) STRICT;

CREATE TABLE envelopes (
    id INTEGER PRIMARY KEY,
    op TEXT NOT NULL,
    entity TEXT NOT NULL,
    environment TEXT NOT NULL,
    body BLOB NOT NULL,
    sha256 TEXT NOT NULL,
    idem_key TEXT NOT NULL UNIQUE CHECK (length(idem_key) BETWEEN 1 AND 256),
    use_defaults INTEGER NOT NULL,
    bound_at TEXT NOT NULL,
    first_send_at TEXT,             -- our clock, before the socket: replays never move it
    safe_until TEXT,                -- no replay of this key from here on
    batch_id TEXT,
    ever_ambiguous INTEGER NOT NULL DEFAULT 0,
    window_closed TEXT,             -- why no replay is safe although safe_until is not reached
    retired_at TEXT,                -- provably never executed; its rows were bound anew
    purged_at TEXT                  -- its body was emptied: every row of it was at rest
) STRICT;

CREATE TABLE intents (
    id INTEGER PRIMARY KEY,
    op TEXT NOT NULL,
    row_key TEXT NOT NULL,
    generation INTEGER NOT NULL CHECK (generation >= 1),
    row_tag TEXT NOT NULL,          -- peppered HMAC of the row key: what the API is told
    source TEXT NOT NULL,
    plan_id INTEGER NOT NULL REFERENCES plans (id),
    entity TEXT NOT NULL,           -- issuer RUT
    dte_type TEXT NOT NULL,
    receiver_rut TEXT NOT NULL,
    date_issued TEXT NOT NULL,
    currency TEXT NOT NULL,
    net TEXT, exempt TEXT, iva TEXT, withheld TEXT, total TEXT,
    payload BLOB,                   -- the document's canonical JSON; NULL while BLOCKED
    payload_sha256 TEXT NOT NULL,
    said_sha256 TEXT NOT NULL DEFAULT '',   -- of what the row said, however it is written as JSON
    state TEXT NOT NULL,
    reason_code TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    ever_ambiguous INTEGER NOT NULL DEFAULT 0,
    approval_id INTEGER REFERENCES approvals (id),
    envelope_id INTEGER REFERENCES envelopes (id),
    position INTEGER,
    document_id TEXT, folio TEXT, sii_state TEXT,
    issued_net TEXT, issued_exempt TEXT, issued_iva TEXT, issued_total TEXT,
    flags TEXT NOT NULL DEFAULT '', -- what a person should see though nothing is wrong
    acknowledged_by TEXT, acknowledged_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    purged_at TEXT,                 -- its content was taken out; hashes and amounts stay
    UNIQUE (op, row_key, generation)
) STRICT;
CREATE UNIQUE INDEX one_live_generation ON intents (op, row_key)
    WHERE state NOT IN ({_listed(DEAD)});
CREATE INDEX intents_by_state ON intents (state);
CREATE INDEX intents_by_source ON intents (source);
CREATE INDEX intents_by_envelope ON intents (envelope_id);
CREATE INDEX intents_by_tag ON intents (row_tag);

CREATE TABLE members (
    envelope_id INTEGER NOT NULL REFERENCES envelopes (id),
    position INTEGER NOT NULL,
    intent_id INTEGER NOT NULL REFERENCES intents (id),
    PRIMARY KEY (envelope_id, position),
    UNIQUE (envelope_id, intent_id)
) STRICT;

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    envelope_id INTEGER NOT NULL REFERENCES envelopes (id),
    number INTEGER NOT NULL,
    opened_at TEXT NOT NULL,
    looked_up_at TEXT,              -- end of the look-up that found nothing, before a replay
    key TEXT NOT NULL,              -- fingerprint of the API key it was sent with
    boot_id TEXT NOT NULL,
    monotonic REAL NOT NULL,        -- seconds since boot, to tell a clock that was moved
    closed_at TEXT,                 -- NULL: never known to have ended
    outcome TEXT,
    http_status INTEGER,
    request_id TEXT,
    batch_id TEXT,
    response_sha256 TEXT,
    skew_seconds REAL,              -- the server's clock minus ours, when it answered
    note TEXT,
    UNIQUE (envelope_id, number)
) STRICT;

CREATE TABLE lookups (
    id INTEGER PRIMARY KEY,
    intent_id INTEGER NOT NULL REFERENCES intents (id),
    at TEXT NOT NULL,
    control_ok INTEGER NOT NULL,    -- a document known to exist was found by the same question
    hits INTEGER NOT NULL,
    note TEXT NOT NULL
) STRICT;
CREATE INDEX lookups_by_intent ON lookups (intent_id);

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    intent_id INTEGER NOT NULL REFERENCES intents (id),
    at TEXT NOT NULL,
    actor TEXT NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    reason TEXT NOT NULL,
    evidence TEXT NOT NULL,         -- a JSON object
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_intent ON events (intent_id);
"""

TRIGGERS = f"""
CREATE TRIGGER envelope_is_frozen
BEFORE UPDATE OF op, entity, environment, body, sha256, idem_key, use_defaults, purged_at
ON envelopes
WHEN (OLD.op, OLD.entity, OLD.environment, OLD.sha256, OLD.idem_key, OLD.use_defaults)
    IS NOT (NEW.op, NEW.entity, NEW.environment, NEW.sha256, NEW.idem_key, NEW.use_defaults)
OR length(NEW.body) > 0 OR NEW.purged_at IS NULL
OR EXISTS (SELECT 1 FROM members m JOIN intents i ON i.id = m.intent_id
    WHERE m.envelope_id = OLD.id AND NOT {_ended("i")})
BEGIN SELECT RAISE(ABORT, 'an envelope is frozen when it is bound'); END;

CREATE TRIGGER first_send_stays BEFORE UPDATE OF first_send_at, safe_until ON envelopes
WHEN OLD.first_send_at IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'the safe window is never extended'); END;

CREATE TRIGGER envelope_doubt_stays BEFORE UPDATE OF ever_ambiguous ON envelopes
WHEN OLD.ever_ambiguous = 1 AND NEW.ever_ambiguous = 0
BEGIN SELECT RAISE(ABORT, 'a doubt is never forgotten'); END;

CREATE TRIGGER intent_doubt_stays BEFORE UPDATE OF ever_ambiguous ON intents
WHEN OLD.ever_ambiguous = 1 AND NEW.ever_ambiguous = 0
BEGIN SELECT RAISE(ABORT, 'a doubt is never forgotten'); END;

CREATE TRIGGER payload_is_frozen
BEFORE UPDATE OF payload_sha256, said_sha256, row_key, generation, row_tag, op, entity ON intents
WHEN OLD.state NOT IN ({_listed(UNSENT)})
BEGIN SELECT RAISE(ABORT, 'a row that is bound keeps its content'); END;

CREATE TRIGGER content_is_evidence BEFORE UPDATE OF payload ON intents
WHEN OLD.state NOT IN ({_listed(UNSENT)}) AND NEW.payload IS NOT OLD.payload
AND (NEW.purged_at IS NULL OR NOT {_ended("OLD")})
BEGIN SELECT RAISE(ABORT, 'the content of a row stays until the row is at rest'); END;

CREATE TRIGGER nothing_is_sent_unapproved BEFORE UPDATE OF state ON intents
WHEN NEW.state IN ('READY', 'BOUND', 'IN_FLIGHT') AND NEW.approval_id IS NULL
BEGIN SELECT RAISE(ABORT, 'a row is sent only with an approval'); END;

CREATE TRIGGER nothing_is_born_approved BEFORE INSERT ON intents
WHEN NEW.state IN ('READY', 'BOUND', 'IN_FLIGHT') AND NEW.approval_id IS NULL
BEGIN SELECT RAISE(ABORT, 'a row is sent only with an approval'); END;

CREATE TRIGGER rows_stay BEFORE DELETE ON intents
BEGIN SELECT RAISE(ABORT, 'no row leaves the ledger'); END;
CREATE TRIGGER envelopes_stay BEFORE DELETE ON envelopes
BEGIN SELECT RAISE(ABORT, 'no envelope leaves the ledger'); END;
CREATE TRIGGER attempts_stay BEFORE DELETE ON attempts
BEGIN SELECT RAISE(ABORT, 'no attempt leaves the ledger'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'no event leaves the ledger'); END;
CREATE TRIGGER events_are_written_once BEFORE UPDATE ON events
WHEN NEW.reason <> '{PURGED}'
OR (OLD.id, OLD.intent_id, OLD.at, OLD.actor, OLD.from_state, OLD.to_state, OLD.evidence,
    OLD.previous_hash, OLD.hash)
    IS NOT (NEW.id, NEW.intent_id, NEW.at, NEW.actor, NEW.from_state, NEW.to_state, NEW.evidence,
    NEW.previous_hash, NEW.hash)
BEGIN SELECT RAISE(ABORT, 'no event is rewritten'); END;
CREATE TRIGGER members_are_written_once BEFORE UPDATE ON members
BEGIN SELECT RAISE(ABORT, 'the members of an envelope are frozen'); END;
CREATE TRIGGER members_stay BEFORE DELETE ON members
BEGIN SELECT RAISE(ABORT, 'the members of an envelope are frozen'); END;
"""


def create(con: sqlite3.Connection) -> None:
    """Every table, inside the transaction the caller has open."""
    _run(con, TABLES)
    _run(con, TRIGGERS)


def upgrade(con: sqlite3.Connection) -> None:
    """Brings the tables of an older ledger to this version: all of it, or nothing.

    What the rows say stays as it is, so it is no commit of the ledger's: its sequence does
    not move.
    """
    con.execute("BEGIN IMMEDIATE")
    try:
        version = _version(con)
        if version < 2:  # content may be purged
            con.execute("ALTER TABLE envelopes ADD COLUMN purged_at TEXT")
            con.execute("ALTER TABLE intents ADD COLUMN purged_at TEXT")
        if version < SCHEMA_VERSION:
            _renew_triggers(con)
            con.execute(
                "UPDATE meta SET value = ? WHERE name = 'schema_version'", [str(SCHEMA_VERSION)]
            )
        con.execute("COMMIT")
    except BaseException:
        if con.in_transaction:
            con.execute("ROLLBACK")
        raise


def is_older(con: sqlite3.Connection) -> bool:
    """Whether a ledger has to be upgraded before it is used."""
    return _version(con) < SCHEMA_VERSION


def _version(con: sqlite3.Connection) -> int:
    return int(con.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()[0])


def _renew_triggers(con: sqlite3.Connection) -> None:
    found = con.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in found:
        con.execute(f'DROP TRIGGER "{name}"')
    _run(con, TRIGGERS)


def _run(con: sqlite3.Connection, script: str) -> None:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            con.execute(statement)
            statement = ""
