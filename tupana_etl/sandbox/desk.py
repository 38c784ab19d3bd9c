"""Where batches are handed in: what a submission becomes, now or when a fault lets it.

A submission is a body with its headers, freed from the connection it came by: a fault may
let the server read it, say nothing, and act on it hours later.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import msgspec

from tupana_etl.sandbox import (
    announce,
    batches,
    ceding,
    cession_batches,
    clock,
    drafts,
    idempotency,
    intake,
    orders,
    state_events,
    switches,
    web,
)
from tupana_etl.sandbox.faults import Watched
from tupana_etl.sandbox.keys import Key
from tupana_etl.sandbox.switches import Switches

BATCH = "/documents/batch"
FORGET = "forget_key"
REUSED = {
    "error": "Idempotency-Key ya fue usada con otro contenido.",
    "code": "idempotency_key_reused",
}
IN_PROGRESS = {
    "error": "La solicitud original aún se está procesando.",
    "code": "idempotency_key_in_progress",
}


@dataclass(frozen=True)
class Submission:
    body: bytes
    idempotency_key: str | None
    defaults: bool
    """``X-Use-Defaults: true``"""
    key: Key

    def use(self, how: Switches) -> idempotency.Use | None:
        """What the Idempotency-Key stands for, None without one."""
        scope = "user" if how.key_scope == "user" else self.key.name
        return idempotency.use(scope, self.idempotency_key, self.body)


@dataclass(frozen=True)
class Receipt:
    batch_id: str
    is_replay: bool


def submit(
    ctx: web.Context, submission: Submission, faults: Sequence[Watched], now: float
) -> Receipt:
    """The batch that the submission makes, or made before. Refuses with the API's answer."""
    how = switches.of(ctx.connection)
    used = submission.use(how)
    known = _known(ctx.connection, used, how, faults, now)
    if known is not None and used is not None:
        return Receipt(_original(known, used, how), is_replay=True)
    try:
        documents, warnings = intake.read(ctx, submission.body, how, submission.defaults)
    except web.Refusal as refusal:
        if how.keys_burnt_by_422 and refusal.status == 422 and used is not None:
            told = msgspec.json.encode(refusal.body).decode()
            idempotency.keep(ctx.connection, used, now, refusal=told)
        raise
    holding = [w for w in faults if w.fault.kind != FORGET]
    for watched in holding:
        watched.hits += 1
    given = orders.give([w.fault for w in holding], len(documents))
    for order in given:
        order.without_json_param |= not how.json_param_kept
    found = batches.Intake(
        documents,
        warnings,
        given,
        submission.key.environment == "sandbox",
        used,
        now,
    )
    return Receipt(batches.accept(ctx.connection, found), is_replay=False)


def postpone(ctx: web.Context, path: str, submission: Submission, seconds: float) -> None:
    """Acts on what was sent to a path only so much later, by the clock."""
    due = clock.now(ctx.connection) + seconds
    headers = (submission.idempotency_key, submission.defaults)
    key = msgspec.json.encode(asdict(submission.key)).decode()
    ctx.connection.execute(
        "INSERT INTO postponed VALUES (?, ?, ?, ?, ?, ?)",
        (due, path, submission.body, *headers, key),
    )


def catch_up(ctx: web.Context) -> None:
    """Whatever is due by the clock happens now: postponed submissions, then every batch."""
    query = "SELECT rowid AS number, * FROM postponed WHERE due <= ? ORDER BY due"
    for row in ctx.connection.execute(query, (clock.now(ctx.connection),)).fetchall():
        key = Key(**msgspec.json.decode(row["key"]))
        submission = Submission(row["body"], row["idempotency_key"], bool(row["defaults"]), key)
        ctx.connection.execute("DELETE FROM postponed WHERE rowid = ?", (row["number"],))
        try:
            if row["path"] == BATCH:
                submit(ctx, submission, (), row["due"])
            elif row["path"] == ceding.PATH:
                ceding.do(ctx, row["body"], key, (), row["due"])
            else:
                document_id = int(row["path"].split("/")[2])
                asked = state_events.Registration(document_id, row["body"], key)
                state_events.do(ctx, asked, row["due"])
        except web.Refusal:
            continue  # nobody is there to be told
    happened = batches.proceed(ctx.connection)
    announce.announce_issued(ctx, happened.issued)
    announce.announce_failed(ctx, happened.failed)
    cession_batches.proceed(ctx.connection)


def _known(
    connection: sqlite3.Connection,
    used: idempotency.Use | None,
    how: Switches,
    faults: Sequence[Watched],
    now: float,
) -> sqlite3.Row | None:
    """What the server knows of the key, unless it is told to forget."""
    if used is None or how.same_key_at_once == "both":
        return None
    known = idempotency.find(connection, used, now - how.key_hours * 3600)
    for watched in faults:
        if known is not None and watched.fault.kind == FORGET:
            watched.hits += 1
            return None
    return known


def _original(known: sqlite3.Row, used: idempotency.Use, how: Switches) -> str:
    """The batch that the key stands for; the refusal instead, if it was burnt by one."""
    other = known["body_hash"] != used.body_hash
    if other and how.same_key_other_body == "conflict":
        raise web.Refusal(409, REUSED)
    if known["batch_id"] is None:
        raise web.Refusal(422, drafts.read(known["refusal"]))
    return str(known["batch_id"])
