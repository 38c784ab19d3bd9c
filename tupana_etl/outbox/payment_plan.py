"""The plan of payments, and of acts at SII: which entries would be made. No call to the API."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tupana_etl.outbox import legal_acts, rows
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.payment_contract import LEGAL_ACTS
from tupana_etl.outbox.payment_drafts import Terms, payment_drafts
from tupana_etl.outbox.plan import Caps, Plan, PlanRow, over_caps, record
from tupana_etl.outbox.sources import Source
from tupana_etl.outbox.states import PAYMENT, UNSENT

FOLDER = "payments"
"""Of ``sql/outbox/``: queries that give payments."""


def make(
    ledger: Ledger,
    source: Source,
    analytics: Path,
    caps: Caps | None = None,
    *,
    allow_claims: bool = False,
) -> Plan:
    """Compares the rows with the ledger and with the documents that are published.

    Without ``allow_claims`` a row that accepts or claims a document is blocked. Raises
    ConfigError when nothing was published yet, DataError, LedgerError, LockHeld.
    """
    newest = rows.newest(ledger, PAYMENT)
    under_way = {key for key, row in newest.items() if row.state not in UNSENT}
    terms = Terms(ledger.clock(), allow_claims, under_way)

    def needs_approval(made: Sequence[PlanRow]) -> str:
        if any(row.will_be_sent and row.draft.event in LEGAL_ACTS for row in made):
            return legal_acts.APPROVAL
        return over_caps(made, caps or Caps())

    return record(
        ledger,
        PAYMENT,
        source.name,
        payment_drafts(source.rows, analytics, terms),
        needs_approval,
    )
