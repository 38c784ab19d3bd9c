"""``tupana credentials create``: hands a company's SII password to Tu Pana, once.

The secrets come from the environment of this one command or from a prompt: never from an
argument, which every process of the machine and the shell's history can read, nor from a file.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import getpass
import os
import sys
from pathlib import Path

from dotenv import dotenv_values

from tupana_etl import settings
from tupana_etl.api.client import Client
from tupana_etl.api.enrollment import Credential, Secrets, Wanted, enroll, existing
from tupana_etl.api.reads import Company, companies, look_up
from tupana_etl.api.writes import Writer
from tupana_etl.cli import output
from tupana_etl.domain import canonical_rut, valid_rut
from tupana_etl.errors import ConfigError
from tupana_etl.event_loop import run_async
from tupana_etl.settings import Settings

PASSWORD, CERTIFICATE_PASSWORD = "TUPANA_SII_PASSWORD", "TUPANA_CERTIFICATE_PASSWORD"

NEEDS = {
    "sii": (PASSWORD, CERTIFICATE_PASSWORD),
    "sii_company": (PASSWORD,),
    "certificate": (CERTIFICATE_PASSWORD,),
}
"""Which secrets each kind of credential has (API reference, POST /credentials)."""

ASKED = {PASSWORD: "Password at SII", CERTIFICATE_PASSWORD: "Password of the certificate"}

LARGEST = 100_000
"""Bytes of a certificate's file; real ones have some 5,000."""


def run(args: argparse.Namespace) -> int:
    configured = settings.load().need_key()
    user = canonical_rut(args.user)
    if user is None or not valid_rut(args.user):
        raise ConfigError(f"--user is {args.user!r}, which is no RUT. Nothing was sent.")
    secrets = _secrets(args.kind, args.certificate)
    company, made, is_new = run_async(_create(configured, args, user, secrets))
    if args.json:
        output.write_json(
            {
                "created": is_new,
                "credential_id": str(made.id) or None,
                "user": user,
                "type": args.kind,
                "company": company.rut,
                "status": "VALID",
            }
        )
    elif is_new:
        output.write(output.paragraph(f"SII takes it: {company.rut} {company.name} is enrolled."))
        output.write("Next: tupana sync")
    else:
        text = f"{company.rut} {company.name} has a valid credential of {user} already. Nothing "
        output.write(output.paragraph(f"{text}was sent; --renew sends it all the same."))
    return 0


async def _create(
    configured: Settings, args: argparse.Namespace, user: str, secrets: Secrets
) -> tuple[Company, Credential, bool]:
    async with Client(configured) as client, Writer(configured) as writer:
        company = await _company(client, args.entity)
        wanted = Wanted(user, args.kind, company.id)
        there = [] if args.renew else await existing(client, wanted)
        if there:
            return company, there[0], False
        made = await enroll(client, writer, wanted, secrets, wait=args.wait, sleep=asyncio.sleep)
        return company, made, True


async def _company(client: Client, entity: str) -> Company:
    """One that the key sees, or by its RUT one that it shall see from now on."""
    for company in await companies(client):
        if entity == company.id or canonical_rut(entity) == company.rut:
            return company
    return await look_up(client, entity)


def _secrets(kind: str, certificate: str | None) -> Secrets:
    if (kind == "certificate") != (certificate is not None):
        raise ConfigError(
            "--certificate FILE goes with --type certificate, and that needs it. Nothing was sent."
        )
    content = "" if certificate is None else _content(Path(certificate))
    told = {name: _secret(name) for name in NEEDS[kind]}
    return Secrets(told.get(PASSWORD, ""), told.get(CERTIFICATE_PASSWORD, ""), content)


def _content(path: Path) -> str:
    try:
        found = path.expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. Nothing was sent.") from None
    if not 0 < len(found) <= LARGEST:
        raise ConfigError(f"{path} is no certificate: it has {len(found)} bytes.")
    return base64.b64encode(found).decode("ascii")


def _secret(name: str) -> str:
    """From the environment, or from a person at a terminal."""
    secret = os.environ.get(name, "")
    if not secret and sys.stdin.isatty():
        secret = getpass.getpass(f"{ASKED[name]}: ")
    if not secret:
        kept = " It stands in .env, which is a file: such a secret is not read from there."
        hint = kept if dotenv_values(Path.cwd() / ".env").get(name) else ""
        raise ConfigError(
            f"{ASKED[name]} is missing: set {name} for this one command, or run it at a terminal, "
            f"where it is asked for.{hint} Nothing was sent."
        )
    return secret
