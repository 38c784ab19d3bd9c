"""Which companies: from the credentials first, by RUT only when it cannot be wrong."""

from __future__ import annotations

import asyncio
import json as stdlib_json
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.api.reads import Company, companies, look_up, resolve
from tupana_etl.errors import AuthError, CompanyRefused, ConfigError, ServerError

from .conftest import MakeClient
from .server import Server, json, script

CREDENTIALS: list[dict[str, Any]] = [
    {
        "id": 1,
        "status": "VALID",
        "master_entities": [
            {"id": 20, "name": " Beta SpA ", "tax_id": "96.790.240-3"},
            {"id": 10, "name": "Alfa Ltda", "tax_id": "76.086.428-5"},
        ],
    },
    {"id": 2, "status": "VALID", "master_entities": [{"id": "20", "tax_id": "96790240-3"}]},
    {"id": 3, "status": "EXPIRED", "master_entities": [{"id": 99, "tax_id": "1-9"}]},
    {"id": 4, "master_entities": None, "unknown": {}},
]
ALFA = Company("10", "76086428-5", "Alfa Ltda")
BETA = Company("20", "96790240-3", "Beta SpA")
GAMMA = Company("30", "60805000-0", "Gamma")


def api(credentials: Any, entity: Response | None = None) -> Any:
    async def handle(request: Request) -> Response:
        if request.url.path == "/v1/credentials":
            return json(stdlib_json.dumps(credentials))
        return entity or json('{"id": 30, "tax_id": "60.805.000-0", "name": "Gamma"}')

    return handle


def paths(server: Server) -> list[str]:
    return [seen.url.partition("/v1")[2] for seen in server.seen]


def seen_by(client_of: MakeClient, server: Server) -> list[Company]:
    async def run() -> list[Company]:
        async with client_of(server.base_url) as client:
            return await companies(client)

    return asyncio.run(run())


def resolved(client_of: MakeClient, server: Server, *wanted: str) -> list[Company]:
    async def run() -> list[Company]:
        async with client_of(server.base_url) as client:
            return await resolve(client, wanted)

    return asyncio.run(run())


def looked_up(client_of: MakeClient, server: Server, rut: str) -> Company:
    async def run() -> Company:
        async with client_of(server.base_url) as client:
            return await look_up(client, rut)

    return asyncio.run(run())


def test_companies_come_once_from_active_credentials(server: Server, client_of: MakeClient) -> None:
    server.handle = api(CREDENTIALS)
    assert seen_by(client_of, server) == [ALFA, BETA]
    assert len(server.seen) == 1


def test_companies_come_from_an_envelope_too(server: Server, client_of: MakeClient) -> None:
    server.handle = api({"count": 4, "total_pages": 1, "results": CREDENTIALS})
    assert seen_by(client_of, server) == [ALFA, BETA]
    server.handle = api([])
    assert seen_by(client_of, server) == []


@pytest.mark.parametrize("body", [{"a": 1}, [1], [{"master_entities": [{"name": "no id"}]}]])
def test_credentials_of_another_shape_are_a_server_error(
    server: Server, client_of: MakeClient, body: Any
) -> None:
    server.handle = api(body)
    with pytest.raises(ServerError, match="/credentials"):
        seen_by(client_of, server)


def test_a_wrong_key_shows_at_the_first_call(server: Server, client_of: MakeClient) -> None:
    for status in (401, 403):
        server.handle = script(json('{"error": "API key inválida"}', status))
        with pytest.raises(AuthError, match="TUPANA_API_KEY"):
            seen_by(client_of, server)


def test_wanted_companies_are_known_by_id_or_rut(server: Server, client_of: MakeClient) -> None:
    server.handle = api(CREDENTIALS)
    assert resolved(client_of, server) == [ALFA, BETA]
    assert resolved(client_of, server, "20", "76.086.428-5", "96790240-3") == [BETA, ALFA]
    assert resolved(client_of, server, "760864285") == [ALFA]
    assert all("/credentials" in path for path in paths(server))


def test_only_a_rut_that_is_not_known_is_looked_up(server: Server, client_of: MakeClient) -> None:
    server.handle = api(CREDENTIALS)
    assert resolved(client_of, server, "60.805.000-0", "10") == [GAMMA, ALFA]
    assert paths(server)[1:] == ["/master-entities?rut=60805000-0"]


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("60805000-1", "would end in -0"),
        ("608050000", "hyphen"),
        ("2205607", "no company this key sees"),
        ("eid_abc", "no company this key sees"),
        ("not-a-rut", "not a RUT"),
    ],
)
def test_a_wrong_entity_is_named_and_nothing_is_looked_up(
    server: Server, client_of: MakeClient, wanted: str, why: str
) -> None:
    server.handle = api(CREDENTIALS)
    with pytest.raises(ConfigError, match=why) as caught:
        resolved(client_of, server, "60805000-0", wanted)
    assert wanted in str(caught.value)
    assert "TUPANA_ENTITIES" in str(caught.value)
    assert len(server.seen) == 1


def test_a_look_up_never_sends_a_wrong_rut(server: Server, client_of: MakeClient) -> None:
    for rut in ("76086428-6", "", "x"):
        with pytest.raises(ConfigError):
            looked_up(client_of, server, rut)
    assert server.seen == []


def test_a_look_up_is_answered_with_that_company_or_not_at_all(
    server: Server, client_of: MakeClient
) -> None:
    server.handle = api([])
    assert looked_up(client_of, server, "60805000-0") == GAMMA
    with pytest.raises(ServerError, match="answered with 60805000-0"):
        looked_up(client_of, server, "76086428-5")
    for status, body, kind in (
        (404, '{"detail": "No encontrado."}', ConfigError),
        (403, '{"error": "Sin acceso"}', CompanyRefused),
        (200, "[]", ServerError),
    ):
        server.handle = script(json(body, status))
        with pytest.raises(kind):
            looked_up(client_of, server, "60805000-0")
