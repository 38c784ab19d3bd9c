"""Registers a company's SII credential at Tu Pana, and waits until SII has tried it.

The passwords are sent once, in one body, and are nowhere else: no log, no error, no answer
that is passed on holds them. The API answers with the credential (201), or with an
enrollment that is asked for until it ends (202).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tupana_etl.api.client import Client
from tupana_etl.api.failures import SECRET_FROM, capped, strike
from tupana_etl.api.outcomes import Kind, Outcome, failure
from tupana_etl.api.reads import credential_pages
from tupana_etl.api.writes import Writer
from tupana_etl.domain import canonical_rut
from tupana_etl.errors import ApiError, ConfigError, OutcomeUnknown, ServerError

TYPES = {"sii": 70, "sii_company": 73, "certificate": 75}
"""Ids of the kinds of credential (API reference, POST /credentials)."""

EVERY = 2.5
"""Seconds between two looks at an enrollment; the API asks for 2 to 3."""

SETTLE = 20.0
"""Seconds for which a credential may show late after an answer that was lost."""

Sleep = Callable[[float], Awaitable[object]]


@dataclass(frozen=True)
class Secrets:
    """What opens SII. Shows in no ``repr``."""

    password: str = field(default="", repr=False)
    certificate_password: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    """The certificate's file, in Base64."""

    @property
    def texts(self) -> tuple[str, ...]:
        found = {self.password, self.certificate_password, self.certificate} - {""}
        return tuple(sorted(found, key=len, reverse=True))


@dataclass(frozen=True)
class Wanted:
    """Whose credential, of which kind, of which company."""

    user: str
    """RUT of the person (or company) that logs in, canonical."""
    kind: str
    """A key of ``TYPES``."""
    company: str
    """Tu Pana's id of the company."""

    @property
    def type_id(self) -> int:
        return TYPES[self.kind]


class Credential(msgspec.Struct, frozen=True):
    """A credential as Tu Pana lists it."""

    id: str | int
    status: str | None = None
    user: str | None = None


class _Named(msgspec.Struct):
    id: str | int


class _Listed(msgspec.Struct):
    id: str | int
    status: str | None = None
    user: str | None = None
    credential_type: _Named | None = None
    master_entities: list[_Named] = []


class _Enrollment(msgspec.Struct):
    enrollment_id: str | int | None = None
    status: str | None = None
    error: Any = None
    credential: Credential | None = None


async def existing(client: Client, wanted: Wanted) -> list[Credential]:
    """Valid credentials of that kind, user and company. Source: GET /credentials."""
    found = []
    for page in await credential_pages(client):
        try:
            rows = msgspec.json.decode(page.rows, type=list[_Listed])
        except (msgspec.MsgspecError, ValueError):
            raise ServerError("The answer of /credentials has not the promised shape.") from None
        found += [
            Credential(row.id, "VALID", wanted.user)
            for row in rows
            if (row.status or "VALID").upper() == "VALID"
            and canonical_rut(row.user or "") == wanted.user
            and row.credential_type is not None
            and str(row.credential_type.id) == str(wanted.type_id)
            and wanted.company in {str(entity.id) for entity in row.master_entities}
        ]
    return found


async def enroll(
    client: Client,
    writer: Writer,
    wanted: Wanted,
    secrets: Secrets,
    *,
    wait: float,
    sleep: Sleep,
) -> Credential:
    """Sends the credential once, and returns it when SII took it, at most ``wait`` seconds later.

    Raises ConfigError when SII refuses it, Invalid or Refused when the API refuses the call,
    ServerError when nothing was sent or SII could not be asked, OutcomeUnknown when nobody
    can tell or it is still being tried.
    """
    before = {str(each.id) for each in await existing(client, wanted)}
    outcome = await writer.post(
        "/credentials",
        _body(wanted, secrets),
        company=wanted.company,
        expects_batch=False,
        secrets=secrets.texts,
    )
    reason = without(outcome.reason, secrets)
    if error := failure(outcome, "credential", company=wanted.company, reason=reason):
        raise error
    if outcome.kind is Kind.AMBIGUOUS:
        return await _found_after_all(client, wanted, before, (outcome, reason), sleep)
    told = msgspec.json.decode(outcome.answer, type=dict[str, Any])
    enrollment = told.get("enrollment_id")
    if enrollment is not None:
        return await _followed(client, str(enrollment), secrets, wait, sleep)
    made: Credential | None = _read(outcome.answer, Credential)
    if made is None:
        reason = "The answer holds no credential."
        return await _found_after_all(client, wanted, before, (outcome, reason), sleep)
    if (made.status or "VALID").upper() != "VALID":
        raise ConfigError(f"SII did not take it: Tu Pana says {made.status}. {_AGAIN}")
    return made


_AGAIN = "Check user and password and run the command again; nothing is kept here."


def _body(wanted: Wanted, secrets: Secrets) -> bytes:
    said = {
        "user_rut": wanted.user,
        "password": secrets.password,
        "digital_certificate_password": secrets.certificate_password,
        "digital_certificate_base64": secrets.certificate,
    }
    company = int(wanted.company) if wanted.company.isdigit() else wanted.company
    about = {"master_entity_id": company, "credential_type_id": wanted.type_id}
    return json.dumps({name: text for name, text in said.items() if text} | about).encode()


async def _followed(
    client: Client, enrollment: str, secrets: Secrets, wait: float, sleep: Sleep
) -> Credential:
    """The end of an enrollment. Source: GET /credentials/enrollments/{id}."""
    until = time.monotonic() + wait
    trouble = ""
    while True:
        try:
            reply = await client.get(f"/credentials/enrollments/{enrollment}")
            found: _Enrollment = _read(reply.body, _Enrollment) or _Enrollment()
        except ApiError as error:
            if not isinstance(error, ServerError):
                error.message = without(error.message, secrets)
                raise
            found, trouble = _Enrollment(), without(error.message, secrets)
        said = without(str(found.error or ""), secrets)
        match (found.status or "").lower():
            case "valid":
                return found.credential or Credential("", "VALID")
            case "invalid":
                raise ConfigError(f"SII does not take this user and password. {said} {_AGAIN}")
            case "error":
                raise ServerError(
                    f"SII could not be asked, so nothing was registered. {said} Try again later."
                )
        if time.monotonic() + EVERY > until:
            raise OutcomeUnknown(
                f"Tu Pana is still trying the credential at SII (enrollment {enrollment}). "
                f"{trouble} `tupana companies` shows the company once it is valid."
            )
        await sleep(EVERY)


async def _found_after_all(
    client: Client, wanted: Wanted, before: set[str], end: tuple[Outcome, str], sleep: Sleep
) -> Credential:
    """The answer was lost: whether there is a credential more. It is not sent again."""
    outcome, reason = end
    until = time.monotonic() + SETTLE
    while True:
        new = [each for each in await existing(client, wanted) if str(each.id) not in before]
        if new:
            return new[0]
        if time.monotonic() + EVERY > until:
            raise OutcomeUnknown(
                f"It is not known whether Tu Pana took the credential: {reason} No new one is "
                "listed. It was sent once; `tupana companies` shows the company once it is valid, "
                "and sending the same password again does no harm.",
                status=outcome.status,
                request_id=outcome.request_id,
            )
        await sleep(EVERY)


def without(text: str, secrets: Secrets) -> str:
    """Words of the server with the secrets taken out; none when a short one is in them."""
    if any(len(secret) < SECRET_FROM and secret in text for secret in secrets.texts):
        return "(Its words are not shown: they hold a secret.)"
    return capped(str(strike(text, secrets.texts)))


def _read(body: bytes, kind: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
