"""The commands: what each is for, an example, its own options. Declared once, in order."""

from __future__ import annotations

import argparse

from tupana_etl.cli.command import Command, wait_option, whole
from tupana_etl.cli.credentials_commands import CREDENTIALS
from tupana_etl.cli.outbox_commands import OUTBOX
from tupana_etl.cli.scheduled_commands import SCHEDULED
from tupana_etl.cli.webhooks_commands import WEBHOOKS

NEVER_ISSUED = "Nothing is ever issued unless a person plans, approves and sends it."


def _wait(p: argparse.ArgumentParser) -> None:
    wait_option(p, 60.0, "another run of this home")


def _sync(p: argparse.ArgumentParser) -> None:
    p.add_argument("streams", nargs="*", metavar="STREAM", help="only these (default: all)")
    p.add_argument("--entity", metavar="RUT", help="only this company: its RUT or id")
    p.add_argument("--since", metavar="DATE", help="oldest issue date to read, YYYY-MM-DD")
    p.add_argument(
        "--full",
        action="store_true",
        help="read again also what an interrupted run had read",
    )
    _wait(p)


def _marts(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--rebuild",
        action="store_true",
        help="throw the warehouse away and build it again from the lake",
    )
    _wait(p)


def _query(p: argparse.ArgumentParser) -> None:
    p.add_argument("sql", metavar="SQL", help="one query; - reads it from stdin")
    p.add_argument(
        "--limit", type=whole, default=50, metavar="N", help="rows to show (50; --json: all)"
    )


def _export(p: argparse.ArgumentParser) -> None:
    p.add_argument("table", metavar="TABLE", help="such as marts.receivables or raw.documents")
    p.add_argument("--format", choices=("xlsx", "csv", "parquet"), default="xlsx")
    p.add_argument("--out", metavar="FILE", help="default: exports/TABLE.FORMAT in the home")
    p.add_argument("--force", action="store_true", help="overwrite an --out that exists")


def _report(p: argparse.ArgumentParser) -> None:
    p.add_argument("kind", metavar="REPORT", help="receivables or factoring")
    p.add_argument("--entity", metavar="RUT", help="only this company: its RUT or id")
    p.add_argument("--as-of", metavar="DATE", help="end of this day, YYYY-MM-DD (newest)")
    p.add_argument("--out", metavar="FILE", help="default: exports/REPORT-DATE.html in the home")
    p.add_argument("--force", action="store_true", help="overwrite an --out that exists")
    offer = p.add_argument_group("an offer to be priced (factoring; none is assumed)")
    offer.add_argument("--monthly-rate", metavar="PERCENT", help="discount a month, such as 1.5")
    offer.add_argument("--advance-rate", metavar="PERCENT", default="100", help="advanced (100)")
    offer.add_argument(
        "--commission", type=whole, default=0, metavar="PESOS", help="a document, without IVA (0)"
    )


def _files(p: argparse.ArgumentParser) -> None:
    p.add_argument("document", metavar="DOCUMENT", help="its id, or ISSUER_RUT:TYPE:FOLIO")
    p.add_argument("--pdf", action="store_true", help="only the PDF")
    p.add_argument("--xml", action="store_true", help="only the XML")


def _sandbox(p: argparse.ArgumentParser) -> None:
    p.add_argument("--port", type=whole, default=8420, help="8420; 0 takes a free one")
    p.add_argument("--documents", type=whole, default=1500, metavar="N", help="1500")
    p.add_argument("--seed", type=whole, default=7, help="another number, another world (7)")
    p.add_argument("--contract", choices=("2026-04", "2026-08"), default="2026-08")
    p.add_argument("--list", choices=("lean", "rich"), default="rich", help="fields of list rows")
    p.add_argument("--latency", type=whole, default=0, metavar="MS", help="before each answer")
    p.add_argument(
        "--faults",
        nargs="+",
        metavar="FAULT",
        help="KIND[=ARGUMENT][*TIMES], or reading=SEED, writing=SEED",
    )
    p.add_argument("--load", metavar="DIR", help="also serve the DTE XML files of a folder")


COMMANDS = (
    Command(
        "demo",
        "try it out: sandbox, sync, receivables; no key, no network",
        "tupana demo",
        more="Everything is invented and stays in TUPANA_HOME/demo. The key and the address "
        "in your settings are not used.",
    ),
    Command(
        "sync",
        "read the API into lake, warehouse and marts, and publish",
        "tupana sync\ntupana sync documents cessions --entity 76086428-5",
        _sync,
        more="Exit code 1 when something could not be read whole; the next run mends it.",
    ),
    Command(
        "marts",
        "rebuild the marts from what was read; asks nobody",
        "tupana marts",
        _marts,
    ),
    Command(
        "query",
        "run SQL on what was published, read-only",
        'tupana query "SELECT buyer_name, sum(open_balance_clp) AS open\n'
        '              FROM marts.receivables GROUP BY ALL ORDER BY open DESC"',
        _query,
    ),
    Command(
        "export",
        "hand over a table as a spreadsheet, CSV or Parquet",
        "tupana export marts.receivables --format xlsx",
        _export,
        more="Text that a spreadsheet would take for a formula is made harmless.",
    ),
    Command(
        "report",
        "receivables or factoring as a page to read and print",
        "tupana report receivables --entity 76086428-5 --as-of 2026-06-30",
        _report,
        more="One HTML file in Spanish, with its charts inside: it needs no network to be read. "
        "It says of when its figures are and whether the last sync was complete.",
    ),
    Command(
        "companies",
        "which companies the key sees, what is loaded of each",
        "tupana companies",
    ),
    Command(
        "streams",
        "what is loaded, how fresh and how complete",
        "tupana streams",
    ),
    Command(
        "files",
        "keep a document's PDF and XML before their URL dies",
        "tupana files 76086428-5:33:1042 --pdf",
        _files,
        more="They are kept in TUPANA_HOME/files. A document named by RUT, type and folio "
        "must have been synced before.",
    ),
    OUTBOX,
    SCHEDULED,
    WEBHOOKS,
    CREDENTIALS,
    Command(
        "doctor",
        "what is wrong, and what to do about it",
        "tupana doctor",
        more="Exit code 2 when you must change something, 1 when it may pass by itself.",
    ),
    Command(
        "sandbox",
        "serve the API on this machine, with an invented world",
        "tupana sandbox --port 8420 --documents 20000",
        _sandbox,
        more="It issues documents too, for nobody: the key it shows is a sandbox's. The world "
        "is kept in TUPANA_HOME/sandbox: a restart finds it as it was. docs/sandbox.md lists "
        "the other keys, the kinds of faults ('lost', '429=3*5', 'outcome=0:invalid', …) and "
        "the switches that can be set while it runs. Ctrl-C ends it.",
    ),
)
