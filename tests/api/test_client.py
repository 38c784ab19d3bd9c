"""The client against a real server that misbehaves."""

from __future__ import annotations

import asyncio
import gzip
import logging
from contextlib import closing
from datetime import UTC
from email.utils import formatdate
from pathlib import Path
from socket import create_server
from time import time

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from tupana_etl.api.client import Client, Reply
from tupana_etl.errors import (
    ApiError,
    AuthError,
    CompanyRefused,
    ConfigError,
    Invalid,
    NetworkError,
    NotFound,
    RateLimited,
    Refused,
    ServerError,
)
from tupana_etl.settings import Settings

from .conftest import MakeClient
from .server import KEY, WEBHOOK_SECRET, Answer, Naps, Server, json, raw_server, script, serving


async def get(
    client: Client, path: str = "/documents", company: str | None = None, **params: str
) -> Reply:
    async with client:
        return await client.get(path, params, company=company, document=None)


def test_a_good_answer_comes_with_its_lineage(server: Server, client_of: MakeClient) -> None:
    server.handle = script(json('{"a": 1}', x_request_id="rid"))
    client = client_of(server.base_url)
    reply = asyncio.run(get(client, page="2", a="x y&z"))
    assert (reply.body, reply.status, reply.request_id) == (b'{"a": 1}', 200, "rid")
    assert reply.path == "/v1/documents?a=x+y%26z&page=2"
    assert reply.fetched_at.tzinfo is UTC
    assert (reply.attempts, client.requests, client.retries) == (1, 1, 0)
    assert server.seen[0].headers["authorization"] == f"Api-Key {KEY}"
    assert server.seen[0].headers["accept"] == "application/json"
    assert client.stats()["requests"] == 1


def test_a_compressed_answer_is_unpacked(server: Server, client_of: MakeClient) -> None:
    server.handle = script(json(gzip.compress(b"[1]"), content_encoding="gzip"))
    assert asyncio.run(get(client_of(server.base_url))).body == b"[1]"


def test_no_cookie_is_kept(server: Server, client_of: MakeClient) -> None:
    server.handle = script(json("{}", set_cookie="session=abc; Path=/"))

    async def twice() -> None:
        async with client_of(server.base_url) as client:
            await client.get("/a")
            await client.get("/a")

    asyncio.run(twice())
    assert "cookie" not in server.seen[1].headers


