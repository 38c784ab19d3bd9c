"""What a webhook hints at, looked up: batches that were sent from here."""

from __future__ import annotations

from collections.abc import Sequence

from tupana_etl.errors import Refused, TupanaError
from tupana_etl.outbox import envelopes, rows
from tupana_etl.outbox.ledger import exists, open_ledger
from tupana_etl.outbox.send import Ways, send
from tupana_etl.outbox.states import State
from tupana_etl.settings import Settings

AWAITED = frozenset({State.UNKNOWN, State.ACCEPTED, State.STUCK, State.ISSUED})
"""States of rows that were sent and of which the API may know more by now."""


async def follow(
    settings: Settings, batches: Sequence[str], ways: Ways | None = None
) -> dict[str, TupanaError]:
    """Polls, once, what was sent and awaits its end; sends nothing, not even again.

    Returns the batches that no envelope of this home is known to have become, each with why:
    the event may have overtaken the answer, or the batch is somebody else's. Raises what
    :func:`tupana_etl.outbox.send.send` raises, LockHeld among it: then a sender is at work,
    which polls by itself.
    """
    if not exists(settings.home):
        return {batch: _stranger(batch) for batch in batches}
    with open_ledger(settings.home) as ledger:
        is_awaited = bool(rows.in_state(ledger, set(AWAITED)))
    if is_awaited:
        await send(settings, wait=0.0, follow_only=True, ways=ways)
    with open_ledger(settings.home) as ledger:
        sent = envelopes.batches(ledger)
    return {batch: _stranger(batch) for batch in batches if batch not in sent}


def _stranger(batch: str) -> Refused:
    return Refused(f"Batch {batch} was not sent from this home, as far as its ledger knows.")
