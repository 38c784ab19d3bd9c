"""The plan of payments: which entries would be made. No call to the API."""

from __future__ import annotations

from pathlib import Path

from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.payment_drafts import payment_drafts
from tupana_etl.outbox.plan import Caps, Plan, over_caps, record
from tupana_etl.outbox.sources import Source
from tupana_etl.outbox.states import PAYMENT

FOLDER = "payments"
"""Of ``sql/outbox/``: queries that give payments."""


def make(ledger: Ledger, source: Source, analytics: Path, caps: Caps | None = None) -> Plan:
    """Compares the rows with the ledger and with the documents that are published.

    Raises ConfigError when nothing was published yet, DataError, LedgerError, LockHeld.
    """
    read = payment_drafts(source.rows, analytics)
    return record(ledger, PAYMENT, source.name, read, lambda made: over_caps(made, caps or Caps()))