def test_a_netrc_never_replaces_the_key(
    server: Server, client_of: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.handle = script(json("{}"))
    asyncio.run(get(client_of(server.base_url)))
    assert server.seen[0].headers["authorization"] == f"Api-Key {KEY}"


def test_this_machine_is_never_asked_through_a_proxy(
    server: Server, client_of: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.handle = script(json("{}"))
    assert asyncio.run(get(client_of(server.base_url))).status == 200


@pytest.mark.parametrize(
    ("answer", "company", "kind"),
    [
        (json('{"error": "Clave mala"}', 401), None, AuthError),
        (json('{"error": "No"}', 403), None, AuthError),
        (json('{"error": "No"}', 403), "7", CompanyRefused),
        (json('{"detail": "No encontrado."}', 404), "7", NotFound),
        (json('{"x": ["mal"]}', 422), "7", Invalid),
        (json('{"error": "mal"}', 400), "7", Invalid),
        (json('{"error": "otro"}', 409), "7", Invalid),
    ],
)
def test_refusals_are_not_asked_again(
    server: Server,
    client_of: MakeClient,
    answer: Response,
    company: str | None,
    kind: type[ApiError],
) -> None:
    server.handle = script(answer)
    with pytest.raises(ApiError) as caught:
        asyncio.run(get(client_of(server.base_url), company=company))
    assert type(caught.value) is kind
    assert caught.value.company == company
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "bad",
    [
        json('{"error": "x"}', 500),
        Response("<html>Bad Gateway</html>", 502, media_type="text/html"),
        json('{"error": "busy", "code": "server_busy"}', 503),
        PlainTextResponse("timeout", 504),
        json("{}", 408),
        json("{}", 429),
        Response("<!DOCTYPE html><p>Welcome", 200, media_type="text/html"),
        json('{"results": [1, 2'),
        json(""),
    ],
)
def test_what_may_pass_is_asked_again(server: Server, client_of: MakeClient, bad: Response) -> None:
    server.handle = script(bad, bad, json("[]"))
    client = client_of(server.base_url)
    reply = asyncio.run(get(client))
    assert (reply.body, reply.attempts) == (b"[]", 3)
    assert (client.requests, client.retries) == (3, 2)


def test_a_server_that_stays_broken_is_given_up(server: Server, client_of: MakeClient) -> None:
    server.handle = script(Response("<html>secret page</html>", 502, {"x-request-id": "r1"}))
    with pytest.raises(ServerError) as caught:
        asyncio.run(get(client_of(server.base_url), company="7"))
    assert (caught.value.status, caught.value.request_id, caught.value.company) == (502, "r1", "7")
    assert "HTML page" in str(caught.value)
    assert "secret page" not in str(caught.value)
    assert len(server.seen) == 5


def test_a_page_of_html_with_200_is_a_server_error(server: Server, client_of: MakeClient) -> None:
    server.handle = script(Response("<html>Log in</html>", 200))
    with pytest.raises(ServerError, match="HTML page"):
        asyncio.run(get(client_of(server.base_url)))


@pytest.mark.parametrize(
    ("header", "between"),
    [
        ("7", (7, 7)),
        ("0", (0.5, 0.5)),
        ("99999", (60, 60)),
        ("garbage", (0, 0.5)),
        ("in 50 s, as a date", (40, 51)),
    ],
)
def test_retry_after_is_kept_to(
    server: Server,
    client_of: MakeClient,
    naps: Naps,
    header: str,
    between: tuple[float, float],
) -> None:
    if "date" in header:  # of now, not of when the tests were collected
        header = formatdate(time() + 50, usegmt=True)
    server.handle = script(json("{}", 429, retry_after=header), json("{}"))
    client = client_of(server.base_url)
    asyncio.run(get(client))
    assert len(naps.taken) == 1
    assert between[0] <= naps.taken[0] <= between[1]
    assert client.waited == naps.taken[0]


def test_429_for_ever_is_rate_limited(server: Server, client_of: MakeClient) -> None:
    server.handle = script(json('{"error": "Límite", "limit": 10}', 429, retry_after="3"))
    with pytest.raises(RateLimited) as caught:
        asyncio.run(get(client_of(server.base_url)))
    assert caught.value.retry_after == 3
    assert caught.value.details == {"limit": 10}
    assert len(server.seen) == 8


def test_the_budget_ends_retries_of_the_whole_run(server: Server, client_of: MakeClient) -> None:
    server.handle = script(json("{}", 503))

    async def run() -> list[BaseException | Reply]:
        async with client_of(server.base_url, budget=5) as client:
            calls = [client.get("/a") for _ in range(4)]
            return await asyncio.gather(*calls, return_exceptions=True)

    assert {type(outcome) for outcome in asyncio.run(run())} == {ServerError}
    assert len(server.seen) == 4 + 5


def test_concurrency_gives_way_to_a_storm_and_comes_back(
    server: Server, client_of: MakeClient, naps: Naps
) -> None:
    storm = {"left": 20}

    async def handle(request: Request) -> Response:
        await asyncio.sleep(0.02)
        if storm["left"] and server.flying > 2:
            storm["left"] -= 1
            return json("{}", 429, retry_after="1")
        return json("{}")

    server.handle = handle

    async def run() -> tuple[int, int, int, dict[str, float | int]]:
        async with client_of(server.base_url, most=8) as client:
            await asyncio.gather(*(client.get("/a") for _ in range(30)))
            first, server.most = server.most, 0
            low = int(client.stats()["lowest_concurrency"])
            storm["left"] = 0
            await asyncio.gather(*(client.get("/a") for _ in range(120)))
            return first, low, server.most, client.stats()

    first, low, again, stats = asyncio.run(run())
    assert low < first <= 8
    assert 1 <= low <= 4
    assert low < again <= 8
    assert stats["concurrency"] == 8


def test_nobody_asks_while_a_retry_after_lasts(server: Server) -> None:
    """One worker is told to wait; the others wait with it."""
    asked: list[int] = []

    async def nap(seconds: float) -> None:
        asked.append(len(server.seen))
        await asyncio.sleep(0.05)
        asked.append(len(server.seen))

    server.handle = script(json("{}", 429, retry_after="5"), json("{}"))

    async def run() -> None:
        settings = Settings(api_key=KEY, base_url=server.base_url, max_concurrency=1)
        async with Client(settings, sleep=nap) as client:
            await asyncio.gather(*(client.get("/a") for _ in range(5)))

    asyncio.run(run())
    assert asked == [1, 1]
    assert len(server.seen) == 6


def test_who_has_a_lower_turn_is_served_first(server: Server, client_of: MakeClient) -> None:
    async def handle(request: Request) -> Response:
        await asyncio.sleep(0.01)
        return json("{}")

    server.handle = handle

    async def run() -> int:
        async with client_of(server.base_url, most=1) as client:
            turns = [client.in_turn(turn) for turn in (0, 9, 5, 9, 2)]
            named = enumerate(turns)
            await asyncio.gather(*(c.get(f"/{n}") for n, c in named), client.get("/last"))
            return client.requests

    assert asyncio.run(run()) == 6
    assert [seen.url.rpartition("/")[2] for seen in server.seen] == ["0", "last", *"4213"]


def test_a_cancelled_call_gives_its_slot_back(server: Server, client_of: MakeClient) -> None:
    async def handle(request: Request) -> Response:
        await asyncio.sleep(0.03)
        return json("{}")

    server.handle = handle

    async def run() -> int:
        async with client_of(server.base_url, most=1) as client:
            calls = [asyncio.create_task(client.get("/a")) for _ in range(4)]
            await asyncio.sleep(0.01)
            for call in calls[:3]:
                call.cancel()
            await asyncio.gather(*calls[:3], return_exceptions=True)
            return (await asyncio.wait_for(calls[3], 5)).status

    assert asyncio.run(run()) == 200


def test_a_redirect_inside_the_origin_is_followed(server: Server, client_of: MakeClient) -> None:
    async def handle(request: Request) -> Response:
        if request.url.path.endswith("/"):
            return json("[]")
        return RedirectResponse("documents/?page=1", 301)

    server.handle = handle
    reply = asyncio.run(get(client_of(server.base_url), page="1"))
    assert reply.body == b"[]"
    assert reply.path == "/v1/documents?page=1"
    assert [s.headers["authorization"] for s in server.seen] == [f"Api-Key {KEY}"] * 2


def test_a_redirect_elsewhere_is_refused_and_never_reached(
    server: Server, client_of: MakeClient
) -> None:
    with serving() as foreign:
        foreign.handle = script(json("{}"))
        place = foreign.base_url.removeprefix("http://").removesuffix("/v1")
        for target in (f"http://{place}/x", f"//{place}/x", f"http://user@{place}/x"):
            server.handle = script(RedirectResponse(target, 302))
            with pytest.raises(ServerError, match=place) as caught:
                asyncio.run(get(client_of(server.base_url), company="7"))
            assert caught.value.company == "7"
        assert foreign.seen == []
    assert len(server.seen) == 3


@pytest.mark.parametrize("target", ["https://127.0.0.1/x", "ftp://a/b", "http://[bad", "http://:0"])
def test_no_strange_redirect_is_followed(
    server: Server, client_of: MakeClient, target: str
) -> None:
    server.handle = script(Response(status_code=302, headers={"location": target}))
    with pytest.raises(ServerError):
        asyncio.run(get(client_of(server.base_url)))
    assert len(server.seen) == 1


def test_redirects_without_end_or_aim_are_refused(server: Server, client_of: MakeClient) -> None:
    server.handle = script(RedirectResponse("/v1/again", 307))
    with pytest.raises(ServerError, match="3 redirects"):
        asyncio.run(get(client_of(server.base_url)))
    assert len(server.seen) == 4
    server.handle = script(Response(status_code=302))
    with pytest.raises(ServerError, match="nowhere"):
        asyncio.run(get(client_of(server.base_url)))


def test_nobody_listening_is_said_plainly(client_of: MakeClient) -> None:
    with closing(create_server(("127.0.0.1", 0))) as sock:
        port = sock.getsockname()[1]
    client = client_of(f"http://127.0.0.1:{port}/v1")
    with pytest.raises(NetworkError, match=f"127.0.0.1:{port} refused the connection") as caught:
        asyncio.run(get(client, company="7"))
    assert (caught.value.company, caught.value.status) == ("7", None)
    assert client.requests == 5


def test_an_unknown_name_is_said_plainly(client_of: MakeClient) -> None:
    with pytest.raises(NetworkError, match=r"nowhere\.invalid is not known"):
        asyncio.run(get(client_of("https://nowhere.invalid/v1")))


WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"
SHORT = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n[1, 2]"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n"


@pytest.mark.parametrize("cut", [SHORT, CHUNKED, b"HTTP/1.1 200 OK\r\nConte", b"", b"\x00\x01 no"])
def test_a_body_cut_short_is_asked_again(client_of: MakeClient, cut: bytes) -> None:
    with raw_server(cut, WHOLE) as (base, got):
        reply = asyncio.run(get(client_of(base)))
    assert (reply.body, reply.attempts, len(got)) == (b"[]", 2, 2)


def test_a_body_always_cut_short_is_a_network_error(client_of: MakeClient) -> None:
    with (
        raw_server(SHORT) as (base, _),
        pytest.raises(NetworkError, match="before the whole answer"),
    ):
        asyncio.run(get(client_of(base)))


def test_a_slow_server_times_out(server: Server, client_of: MakeClient) -> None:
    async def handle(request: Request) -> Response:
        await asyncio.sleep(0.2)
        return json("{}")

    server.handle = handle
    client = client_of(server.base_url, timeouts=httpx.Timeout(5, read=0.02))
    with pytest.raises(NetworkError, match="did not answer in time"):
        asyncio.run(get(client))
    assert client.requests == 5


def test_no_key_or_a_broken_one_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="TUPANA_API_KEY"):
        Client(Settings())
    for key in ("sk-line\nbreak", "sk-ñandú"):
        with pytest.raises(ConfigError, match="TUPANA_API_KEY") as caught:
            Client(Settings(api_key=key))
        assert key not in str(caught.value)


