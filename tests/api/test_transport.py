"""The reading transport against servers that keep HTTP, bend it and break it.

httpx's own transport is the oracle: what it makes of an answer, ours must make of it.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tupana_etl.api import exchange
from tupana_etl.api.transport import Transport, reading_transport

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Handler = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\n"
PACKED = gzip.compress(b"peso " * 100_000)


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Calls ``handler`` with each connection's number, from 1; then closes it."""
    count = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        try:
            await handler(count, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, as some tests want it to
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'https' if tls else 'http'}://localhost:{port}/v1/x?a=1"


async def request_of(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def reset(writer: asyncio.StreamWriter) -> None:
    """Closes a connection as a dying machine does: RST instead of FIN."""
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()


def answering(*parts: bytes | None) -> Handler:
    """Each connection gets these parts, one after another, and is closed; None resets it."""

    async def handler(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):  # type: ignore[no-untyped-def] # a handler
        await request_of(reader)
        for part in parts:
            if part is None:
                reset(writer)
                return
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.005)

    return handler


def no_tls() -> ssl.SSLContext:
    raise AssertionError("no https in this test")


def ours() -> Transport:
    return Transport(8, no_tls)


async def outcome(transport: httpx.AsyncBaseTransport, url: str) -> object:
    """Status, headers and body, or the name of what was raised."""
    timeout = httpx.Timeout(5, read=0.3)
    async with httpx.AsyncClient(transport=transport, timeout=timeout, trust_env=False) as http:
        try:
            response = await http.get(url)
        except (httpx.TransportError, httpx.DecodingError) as error:
            return type(error).__name__
        return response.status_code, response.headers.multi_items(), response.content


BROKEN = ["ReadError", "RemoteProtocolError"]

