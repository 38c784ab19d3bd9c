"""The companies a key sees, and the ones the user asked for."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

import msgspec

from tupana_etl.api.client import Client, Reply
from tupana_etl.api.pages import Page, parse_page, read_pages
from tupana_etl.domain import canonical_rut, check_digit, valid_rut
from tupana_etl.errors import ConfigError, NotFound, ServerError


@dataclass(frozen=True)
class Company:
    """A company of the user: Tu Pana's id, canonical RUT ('' if it has none), name."""

    id: str
    rut: str
    name: str


class _Entity(msgspec.Struct):
    id: str | int
    tax_id: str | None = None
    rut: str | None = None
    name: str | None = None


class _Credential(msgspec.Struct):
    master_entities: list[_Entity] | None = None
    status: str | None = None


_CREDENTIALS = msgspec.json.Decoder(list[_Credential])
_ENTITY = msgspec.json.Decoder(_Entity)


async def companies(client: Client) -> list[Company]:
    """Every company that an active credential of the key opens, by RUT.

    Source: GET /credentials. Raises ServerError when the answer has another shape, and
    what ``Client.get`` raises.
    """
    found: dict[str, Company] = {}
    for page in await credential_pages(client):
        try:
            credentials = _CREDENTIALS.decode(page.rows)
        except (msgspec.MsgspecError, ValueError):
            raise _unexpected(page.reply, "/credentials") from None
        for credential in credentials:
            if (credential.status or "VALID").upper() == "VALID":
                for entity in credential.master_entities or ():
                    found.setdefault(str(entity.id), _company(entity))
    return sorted(found.values(), key=lambda company: (company.rut, company.id))


async def credential_pages(client: Client) -> list[Page]:
    """All pages; a bare array is known to be whole, which saves a second call."""
    path, size = "/credentials", 100
    first = parse_page(await client.get(path, {"page": "1", "page_size": str(size)}), 1)
    if first.bare:
        return [first]
    async with aclosing(read_pages(client, path, page_size=size, first=first)) as pages:
        return [page async for page in pages]


async def look_up(client: Client, rut: str) -> Company:
    """The company with a RUT that the user typed. Source: GET /master-entities?rut=.

    That GET makes Tu Pana create a company it does not know, so a RUT that cannot be
    right is never sent: ConfigError. ConfigError too when Tu Pana and SII do not know it.
    """
    canonical = _right_rut(rut)
    try:
        reply = await client.get("/master-entities", {"rut": canonical}, company=canonical)
    except NotFound:
        raise ConfigError(
            f"Neither Tu Pana nor SII knows a company with RUT {canonical}."
        ) from None
    try:
        company = _company(_ENTITY.decode(reply.body))
    except (msgspec.MsgspecError, ValueError):
        raise _unexpected(reply, "/master-entities") from None
    if company.rut != canonical:
        raise ServerError(
            f"Asked for RUT {canonical}, the API answered with {company.rut or 'none'}.",
            status=reply.status,
            request_id=reply.request_id,
        )
    return company


async def resolve(
    client: Client, wanted: tuple[str, ...], known: list[Company] | None = None
) -> list[Company]:
    """The companies of TUPANA_ENTITIES in the order written, or all when it is empty.

    ``known`` are those of :func:`companies`, if they were asked for already.

    Ids and RUTs are held against :func:`companies` first; only a RUT that is not there is
    looked up. Everything is checked before the first look-up. Raises ConfigError naming
    what is wrong.
    """
    known = await companies(client) if known is None else known
    if not wanted:
        return known
    plan = [_match(text, known) for text in wanted]
    chosen: dict[str, Company] = {}
    for item in plan:
        company = item if isinstance(item, Company) else await look_up(client, item)
        chosen.setdefault(company.id, company)
    return list(chosen.values())


def _match(text: str, known: list[Company]) -> Company | str:
    """The known company, or the canonical RUT to look up."""
    for company in known:
        if company.id == text:
            return company
    rut = canonical_rut(text)
    for company in known:
        if rut is not None and company.rut == rut:
            return company
    # Without its hyphen a RUT looks like an id, and one id in eleven passes for a RUT.
    if "-" not in text:
        raise ConfigError(
            f"TUPANA_ENTITIES names {text!r}, which is no company this key sees. "
            "`tupana companies` lists them; a RUT is written with its hyphen (76086428-5)."
        )
    return _right_rut(text, "TUPANA_ENTITIES names ")


def _right_rut(text: str, where: str = "") -> str:
    rut = canonical_rut(text)
    if rut is None:
        raise ConfigError(f"{where}{text!r}: that is not a RUT. Write it like 76086428-5.")
    if not valid_rut(text):
        digit = check_digit(int(rut[:-2]))
        raise ConfigError(
            f"{where}{text!r}: wrong check digit, {rut[:-2]} would end in -{digit}. "
            "Check the number."
        )
    return rut


def _company(entity: _Entity) -> Company:
    tax_id = entity.tax_id or entity.rut or ""
    return Company(str(entity.id), canonical_rut(tax_id) or tax_id, (entity.name or "").strip())


def _unexpected(reply: Reply, path: str) -> ServerError:
    return ServerError(
        f"The answer of {path} has not the shape the API promises.",
        status=reply.status,
        request_id=reply.request_id,
    )
