"""The plan of cessions: which invoices would be ceded to whom. No call to the API."""

from __future__ import annotations

from pathlib import Path

from tupana_etl.outbox import rows
from tupana_etl.outbox.cession_drafts import cession_drafts
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.plan import Plan, record
from tupana_etl.outbox.sources import Source
from tupana_etl.outbox.states import CESSION, UNSENT

FOLDER = "cessions"
"""Of ``sql/outbox/``: queries that give cessions."""

APPROVAL = "a cession is always approved by a named person"


def make(ledger: Ledger, source: Source, analytics: Path) -> Plan:
    """Compares the rows with the ledger and with ``marts.factoring_candidates``.

    Raises ConfigError when nothing was published yet, DataError, LedgerError, LockHeld.
    """
    newest = rows.newest(ledger, CESSION)
    under_way = {key for key, row in newest.items() if row.state not in UNSENT}
    read = cession_drafts(source.rows, analytics, under_way)
    return record(
        ledger,
        CESSION,
        source.name,
        read,
        lambda made: APPROVAL if any(row.will_be_sent for row in made) else "",
    )
