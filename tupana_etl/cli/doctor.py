"""``tupana doctor``: every check a line, and under a bad one what to do."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from tupana_etl import settings
from tupana_etl.cli import output
from tupana_etl.cli.checks import Check, check_machine, check_settings
from tupana_etl.cli.checks_api import check_api
from tupana_etl.cli.checks_data import check_data
from tupana_etl.cli.checks_outbox import check_outbox
from tupana_etl.errors import TupanaError


def run(args: argparse.Namespace) -> int:
    checks = [*check_machine()]
    try:
        configured = settings.load()
    except TupanaError as error:
        checks.append(Check("settings", "fail", "cannot be used", str(error)))
    else:
        checks += check_settings(configured)
        checks += check_api(configured)
        checks += check_data(configured)
        checks += check_outbox(configured)
    code = max((c.code for c in checks), default=0)
    if args.json:
        output.write_json({"ok": code == 0, "checks": [asdict(c) for c in checks]})
    else:
        _tell(checks, code)
    return code


def _tell(checks: list[Check], code: int) -> None:
    for check in checks:
        head = f"{check.level:<4}  {check.name:<11} "
        output.write(output.paragraph(check.found, indent=" " * len(head), first=head))
        if check.to_do:
            output.write(output.paragraph(check.to_do, indent=" " * 21, first=f"{'':18}-> "))
    output.write()
    warned = sum(c.level == "warn" for c in checks)
    output.write(
        {
            0: "All is well." if not warned else "It works; see the warnings.",
            1: "Something is not complete or not reachable: see fail above.",
            2: "You must change something: see fail above.",
        }[code]
    )
