"""The commands under ``tupana credentials``."""

from __future__ import annotations

import argparse

from tupana_etl.cli.command import Command, wait_option


def _create(p: argparse.ArgumentParser) -> None:
    p.add_argument("--entity", required=True, metavar="RUT", help="whose documents: the company")
    p.add_argument("--user", required=True, metavar="RUT", help="who logs in at SII")
    p.add_argument(
        "--type",
        dest="kind",
        choices=("sii", "sii_company", "certificate"),
        default="sii",
        help="sii",
    )
    p.add_argument("--certificate", metavar="FILE", help="the .pfx, with --type certificate")
    p.add_argument("--renew", action="store_true", help="send it though a valid one is there")
    wait_option(p, 120, "SII to try it")


CREDENTIALS = Command(
    "credentials",
    "let Tu Pana work for a company: its SII credential",
    "tupana credentials create --entity 76086428-5 --user 12345678-5",
    more="Alone it lists the companies that are enrolled.",
    parts=(
        Command(
            "create",
            "hand a company's SII password to Tu Pana, once",
            "tupana credentials create --entity 76086428-5 --user 12345678-5",
            _create,
            more="The passwords are asked for, or taken from TUPANA_SII_PASSWORD and "
            "TUPANA_CERTIFICATE_PASSWORD in the environment; they are no arguments, are read from "
            "no file and are kept nowhere. Exit code 2 when SII does not take them, 1 when nobody "
            "can tell yet.",
        ),
    ),
)
