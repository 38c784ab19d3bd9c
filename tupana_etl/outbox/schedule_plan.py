"""The plan of schedules: which standing orders would be made. No call to the API."""

from __future__ import annotations

from tupana_etl.domain import SANTIAGO
from tupana_etl.outbox import rows
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.plan import Plan, record
from tupana_etl.outbox.schedule_drafts import Terms, schedule_drafts
from tupana_etl.outbox.sources import Source
from tupana_etl.outbox.states import DEAD, SCHEDULE, UNSENT, State

APPROVAL = "a schedule issues documents by itself, so a named person always approves it"


def make(ledger: Ledger, source: Source) -> Plan:
    """Compares the rows with the ledger. Raises LedgerError, LockHeld."""
    newest = rows.newest(ledger, SCHEDULE)
    under_way = {key for key, row in newest.items() if row.state not in UNSENT}
    # What left the source is not made unless it comes back, and is compared then.
    over = DEAD | {State.WITHDRAWN}
    alive = {key: row for key, row in newest.items() if row.state not in over}
    taken = [(key, row.payload_sha256) for key, row in alive.items() if row.payload_sha256]
    today = ledger.clock().astimezone(SANTIAGO).date()
    read = schedule_drafts(source.rows, Terms(today, under_way, taken))
    return record(
        ledger,
        SCHEDULE,
        source.name,
        read,
        lambda made: APPROVAL if any(row.will_be_sent for row in made) else "",
    )
