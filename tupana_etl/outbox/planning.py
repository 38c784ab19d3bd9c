"""Plans of each kind of row, from a named source or the queries of ``sql/outbox/``."""

from __future__ import annotations

from typing import Literal

from tupana_etl.errors import ConfigError
from tupana_etl.outbox import (
    cession_contract,
    cession_plan,
    payment_contract,
    payment_plan,
    plan,
    sources,
)
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.plan import Caps, Plan
from tupana_etl.settings import Settings

Kind = Literal["documents", "payments", "cessions"]


def make(
    settings: Settings,
    kind: Kind,
    source: str | None = None,
    caps: Caps | None = None,
    *,
    allow_claims: bool = False,
) -> Plan:
    """Reads the rows and records what would become of each. Asks nobody and sends nothing.

    Without ``source`` every query of the kind's folder is read. Raises ConfigError for a
    source or a published file that is not there, DataError, LedgerError, LockHeld.
    """
    if allow_claims and kind != "payments":
        raise ConfigError(
            "--allow-claims is for `tupana outbox plan payments`, whose rows may accept or claim "
            "a document. Nothing was planned."
        )
    folder, published = sources.default_folder(), settings.analytics
    match kind:
        case "documents":
            found = sources.read(source, published, folder)
            with open_ledger(settings.home) as ledger:
                return plan.make(ledger, found, caps or Caps())
        case "payments":
            folder /= payment_plan.FOLDER
            found = sources.read(source, published, folder, payment_contract.COLUMNS)
            with open_ledger(settings.home) as ledger:
                return payment_plan.make(ledger, found, published, caps, allow_claims=allow_claims)
        case "cessions":
            folder /= cession_plan.FOLDER
            found = sources.read(source, published, folder, cession_contract.COLUMNS)
            with open_ledger(settings.home) as ledger:
                return cession_plan.make(ledger, found, published)
