"""``tupana outbox backup``: a copy of the ledger that can be put back."""

from __future__ import annotations

import argparse
from pathlib import Path

from tupana_etl import settings
from tupana_etl.cli import output
from tupana_etl.domain import utcnow
from tupana_etl.errors import ConfigError
from tupana_etl.outbox.backup import FOLDER, back_up
from tupana_etl.outbox.ledger import exists, open_ledger


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    if not exists(configured.home):
        raise ConfigError(f"{configured.home} has no ledger yet: nothing was ever planned.")
    folder = configured.home / FOLDER / f"ledger-{utcnow():%Y%m%dT%H%M%S%f}Z"
    if args.out:
        folder = Path(args.out).expanduser().absolute()
    with open_ledger(configured.home) as ledger:
        target = back_up(ledger, folder)
        sequence = ledger.sequence
    if args.json:
        output.write_json({"ledger": str(target), "sequence": sequence})
    else:
        output.write(f"The ledger, at commit {output.number(sequence)}, is in")
        output.write(f"  {folder}")
    return 0
