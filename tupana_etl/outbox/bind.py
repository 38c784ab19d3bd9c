"""Approved rows become envelopes: bodies whose bytes and key never change again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

from tupana_etl.outbox import envelopes, failpoints, rows
from tupana_etl.outbox.envelopes import MAX_DOCUMENTS, Envelope
from tupana_etl.outbox.run import Run, by_company
from tupana_etl.outbox.states import IllegalMove, State

MAX_BYTES = 4 * 1024 * 1024
"""Of one body. A body that a gateway would refuse costs a round for nothing."""

_OPEN, _CLOSE = b'{"documents":[', b"]}"


def body_of(payloads: Sequence[bytes]) -> bytes:
    """The request body around documents, each byte for byte as it was approved."""
    return _OPEN + b",".join(payloads) + _CLOSE


def bind_ready(run: Run) -> list[Envelope]:
    """Every READY row of a company that may be sent to, in envelopes."""
    ready = by_company(rows.in_state(run.ledger, {State.READY}))
    return [
        envelope
        for entity, intents in ready.items()
        if run.may_send(entity) and entity in run.companies
        for group in packed(intents, run.most_documents)
        for envelope in bind(run, group)
    ]


def bind(run: Run, intents: Sequence[rows.Intent]) -> list[Envelope]:
    """One envelope around rows of one company that are READY still; none when none is.

    A plan may have taken rows back since they were read; the ledger refuses those.
    """
    current = [rows.get(run.ledger, intent.id) for intent in intents]
    current = [row for row in current if row.state is State.READY and row.payload is not None]
    altered = [
        r for r in current if hashlib.sha256(r.payload or b"").hexdigest() != r.payload_sha256
    ]
    if altered:
        why = f"row {altered[0].row_key} is not what was approved, byte for byte. Plan it again."
        run.hold(altered[0].entity, why)
        return []
    if not current:
        return []
    failpoints.hit("bind.before")
    body = body_of([row.payload or b"" for row in current])
    try:
        envelope = envelopes.bind(
            run.ledger,
            current,
            body,
            entity=current[0].entity,
            environment=run.proof.environment,
        )
    except IllegalMove:
        return []  # changed this very moment; the next round sees what is READY then
    failpoints.hit("bind.after")
    return [envelope]


def packed(intents: Sequence[rows.Intent], most: int) -> Iterator[list[rows.Intent]]:
    """Groups that fit one body, in order: at most ``most`` rows and ``MAX_BYTES``."""
    most = max(1, min(most, MAX_DOCUMENTS))
    group: list[rows.Intent] = []
    size = len(_OPEN) + len(_CLOSE)
    for intent in intents:
        extra = len(intent.payload or b"") + 1
        if group and (len(group) >= most or size + extra > MAX_BYTES):
            yield group
            group, size = [], len(_OPEN) + len(_CLOSE)
        group.append(intent)
        size += extra
    if group:
        yield group
