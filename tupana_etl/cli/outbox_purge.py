"""``tupana outbox purge``: the content of rows long at rest leaves the ledger."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tupana_etl import settings
from tupana_etl.cli import output, tables
from tupana_etl.domain import SANTIAGO
from tupana_etl.errors import ConfigError
from tupana_etl.outbox import backup
from tupana_etl.outbox.ledger import exists, open_ledger
from tupana_etl.outbox.purge import LAST, Purge, Row, preview, purge

SHOWN = 10


def run(args: argparse.Namespace) -> int:
    home = settings.load().home
    if not exists(home):
        raise ConfigError(f"{home} has no ledger: nothing was ever planned here.")
    if not args.dry_run and not args.by.strip():
        raise ConfigError(
            "--by is missing: what is purged cannot be put back, so a purge has a name. "
            "--dry-run shows what would go."
        )
    if args.dry_run:
        with open_ledger(home) as ledger:
            found = preview(ledger, args.older_than)
    else:
        found = purge(home, args.older_than, by=args.by, reason=args.reason)
    with open_ledger(home) as ledger:
        copies = backup.from_before(ledger, int(ledger.meta(LAST) or 0))
    if args.json:
        output.write_json(_json(args, found, copies))
    else:
        _tell(args, found, copies)
    return 0


def _json(args: argparse.Namespace, found: Purge, copies: Sequence[Path]) -> dict[str, Any]:
    def listed(rows: Sequence[Row]) -> list[dict[str, Any]]:
        names = ("row_key", "generation", "op", "state", "rested_at", "kept_for")
        return [{name: getattr(row, name) for name in names} for row in rows]

    return {
        "older_than": args.older_than,
        "before": found.before.isoformat(),
        "dry_run": args.dry_run,
        "purged": listed(found.purged),
        "bodies": len(found.envelopes),
        "kept": listed(found.kept),
        "not_at_rest": {str(state): count for state, count in found.unfinished.items()},
        "copies": [str(folder) for folder in copies],
    }


def _tell(args: argparse.Namespace, found: Purge, copies: Sequence[Path]) -> None:
    count, before = len(found.purged), found.before.astimezone(SANTIAGO)
    rows = f"{output.number(count)} {'row' if count == 1 else 'rows'}"
    since = f"at rest since before {before:%Y-%m-%d %H:%M}"
    if not count:
        output.write(output.paragraph(f"No row {since} has content left that may be purged."))
    elif args.dry_run:
        output.write(output.paragraph(f"{rows} {since} would lose their content:"))
        _list(found.purged)
    else:
        output.write(output.paragraph(f"{rows} {since} lost their content, by {args.by.strip()}."))
        output.write(
            output.paragraph(
                "Row keys, hashes, folios, amounts and the history stay; nothing is issued again. "
                "The warehouse follows with the next sync or `tupana marts`."
            )
        )
    if found.kept:
        kept = output.number(len(found.kept))
        output.write()
        output.write(output.paragraph(f"Kept though old enough, for another row's sake: {kept}"))
        _list(found.kept)
    if found.unfinished:
        states = ", ".join(f"{output.number(n)} {s}" for s, n in sorted(found.unfinished.items()))
        output.write()
        output.write(
            output.paragraph(
                f"As old, but not at rest, so they keep everything: {states}. Send, mend, "
                "acknowledge or abandon them first: tupana outbox status."
            )
        )
    if copies:
        output.write()
        text = "Backups made before the last purge still hold what it took"
        output.write(output.paragraph(f"{text}. Make a new one, then delete:"))
        for folder in copies:
            output.write(f"  {folder}")
    if args.dry_run:
        output.write("\nNothing was changed.")
        if count:
            output.write(f"Next: tupana outbox purge --older-than {args.older_than} --by NAME")


def _list(rows: Sequence[Row]) -> None:
    body = [
        [output.cell(row.row_key), str(row.state), row.rested_at[:10], output.cell(row.kept_for)]
        for row in rows[:SHOWN]
    ]
    columns = ["row key", "state", "since", "kept for"]
    if not any(row.kept_for for row in rows):
        columns, body = columns[:3], [line[:3] for line in body]
    output.write(tables.table(columns, body))
    if len(rows) > SHOWN:
        output.write(f"… {output.number(len(rows) - SHOWN)} more (--json lists all)")
