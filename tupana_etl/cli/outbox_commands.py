"""The commands under ``tupana outbox``: what each is for, its options."""

from __future__ import annotations

import argparse

from tupana_etl.cli.command import Command, wait_option, whole


def _plan(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "what", nargs="?", choices=("documents", "payments", "cessions"), default="documents"
    )
    p.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        help="CSV, Parquet or .sql file, table or SELECT (default: sql/outbox/)",
    )
    p.add_argument(
        "--allow-claims",
        action="store_true",
        help="payments: let rows accept or claim documents at SII, a legal act",
    )
    p.add_argument("--show", metavar="ROW_KEY", help="the exact body of one row")
    p.add_argument("--all", action="store_true", help="list every row, not the first 20")
    p.add_argument(
        "--max-documents",
        type=whole,
        default=200,
        metavar="N",
        help="more than this needs approval even in a sandbox (200)",
    )
    p.add_argument(
        "--max-clp",
        type=whole,
        default=100_000_000,
        metavar="PESOS",
        help="likewise for the sum of all totals (100000000)",
    )


def _approve(p: argparse.ArgumentParser) -> None:
    p.add_argument("plan_hash", metavar="PLAN_HASH", help="as `plan` shows it; 8 characters do")
    p.add_argument("--by", required=True, metavar="NAME", help="who approves; it is kept")
    p.add_argument("--note", default="", metavar="TEXT", help="why, for whoever asks later")


def _send(p: argparse.ArgumentParser) -> None:
    wait_option(p, 120, "another sender, and for results after the last batch")


def _resolve(p: argparse.ArgumentParser) -> None:
    p.add_argument("row_key", nargs="?", metavar="ROW_KEY", help="default: list what is open")
    what = p.add_mutually_exclusive_group()
    what.add_argument("--adopt", metavar="DOCUMENT", help="this document is the row's")
    what.add_argument(
        "--release", action="store_true", help="it was surely never issued: send it once more"
    )
    what.add_argument("--abandon", action="store_true", help="give the row up")
    what.add_argument(
        "--acknowledge", action="store_true", help="its bad end was seen; status is content"
    )
    p.add_argument("--by", metavar="NAME", default="", help="who decides; it is kept")
    p.add_argument(
        "--also-by",
        metavar="NAME",
        default="",
        help="second person, to release a cession or schedule",
    )
    p.add_argument("--reason", metavar="TEXT", default="", help="why; it is kept")


def _status(p: argparse.ArgumentParser) -> None:
    p.add_argument("--all", action="store_true", help="list rows with nothing left to do too")


def _history(p: argparse.ArgumentParser) -> None:
    p.add_argument("row_key", metavar="ROW_KEY")


def _backup(p: argparse.ArgumentParser) -> None:
    p.add_argument("--out", metavar="DIR", help="default: backups/ in the home, by date")


def _rebuild(p: argparse.ArgumentParser) -> None:
    p.add_argument("--by", required=True, metavar="NAME", help="who decides; it is kept")
    p.add_argument("--reason", required=True, metavar="TEXT", help="why; it is kept")


def _purge(p: argparse.ArgumentParser) -> None:
    p.add_argument(
        "--older-than",
        type=whole,
        required=True,
        metavar="DAYS",
        help="only rows at rest for more days than this; no term is assumed",
    )
    p.add_argument("--dry-run", action="store_true", help="show what would go, change nothing")
    p.add_argument("--by", metavar="NAME", default="", help="who decides; it is kept")
    p.add_argument("--reason", metavar="TEXT", default="", help="why; it is kept")


OUTBOX = Command(
    "outbox",
    "issue documents from rows: plan, approve, send, follow",
    "tupana outbox plan --from invoices.csv\ntupana outbox status",
    more="At most one document is issued for a row key, whatever fails. "
    "docs/outbox.md says which columns a row has.",
    parts=(
        Command(
            "plan",
            "what would be issued and what is blocked; asks nobody, sends nothing",
            "tupana outbox plan --from invoices.csv --show billing:ACME:2026-11",
            _plan,
            more="A new plan takes the place of the last one of its source. Exit code 1 when "
            "a row is blocked or changed after it was issued.",
        ),
        Command(
            "approve",
            "let exactly what was planned be sent",
            "tupana outbox approve 4f2a91c07be35d18 --by 'Ana Rojas'",
            _approve,
            more="Always needed, except in a sandbox that is proven and for a plan under its "
            "caps. A plan that a newer one took the place of is refused.",
        ),
        Command(
            "send",
            "send what was approved and follow it until it is read back",
            "tupana outbox send --wait 300",
            _send,
            more="May be killed, repeated and run twice: it goes on where it was. What may have "
            "been issued is looked up before anything is repeated. Exit code 1 while a row is "
            "neither verified nor decided about.",
        ),
        Command(
            "resolve",
            "decide about a row that only a person may decide",
            "tupana outbox resolve billing:ACME:2026-11 --adopt 48213 --by 'Ana Rojas' \\\n"
            "    --reason 'issued by hand'",
            _resolve,
            more="Without a row it lists what is open and what may be done. --release is refused "
            "until look-ups over a day found nothing.",
        ),
        Command(
            "status",
            "where every row stands",
            "tupana outbox status",
            _status,
            more="Exit code 0 only when every row is verified, given up or acknowledged.",
        ),
        Command(
            "history",
            "all that happened to one row: when, who, why, on what evidence",
            "tupana outbox history billing:ACME:2026-11",
            _history,
        ),
        Command(
            "backup",
            "copy the ledger and its pepper, whole, while they are in use",
            "tupana outbox backup --out /mnt/safe/ledger",
            _backup,
            more="Keep it as safe as the invoices themselves. Copying the file by hand while "
            "it is open can give half of it.",
        ),
        Command(
            "purge",
            "take names, RUTs and lines out of rows long at rest, for good",
            "tupana outbox purge --older-than 90 --dry-run",
            _purge,
            more="Hashes, folios, amounts and the history stay, so nothing is issued again. Rows "
            "in doubt, and what was sent with them, keep everything. docs/issuing.md says what a "
            "purge reaches.",
        ),
        Command(
            "rebuild",
            "go on with an older copy of the ledger, put back after a loss",
            "tupana outbox rebuild --by 'Ana Rojas' --reason 'disk lost, copy of Monday'",
            _rebuild,
            more="What the copy does not know may have been issued: from then on every row is "
            "looked up in the API before it is first sent, and what is found is adopted.",
        ),
    ),
)
