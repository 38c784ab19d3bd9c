"""The words of the command line: commands, options, help with an example each."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from typing import NoReturn

from tupana_etl.errors import ConfigError

Add = Callable[[argparse.ArgumentParser], None]

NEVER_ISSUED = "Nothing is ever issued unless a person plans, approves and sends it."


class _Parser(argparse.ArgumentParser):
    """Raises instead of printing and leaving: errors look the same wherever they arise."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].upper()}{message[1:]}. See `{self.prog} --help`.")


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tupana",
        description="Chilean tax documents between Tu Pana and a warehouse, both ways. "
        + NEVER_ISSUED,
        epilog="`tupana COMMAND --help` shows an example. Settings come from the environment\n"
        "and .env; .env.example lists them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and end")
    _common(parser, default=False)
    parser.set_defaults(module="overview", verbose=0)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for name, (module, doc, example, add) in COMMANDS.items():
        first, _, rest = doc.partition("\n")
        sub = commands.add_parser(
            name,
            help=first,
            description=textwrap.fill(f"{first[:1].upper()}{first[1:]}.", 78)
            + (f"\n\n{textwrap.dedent(rest).strip()}" if rest else ""),
            epilog="example:\n" + textwrap.indent(example, "  "),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        sub.set_defaults(module=module)
        add(sub)
        _common(sub, default=argparse.SUPPRESS)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from tupana_etl.cli.output import version, write  # noqa: PLC0415 - only here

        write(f"tupana {version()}")
        parser.exit()


def _common(parser: argparse.ArgumentParser, *, default: object) -> None:
    # SUPPRESS lets a flag before the command stand when the command does not repeat it.
    parser.add_argument(
        "--json", action="store_true", default=default, help="one JSON object on stdout"
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=argparse.SUPPRESS,
        help="log to stderr; -vv logs more",
    )


def _nothing(_: argparse.ArgumentParser) -> None:
    pass


def _wait(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--wait",
        type=_seconds,
        default=60.0,
        metavar="S",
        help="seconds to wait for another run of this home (60)",
    )


def _sync(p: argparse.ArgumentParser) -> None:
    p.add_argument("streams", nargs="*", metavar="STREAM", help="only these (default: all)")
    p.add_argument("--entity", metavar="RUT", help="only this company: its RUT or id")
    p.add_argument("--since", metavar="DATE", help="oldest issue date to read, YYYY-MM-DD")
    p.add_argument(
        "--full", action="store_true", help="read everything again, also what an interrupted run read"
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
        "--limit", type=_whole, default=50, metavar="N", help="rows to show (50; --json: all)"
    )


def _export(p: argparse.ArgumentParser) -> None:
    p.add_argument("table", metavar="TABLE", help="such as marts.receivables or raw.documents")
    p.add_argument("--format", choices=("xlsx", "csv", "parquet"), default="xlsx")
    p.add_argument("--out", metavar="FILE", help="default: exports/TABLE.FORMAT in the home")
    p.add_argument("--force", action="store_true", help="overwrite an --out that exists")


def _files(p: argparse.ArgumentParser) -> None:
    p.add_argument("document", metavar="DOCUMENT", help="its id, or ISSUER_RUT:TYPE:FOLIO")
    p.add_argument("--pdf", action="store_true", help="only the PDF")
    p.add_argument("--xml", action="store_true", help="only the XML")


def _sandbox(p: argparse.ArgumentParser) -> None:
    p.add_argument("--port", type=_whole, default=8420, help="8420; 0 takes a free one")
    p.add_argument("--documents", type=_whole, default=1500, metavar="N", help="1500")
    p.add_argument("--seed", type=_whole, default=7, help="another number, another world (7)")
    p.add_argument("--contract", choices=("2026-04", "2026-08"), default="2026-08")
    p.add_argument("--list", choices=("lean", "rich"), default="rich", help="fields of list rows")
    p.add_argument("--latency", type=_whole, default=0, metavar="MS", help="before each answer")
    p.add_argument("--load", metavar="DIR", help="also serve the DTE XML files of a folder")


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds


COMMANDS: dict[str, tuple[str, str, str, Add]] = {
    "demo": (
        "demo",
        "try it out: a sandbox, a sync and receivables; no key, no network\n"
        "Everything is invented and stays in TUPANA_HOME/demo.",
        "tupana demo",
        _nothing,
    ),
    "sync": (
        "sync",
        "read the API into the lake, the warehouse and the marts, and publish",
        "tupana sync\ntupana sync documents cessions --entity 76086428-5",
        _sync,
    ),
    "marts": (
        "marts",
        "rebuild the marts from what was read, and publish; asks nobody",
        "tupana marts",
        _marts,
    ),
    "query": (
        "query",
        "run SQL on what was published, read-only",
        'tupana query "SELECT buyer_name, sum(open_balance_clp) AS open\n'
        '              FROM marts.receivables GROUP BY ALL ORDER BY open DESC"',
        _query,
    ),
    "export": (
        "export",
        "hand over a table as a spreadsheet, CSV or Parquet",
        "tupana export marts.receivables --format xlsx",
        _export,
    ),
    "companies": (
        "companies",
        "which companies the key sees, and what is loaded of each",
        "tupana companies",
        _nothing,
    ),
    "streams": (
        "streams",
        "what is loaded, how fresh and how complete it is",
        "tupana streams",
        _nothing,
    ),
    "files": (
        "files",
        "fetch and keep a document's PDF and XML before their URL dies",
        "tupana files 76086428-5:33:1042 --pdf",
        _files,
    ),
    "doctor": (
        "doctor",
        "what is wrong, and what to do about it",
        "tupana doctor",
        _nothing,
    ),
    "sandbox": (
        "sandbox",
        "serve the API on this machine, with an invented world",
        "tupana sandbox --port 8420 --documents 20000",
        _sandbox,
    ),
}
"""Name → module in this package, help (then more of it), example, its own arguments."""