def test_a_path_without_its_slash_is_a_bug(client_of: MakeClient) -> None:
    with pytest.raises(ValueError, match="slash"):
        asyncio.run(get(client_of("http://127.0.0.1:9/v1"), "@evil.example/x"))


ECHOES: list[Answer] = [
    script(json(f'{{"error": "bad {KEY}", "code": "{KEY}", "details": {{"k": "{KEY}"}}}}', 401)),
    script(json(f'{{"error": "{WEBHOOK_SECRET}"}}', 400)),
    script(PlainTextResponse(f"Api-Key {KEY}", 500)),
    script(json(f'{{"detail": "{KEY}"}}', 429, retry_after="1", x_request_id=KEY)),
    script(RedirectResponse(f"http://{KEY}@elsewhere.example/{KEY}?k={KEY}")),
    script(PlainTextResponse(KEY, 200)),
]


@pytest.mark.parametrize("handle", ECHOES)
def test_secrets_show_nowhere(
    server: Server,
    client_of: MakeClient,
    caplog: pytest.LogCaptureFixture,
    handle: Answer,
) -> None:
    server.handle = handle
    client = client_of(server.base_url)
    with caplog.at_level(logging.DEBUG), pytest.raises(ApiError) as caught:
        asyncio.run(get(client, rut="76086428-5"))
    error = caught.value
    shown = "".join(
        (
            f"{error!s}{error!r}{error.details}{error.code}{error.request_id}{vars(client)}",
            *(f"{r.getMessage()}{r.args}" for r in caplog.records),
        )
    )
    for secret in (KEY, WEBHOOK_SECRET):
        assert secret not in shown
    logged = "".join(r.getMessage() for r in caplog.records)
    assert "GET /v1/documents" in logged
    assert "76086428" not in logged


