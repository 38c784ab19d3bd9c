"""The commands under ``tupana webhooks``: what each is for, its options."""

from __future__ import annotations

import argparse

from tupana_etl.cli.command import Command, wait_option, whole


def _serve(p: argparse.ArgumentParser) -> None:
    p.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    p.add_argument("--port", type=whole, default=8430, help="8430; 0 takes a free one")
    p.add_argument("--no-drain", action="store_true", help="only keep events; somebody else reads")


def _list(p: argparse.ArgumentParser) -> None:
    p.add_argument("--entity", metavar="RUT", help="only this company: its RUT or id")


def _create(p: argparse.ArgumentParser) -> None:
    p.add_argument("url", metavar="URL", help="where events shall go; https")
    p.add_argument("--entity", metavar="RUT", help="whose events; needed with several companies")
    p.add_argument(
        "--events",
        nargs="+",
        metavar="EVENT",
        help="such as document.paid (default: what moves documents)",
    )


def _drain(p: argparse.ArgumentParser) -> None:
    wait_option(p, 60.0, "another run of this home")


WEBHOOKS = Command(
    "webhooks",
    "receive events: what changed is read within seconds",
    "tupana webhooks serve --port 8430",
    more="An event is only a hint: its document is read from the API, and what the API says "
    "counts. Losing every event only costs time until the next sync.",
    parts=(
        Command(
            "serve",
            "the receiver, until Ctrl-C; reads what events name and publishes it",
            "tupana webhooks serve --host 0.0.0.0 --port 8430",
            _serve,
            more="Needs TUPANA_WEBHOOK_SECRET. It speaks plain HTTP: put it behind whatever "
            "ends TLS for you. Tu Pana must reach POST / of it.",
        ),
        Command(
            "drain",
            "read now what the kept events name",
            "tupana webhooks drain",
            _drain,
            more="`serve` does this by itself. Exit code 1 when a document could not be read; "
            "it is tried again.",
        ),
        Command(
            "list",
            "the webhooks registered at Tu Pana, and what this home received",
            "tupana webhooks list",
            _list,
        ),
        Command(
            "create",
            "register an address at Tu Pana",
            "tupana webhooks create https://hooks.example.cl/tupana --entity 76086428-5",
            _create,
            more="The secret is the first of TUPANA_WEBHOOK_SECRET, or asked for; it is never "
            "an argument and is shown nowhere.",
        ),
    ),
)
