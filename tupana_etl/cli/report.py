"""``tupana report``: receivables or factoring as a page for finance people."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation
from pathlib import Path

from tupana_etl import settings
from tupana_etl.cli import output
from tupana_etl.errors import ConfigError
from tupana_etl.reports import Report, Terms, build, write


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    report = build(
        args.kind,
        configured,
        entity=args.entity,
        as_of=settings.parse_date(args.as_of or "", "--as-of"),
        terms=_terms(args),
    )
    out = Path(args.out) if args.out else None
    path = write(report, configured, out=out, force=args.force)
    if args.json:
        output.write_json(
            {
                "path": str(path),
                "report": report.kind,
                "company_rut": report.company_rut,
                "as_of": report.as_of,
                "complete": report.complete,
                "figures": report.figures,
            }
        )
        return 0
    whose = report.company_rut or "all companies"
    output.write(f"{report.kind} of {whose} at the end of {report.as_of}")
    for name, value in report.figures.items():
        if isinstance(value, int):
            output.write(f"  {name:<24} {output.number(value):>16}")
    output.write(str(path))
    for sentence in _notes(report):
        output.write(output.paragraph(sentence))
    return 0


def _terms(args: argparse.Namespace) -> Terms | None:
    if args.monthly_rate is None:
        return None
    return Terms(
        _share(args.monthly_rate, "--monthly-rate"),
        _share(args.advance_rate, "--advance-rate"),
        args.commission,
    )


def _share(text: str, name: str) -> Decimal:
    try:
        value = Decimal(text) / 100
    except InvalidOperation:
        value = Decimal(-1)
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {text!r}; write percent from 0 to 100, such as 1.5.")
    return value


def _notes(report: Report) -> list[str]:
    found = []
    if not report.complete:
        found.append("The last sync was incomplete: documents may be missing. The report says so.")
    unknown = report.figures.get("unknown_documents")
    if unknown:
        found.append(
            f"{report.as_of} lies before the first sync of {output.number(unknown)} documents that "
            "were already paid then, nobody knows since when: they are shown as paid, so the "
            f"balance may have been up to $ {output.number(report.figures['unknown_clp'])} higher."
        )
    return found
