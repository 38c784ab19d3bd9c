"""``tupana webhooks create``: registers an address at Tu Pana, once."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from urllib.parse import urlsplit

from tupana_etl import settings
from tupana_etl.api.client import Client
from tupana_etl.api.outcomes import Kind, failure
from tupana_etl.api.reads import companies
from tupana_etl.api.writes import Writer
from tupana_etl.cli import output
from tupana_etl.cli.webhooks_list import one_of, registered
from tupana_etl.errors import ConfigError, OutcomeUnknown
from tupana_etl.event_loop import run_async
from tupana_etl.home import LOOPBACK
from tupana_etl.settings import Settings

EVENTS = (
    *(
        "document.issued",
        "document.issue_failed",
        "document.updated",
        "document.rejected",
        "document.paid",
    ),
    *("document.unpaid", "document.cancelled", "document.trace_updated"),
)
"""What moves documents. Source: the vendor's webhook pages."""

LONGEST_SECRET = 255


def run(args: argparse.Namespace) -> int:
    configured = settings.load().need_key()
    url = _url(args.url)
    events = list(args.events or EVENTS)
    is_new = run_async(_create(configured, url, events, args.entity))
    if args.json:
        output.write_json({"url": url, "events": events, "created": is_new})
    elif is_new:
        output.write(f"Registered: {url}")
    else:
        kept = "Nothing was sent: it keeps the secret it was registered with"
        output.write(output.paragraph(f"Already registered: {url}. {kept}."))
    return 0


async def _create(configured: Settings, url: str, events: list[str], entity: str | None) -> bool:
    """Looks first, then sends once. False when the address was there already."""
    async with Client(configured) as client:
        company = one_of(await companies(client), entity)
    if any(hook["url"] == url for hook in await registered(configured, company.id)):
        return False
    wanted = {
        "master_entity_id": int(company.id) if company.id.isdigit() else company.id,
        "url": url,
        "events": events,
        "secret": _secret(configured),
        "is_active": True,
    }
    async with Writer(configured) as writer:
        outcome = await writer.post(
            "/webhooks", json.dumps(wanted).encode(), company=company.id, expects_batch=False
        )
    if error := failure(outcome, "webhook", company=company.id):
        raise error
    if outcome.kind is Kind.AMBIGUOUS:
        raise OutcomeUnknown(
            f"It is not known whether the webhook was registered: {outcome.reason} "
            "`tupana webhooks list` tells.",
            status=outcome.status,
            request_id=outcome.request_id,
            company=company.id,
        )
    return True


def _secret(configured: Settings) -> str:
    """The newest of TUPANA_WEBHOOK_SECRET, or what a person types."""
    if configured.webhook_secrets:
        secret = configured.webhook_secrets[0]
    elif sys.stdin.isatty():
        secret = getpass.getpass("Secret that signs the events: ").strip()
    else:
        secret = ""
    if not secret or len(secret) > LONGEST_SECRET:
        raise ConfigError(
            "A webhook needs a secret of 1 to 255 characters: set TUPANA_WEBHOOK_SECRET (see "
            ".env.example). Without one nobody could tell who sends the events."
        )
    return secret


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    plain = parts.scheme == "http" and parts.hostname in LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or plain):
        raise ConfigError(f"{text!r} is no https address; events hold data of your customers.")
    return text
