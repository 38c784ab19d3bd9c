"""``tupana outbox approve``: a person lets a plan be sent."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tupana_etl import settings
from tupana_etl.cli import output
from tupana_etl.errors import ConfigError
from tupana_etl.outbox.approve import approve
from tupana_etl.outbox.ledger import exists, open_ledger


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    if not exists(configured.home):
        raise ConfigError(f"{configured.home} has no plan yet. Run `tupana outbox plan` first.")
    with open_ledger(configured.home) as ledger:
        done = approve(ledger, args.plan_hash, args.by, args.note)
    if args.json:
        output.write_json(asdict(done))
    elif done.newly:
        text = f"Approved by {done.by}: {output.number(done.newly)} of {done.source}."
        output.write(output.paragraph(text))
        output.write("Next: tupana outbox send")
    else:
        text = f"Plan {done.plan_hash} had nothing left to approve; nothing was changed."
        output.write(output.paragraph(text))
    return 0