ANSWERS: dict[str, tuple[Sequence[bytes | None], object]] = {
    "whole": ([OK + b"Content-Length: 4\r\nX-A: 1\r\nx-a: 2\r\n\r\nbody"], b"body"),
    "in pieces": (
        [b"HTTP/1.", b"1 200 OK\r\nContent-Le", b"ngth: 4\r\n", b"\r\nbo", b"dy"],
        b"body",
    ),
    "no body": ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
    "empty": ([OK + b"Content-Length: 0\r\n\r\n"], b""),
    "not found": ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"], b"{}"),
    "no reason": ([b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}"], b"{}"),
    "latin header": ([OK + b"X-N: \xf1and\xfa\r\nContent-Length: 2\r\n\r\n{}"], b"{}"),
    "chunked": (
        [
            OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n",
            b"2;x=y\r\ndy\r\n0\r\nT: x\r\n\r\n",
        ],
        b"body",
    ),
    "gzip": (
        [OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED],
        b"peso " * 100_000,
    ),
    "broken gzip": (
        [OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody"],
        ["DecodingError"],
    ),
    "HTTP/1.0 to the end of the connection": ([b"HTTP/1.0 200 OK\r\n\r\nbo", b"dy"], b"body"),
    "HTTP/1.1 without a length": ([OK + b"\r\nbo", b"dy"], b"body"),
    "early hints": (
        [b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK + b"Content-Length: 4\r\n\r\nbody"],
        b"body",
    ),
    "more than announced": (
        [OK + b"Content-Length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\n\r\n"],
        b"body",
    ),
    "closed before an answer": ([b""], BROKEN),
    "reset before an answer": ([None], BROKEN),
    "closed in the head": ([OK + b"Content-Le"], BROKEN),
    "closed in the body": ([OK + b"Content-Length: 9\r\n\r\nbo"], BROKEN),
    "reset in the body": ([OK + b"Content-Length: 9\r\n\r\nbo", None], BROKEN),
    "reset in a body without a length": ([OK + b"\r\nbo", None], BROKEN),
    "closed between chunks": ([OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n"], BROKEN),
    "nonsense chunk": ([OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nbo\r\n"], BROKEN),
    "no HTTP": ([b"SSH-2.0-OpenSSH_9.2\r\n\r\n"], BROKEN),
    "two lengths": ([OK + b"Content-Length: 4\r\nContent-Length: 2\r\n\r\nbody"], BROKEN),
    "endless head": ([OK + b"X-A: " + b"a" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n"], BROKEN),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_means_what_it_means_to_httpx(name: str) -> None:
    parts, expected = ANSWERS[name]

    async def main() -> tuple[object, object]:
        async with serving(answering(*parts)) as url:
            theirs = await outcome(httpx.AsyncHTTPTransport(trust_env=False), url)
            return await outcome(ours(), url), theirs

    mine, theirs = asyncio.run(main())
    if isinstance(expected, list):
        assert mine in expected
        assert theirs in expected
    else:
        assert mine == theirs
        assert isinstance(mine, tuple)
        assert mine[2] == expected


def whole(body: bytes = b"body", head: bytes = b"") -> bytes:
    return OK + head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def several(handler: Handler, times: int, between: float = 0.0) -> list[object]:
    """Bodies (or errors) of one request after another, over one transport."""
    found: list[object] = []
    async with (
        serving(handler) as url,
        httpx.AsyncClient(transport=ours(), timeout=5, trust_env=False) as http,
    ):
        for _ in range(times):
            try:
                found.append((await http.get(url)).content)
            except httpx.TransportError as error:
                found.append(type(error).__name__)
            await asyncio.sleep(between)
    return found


def test_a_connection_is_used_again() -> None:
    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            head = await request_of(reader)
            assert head.startswith(b"GET /v1/x?a=1 HTTP/1.1\r\nHost: localhost:")
            writer.write(whole(b"connection %d" % number))

    assert asyncio.run(several(handler, 4)) == [b"connection 1"] * 4


@pytest.mark.parametrize("head", [b"Connection: close\r\n", b"Connection: Close\r\n"])
def test_a_connection_the_server_will_close_is_not_used_again(head: bytes) -> None:
    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request_of(reader)
        writer.write(whole(b"connection %d" % number, head))
        await reader.read()  # stays open until the client goes

    assert asyncio.run(several(handler, 2)) == [b"connection 1", b"connection 2"]


@pytest.mark.parametrize("between", [0.0, 0.02])
@pytest.mark.parametrize("by_reset", [False, True])
def test_a_connection_closed_while_idle_is_replaced_in_silence(
    between: float, by_reset: bool
) -> None:
    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request_of(reader)
        writer.write(whole(b"connection %d" % number))
        await writer.drain()
        if between == 0.0:
            await request_of(reader)  # the next request crosses the closing
        if by_reset:
            reset(writer)

    found = asyncio.run(several(handler, 3, between))
    assert found == [b"connection 1", b"connection 2", b"connection 3"]


def test_a_new_connection_that_is_closed_is_not_tried_for_ever() -> None:
    connections = 0

    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal connections
        connections = number
        await request_of(reader)

    assert asyncio.run(several(handler, 2)) == ["RemoteProtocolError"] * 2
    assert connections == 2


def test_half_an_answer_on_an_old_connection_is_an_error_and_no_second_request() -> None:
    requests = 0

    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal requests
        for answer in (whole(), OK + b"Content-Length: 9\r\n\r\nbo"):
            await request_of(reader)
            requests += 1
            writer.write(answer)

    found = asyncio.run(several(handler, 3))
    assert found == [b"body", "RemoteProtocolError", b"body"]
    assert requests == 3


def test_what_comes_unasked_spoils_an_idle_connection() -> None:
    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request_of(reader)
        writer.write(whole(b"connection %d" % number))
        await asyncio.sleep(0.01)
        writer.write(whole(b"poison"))
        await reader.read()

    found = asyncio.run(several(handler, 2, between=0.05))
    assert found == [b"connection 1", b"connection 2"]


def test_silence_times_out_and_a_drip_does_not() -> None:
    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request_of(reader)
        writer.write(OK + b"Content-Length: 8\r\n\r\n")
        for _ in range(8 if number == 1 else 4):
            await asyncio.sleep(0.15)
            writer.write(b"x")
        await reader.read()

    async def main() -> list[object]:
        async with serving(handler) as url:
            return [await outcome(ours(), url) for _ in range(2)]

    drip, silence = asyncio.run(main())
    assert isinstance(drip, tuple)
    assert drip[2] == b"x" * 8
    assert silence == "ReadTimeout"


def test_nobody_listening_is_a_connect_error() -> None:
    assert asyncio.run(outcome(ours(), "http://127.0.0.1:9/")) == "ConnectError"


def test_a_connection_that_never_opens_times_out() -> None:
    async def main() -> None:
        # The other side never begins its half of TLS.
        silent = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        port = silent.sockets[0].getsockname()[1]
        context = ssl.create_default_context()
        transport = Transport(8, lambda: context)
        timeout = httpx.Timeout(5, connect=0.1)
        async with silent, httpx.AsyncClient(transport=transport, timeout=timeout) as http:
            with pytest.raises(httpx.ConnectTimeout):
                await http.get(f"https://127.0.0.1:{port}/")

    asyncio.run(main())


def test_a_body_nobody_reads_makes_the_server_wait() -> None:
    size, sent = 40 * exchange.WAITING, 0

    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal sent
        await request_of(reader)
        writer.write(OK + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(40):
            writer.write(b"x" * exchange.WAITING)
            await writer.drain()
            sent += exchange.WAITING

    async def main() -> tuple[int, int]:
        async with (
            serving(handler) as url,
            httpx.AsyncClient(transport=ours(), timeout=5, trust_env=False) as http,
            http.stream("GET", url) as response,
        ):
            await asyncio.sleep(0.2)
            before, read = sent, 0
            async for part in response.aiter_bytes():
                read += len(part)
        return before, read

    before, read = asyncio.run(main())
    assert before < size / 2
    assert read == size


def test_an_answer_left_early_takes_its_connection_along() -> None:
    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request_of(reader)
        writer.write(OK + b"Content-Length: 9\r\n\r\n%d" % number)
        await reader.read()

    async def main() -> list[bytes]:
        found = []
        async with (
            serving(handler) as url,
            httpx.AsyncClient(transport=ours(), timeout=5, trust_env=False) as http,
        ):
            for _ in range(2):
                async with http.stream("GET", url) as response:
                    found.append(await anext(response.aiter_bytes()))
        return found

    assert asyncio.run(main()) == [b"1", b"2"]


def test_a_cancelled_request_takes_its_connection_along() -> None:
    async def handler(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request_of(reader)
        await asyncio.sleep(0.1 if number == 1 else 0)
        writer.write(whole(b"connection %d" % number))
        await reader.read()

    async def main() -> bytes:
        async with (
            serving(handler) as url,
            httpx.AsyncClient(transport=ours(), timeout=5, trust_env=False) as http,
        ):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await http.get(url)
            await asyncio.sleep(0.1)
            return (await http.get(url)).content

    assert asyncio.run(main()) == b"connection 2"


def test_compressed_bodies_are_handed_on_in_small_pieces() -> None:
    """A part of a thousandfold size must be refused before the next one is unpacked."""
    noise = os.urandom(400_000)
    packed = gzip.compress(noise)

    async def main() -> list[int]:
        head = b"Content-Encoding: gzip\r\n"
        async with (
            serving(answering(whole(packed, head))) as url,
            httpx.AsyncClient(transport=ours(), timeout=5, trust_env=False) as http,
            http.stream("GET", url) as response,
        ):
            await asyncio.sleep(0.1)
            return [len(part) async for part in response.aiter_raw()]

    parts = asyncio.run(main())
    assert sum(parts) == len(packed)
    assert max(parts[:-1]) <= exchange.PIECE


def test_it_only_reads() -> None:
    async def main() -> None:
        async with httpx.AsyncClient(transport=ours()) as http:
            await http.post("http://127.0.0.1:9/", content=b"{}")

    with pytest.raises(ValueError, match="POST"):
        asyncio.run(main())


def test_a_header_holds_no_second_line() -> None:
    async def main() -> None:
        async with httpx.AsyncClient(transport=ours()) as http:
            await http.get("http://127.0.0.1:9/", headers={"X-A": "1\r\nX-B: 2"})

    with pytest.raises(httpx.LocalProtocolError):
        asyncio.run(main())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    made = f"""req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2
        -keyout {folder}/key.pem -out {folder}/cert.pem -subj /CN=localhost
        -addext subjectAltName=DNS:localhost"""
    try:
        subprocess.run(["openssl", *made.split()], check=True, capture_output=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no openssl to make a certificate with: {error}")
    return folder


@pytest.mark.parametrize("trusted", [True, False])
def test_tls_is_used_and_its_certificate_checked(
    certificate: Path, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    transport = reading_transport(8, trust_env=True)
    assert isinstance(transport, Transport)

    async def main() -> object:
        async with serving(answering(whole()), server) as url:
            return await outcome(transport, url)

    found = asyncio.run(main())
    if trusted:
        assert isinstance(found, tuple)
        assert found[2] == b"body"
    else:
        assert found == "ConnectError"


def test_behind_a_proxy_httpx_finds_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert reading_transport(8, trust_env=True) is None
    assert isinstance(reading_transport(8, trust_env=False), Transport)