def test_each_failed_try_is_one_line(
    server: Server, client_of: MakeClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.handle = script(json("{}", 503, x_request_id="r7", retry_after="2"), json("{}"))
    with caplog.at_level(logging.INFO):
        asyncio.run(get(client_of(server.base_url), rut="76086428-5"))
    assert [r.getMessage() for r in caplog.records] == [
        "GET /v1/documents: 503, request id r7, try 1, next in 2.0 s"
    ]


def test_a_reply_does_not_print_its_body(server: Server, client_of: MakeClient) -> None:
    server.handle = script(json('{"name": "Juan Soto"}'))
    assert "Soto" not in repr(asyncio.run(get(client_of(server.base_url))))


async def fetch(client: Client, url: str) -> bytes:
    async with client:
        return await client.download(url)


def test_a_file_elsewhere_is_fetched_without_the_key(server: Server, client_of: MakeClient) -> None:
    with serving() as store:
        store.handle = script(Response(b"%PDF-1.7", media_type="application/pdf"))
        url = store.base_url + "/f.pdf?X-Signature=abc"
        assert asyncio.run(fetch(client_of(server.base_url), url)) == b"%PDF-1.7"
        server.handle = script(RedirectResponse(url))
        assert asyncio.run(fetch(client_of(server.base_url), "/v1/files/1")) == b"%PDF-1.7"
        assert all("authorization" not in seen.headers for seen in store.seen)
        assert store.seen[0].url.endswith("?X-Signature=abc")
        assert KEY not in str(store.seen)
    assert server.seen[0].headers["authorization"] == f"Api-Key {KEY}"


@pytest.mark.parametrize(("status", "kind"), [(401, Refused), (403, Refused), (404, NotFound)])
def test_a_dead_link_says_nothing_about_the_key(
    server: Server, client_of: MakeClient, status: int, kind: type[ApiError]
) -> None:
    with serving() as store:
        store.handle = script(Response("<Error>Expired</Error>", status))
        with pytest.raises(Refused, match="no longer works") as caught:
            asyncio.run(fetch(client_of(server.base_url), store.base_url + "/f"))
    assert type(caught.value) is kind


def test_a_file_is_asked_again_and_capped(
    server: Server, client_of: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.handle = script(Response("", 503), Response(b"x" * 100))
    assert asyncio.run(fetch(client_of(server.base_url), "/f")) == b"x" * 100
    monkeypatch.setattr("tupana_etl.api.wire.BODY_CAP", 99)
    with pytest.raises(ServerError, match="larger than"):
        asyncio.run(fetch(client_of(server.base_url), "/f"))


@pytest.mark.parametrize(
    "url", ["http://files.example/f", "file:///etc/passwd", "http://169.254.169.254/latest"]
)
def test_a_file_is_not_fetched_over_an_open_line(
    server: Server, client_of: MakeClient, url: str
) -> None:
    with pytest.raises(ServerError, match="not by https"):
        asyncio.run(fetch(client_of(server.base_url), url))
