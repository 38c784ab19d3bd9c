"""What ``tupana doctor`` asks of the API: does it answer, take the key, fit this home."""

from __future__ import annotations

from collections.abc import Iterator

from tupana_etl import home
from tupana_etl.cli import output
from tupana_etl.cli.checks import Check
from tupana_etl.cli.companies import Seen, visible
from tupana_etl.errors import AuthError, Fatal, OriginError, TupanaError
from tupana_etl.event_loop import run_async
from tupana_etl.settings import Settings


def check_api(configured: Settings) -> Iterator[Check]:
    """One GET of /credentials answers all of it. Nothing is asked without a key."""
    if not configured.api_key:
        return
    try:
        companies = list(run_async(visible(configured)).values())
    except AuthError as error:
        yield Check("api", "fail", str(error), "Make a new key in Tu Pana and set it.")
    except TupanaError as error:
        cure = "Check TUPANA_BASE_URL and the network, or try again later."
        yield Check("api", "fail", str(error), cure, code=2 if isinstance(error, Fatal) else 1)
    else:
        yield Check("api", "ok", "answers and takes the key")
        yield _check_companies(companies)
        yield _check_origin(configured, companies)


def _check_companies(companies: list[Seen]) -> Check:
    valid = sum(c.credential == "valid" for c in companies)
    text = f"{output.number(valid)} with a valid credential"
    cure = "Enrol or renew credentials in Tu Pana; `tupana companies` lists them."
    if not valid:
        return Check("companies", "fail", text, cure)
    if valid < len(companies):
        others = output.number(len(companies) - valid)
        return Check("companies", "warn", f"{text}, {others} without", cure)
    return Check("companies", "ok", text)


def _check_origin(configured: Settings, companies: list[Seen]) -> Check:
    if not (configured.home / "origin.json").exists():
        return Check("origin", "ok", "this home belongs to no account yet")
    valid = [c.rut for c in companies if c.credential == "valid"]
    try:
        home.check_origin(configured, valid)
    except OriginError as error:
        return Check("origin", "fail", "this home belongs to another account", str(error))
    kind = "a sandbox" if home.is_sandbox(configured.home) else "this account"
    return Check("origin", "ok", f"this home belongs to {kind}")
