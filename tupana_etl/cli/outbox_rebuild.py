"""``tupana outbox rebuild``: a person lets an older copy of the ledger be used."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tupana_etl import settings
from tupana_etl.cli import output
from tupana_etl.errors import ConfigError
from tupana_etl.outbox.ledger import exists, open_ledger, sending
from tupana_etl.outbox.rebuild import rebuild


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    if not exists(configured.home):
        raise ConfigError(f"{configured.home} has no ledger to rebuild.")
    with (
        sending(configured.home, 60.0),
        open_ledger(configured.home, of_any_age=True) as ledger,
    ):
        done = rebuild(ledger, by=args.by, reason=args.reason)
    if args.json:
        output.write_json(asdict(done))
        return 0
    lost = (
        f", {output.number(done.lost)} commits behind what this home had seen" if done.lost else ""
    )
    output.write(output.paragraph(f"The ledger goes on from commit {done.sequence}{lost}."))
    output.write(
        output.paragraph(
            "From now on every row is looked up in the API before it is first sent; what is "
            "found is adopted. Plan your sources again, then `tupana outbox send`."
        )
    )
    return 0
