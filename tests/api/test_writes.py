"""One POST against real sockets that misbehave byte by byte: its class and its evidence."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import logging
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tupana_etl.api.outcomes import Kind, Outcome, judge
from tupana_etl.api.wire import Answer
from tupana_etl.api.writes import Writer
from tupana_etl.errors import ConfigError
from tupana_etl.settings import Settings

from .server import KEY, WEBHOOK_SECRET

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
BODY = b'{"documents":[{"dte_type": {"code":"33"},  "a":"\xc3\xb1 1.10"}]}'
TAKEN = b'{"batch_id":"b-1","status":"created","documents":[{"index":0,"status":"created"}]}'

Act = Callable[[socket.socket], None]


def whole_request(connection: socket.socket) -> bytes:
    """Everything of one request: its head, and as many bytes as it announces."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        if not piece:
            return got
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    named = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{named}\r\n"
    return head.encode() + body


def says(status: int, body: bytes = b"", **headers: str) -> Act:
    return lambda connection: connection.sendall(answer(status, body, **headers))


def resets(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextmanager
def acting(*acts: Act, read: int | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """A socket where each connection gets the next act once its request has come.

    ``read`` takes that many bytes instead of the whole request, then resets. Yields the
    base URL and the requests received.
    """
    left, got = list(acts), []
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                if read is not None:
                    taken = b""
                    while len(taken) < read:
                        taken += connection.recv(read - len(taken))
                    got.append(taken)
                    resets(connection)
                    continue
                request = whole_request(connection)
                if not request:
                    continue
                got.append(request)
                (left.pop(0) if len(left) > 1 else left[0])(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", got
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def settings_of(base_url: str) -> Settings:
    return Settings(api_key=KEY, base_url=base_url, webhook_secrets=(WEBHOOK_SECRET,))


def post(base_url: str, body: bytes = BODY, times: int = 1, **options: object) -> Outcome:
    async def run() -> Outcome:
        async with Writer(settings_of(base_url), **options) as writer:  # type: ignore[arg-type]
            for _ in range(times):
                outcome = await writer.post(
                    "/documents/batch",
                    body,
                    company="76086428-5",
                    idempotency_key="idem-1",
                    headers={"X-Use-Defaults": "true"},
                )
            return outcome

    return asyncio.run(run())


def test_bytes_and_key_go_out_as_they_were_frozen() -> None:
    with acting(says(202, TAKEN, x_request_id="rid-7")) as (url, got):
        outcome = post(url)
    head, _, body = got[0].partition(b"\r\n\r\n")
    assert body == BODY
    lines = head.lower().split(b"\r\n")
    assert lines[0] == b"post /v1/documents/batch http/1.1"
    for line in (
        b"idempotency-key: idem-1",
        b"x-use-defaults: true",
        b"content-type: application/json",
        f"authorization: api-key {KEY}".encode(),
    ):
        assert lines.count(line) == 1
    assert (outcome.kind, outcome.batch_id, outcome.status) == (Kind.ACCEPTED, "b-1", 202)
    assert outcome.request_id == "rid-7"
    assert outcome.response_sha256 == hashlib.sha256(TAKEN).hexdigest()
    assert outcome.items is not None
    assert [(i.index, i.status) for i in outcome.items] == [(0, "created")]


@pytest.mark.parametrize("status", [200, 201, 202])
def test_every_success_the_pages_name_is_taken(status: int) -> None:
    with acting(says(status, TAKEN)) as (url, _):
        assert post(url).kind is Kind.ACCEPTED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>ok</html>",
        TAKEN[:40],
        b"\xff\xfe" + TAKEN,
        b"[]",
        b'{"status":"created"}',
        b'{"batch_id":""}',
        b'{"batch_id":null,"id":null}',
        b'"b-1"',
        b"[" * 10_000,
    ],
)
def test_a_success_that_names_no_batch_is_ambiguous(body: bytes) -> None:
    with acting(says(202, body)) as (url, _):
        assert post(url).kind is Kind.AMBIGUOUS


def test_documents_that_make_no_sense_do_not_lose_the_batch() -> None:
    with acting(says(202, b'{"id":7,"documents":[{"index":"zero"}]}')) as (url, _):
        outcome = post(url)
    assert (outcome.kind, outcome.batch_id, outcome.items) == (Kind.ACCEPTED, "7", None)


@pytest.mark.parametrize("status", [408, 409, 500, 502, 504, 402, 405, 410, 418, 425, 505, 599])
def test_everything_not_known_to_be_harmless_is_ambiguous(status: int) -> None:
    with acting(says(status, b'{"error":"x"}')) as (url, got):
        outcome = post(url)
    assert (outcome.kind, outcome.status, len(got)) == (Kind.AMBIGUOUS, status, 1)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_is_not_processed_and_says_how_long(status: int) -> None:
    with acting(says(status, b'{"error":"busy"}', retry_after="7")) as (url, got):
        outcome = post(url)
    assert (outcome.kind, outcome.retry_after, len(got)) == (Kind.NOT_PROCESSED, 7.0, 1)
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    with acting(says(status, b"", retry_after=moment)) as (url, _):
        wait = post(url).retry_after
    assert wait is not None
    assert 50 < wait <= 60


@pytest.mark.parametrize(
    ("status", "body", "company_only"),
    [
        (401, b'{"error":"bad key"}', False),
        (403, b'{"error":"No tienes acceso a esta empresa"}', True),
        (403, b'{"error":"Invalid API key"}', False),
        (404, b"<html>nginx</html>", False),
    ],
)
def test_what_ends_the_run_halts(status: int, body: bytes, company_only: bool) -> None:
    with acting(says(status, body)) as (url, _):
        outcome = post(url)
    assert (outcome.kind, outcome.company_only) == (Kind.HALT, company_only)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(status: int) -> None:
    with (
        acting(says(202, TAKEN)) as (elsewhere, leaked),
        acting(says(status, b"", location=f"{elsewhere}/documents/batch")) as (url, got),
    ):
        assert post(url).kind is Kind.HALT
        assert (len(got), leaked) == (1, [])


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusal_without_positions_names_none(status: int) -> None:
    with acting(says(status, b'{"error":"mal","code":"BAD"}')) as (url, _):
        outcome = post(url)
    assert (outcome.kind, outcome.code, outcome.refused) == (Kind.REFUSED, "BAD", {})
    assert outcome.reason == "mal"


@pytest.mark.parametrize(
    "body",
    [
        {"documents": {"0": {"header": {"due_date": ["falta"]}}}},
        {"errors": {"documents": {"0": {"header": {"due_date": ["falta"]}}}}, "request": {}},
        {"error": "x", "details": {"documents": {"0": {"header": {"due_date": ["falta"]}}}}},
        {"documents": [{"header": {"due_date": ["falta"]}}, {}]},
        {"error": {"code": "c", "documents": {"0": {"header": {"due_date": ["falta"]}}}}},
    ],
)
def test_a_refusal_names_its_documents_in_any_wrapping(body: object) -> None:
    with acting(says(422, json.dumps(body).encode())) as (url, _):
        outcome = post(url)
    assert outcome.refused == {0: "header.due_date: falta"}


@pytest.mark.parametrize("k", [1, 40, 200, 400])
def test_a_reset_while_the_request_goes_out_is_ambiguous(k: int) -> None:
    big = b'{"documents":"' + b"x" * 8_000_000 + b'"}'
    with acting(read=k) as (url, got):
        assert post(url, big).kind is Kind.AMBIGUOUS
    assert len(got) == 1


def test_a_connection_closed_without_a_word_is_ambiguous() -> None:
    with acting(lambda connection: None) as (url, got):
        outcome = post(url)
    assert (outcome.kind, outcome.status, len(got)) == (Kind.AMBIGUOUS, None, 1)


@pytest.mark.parametrize("k", [1, 10, 40, 70])
def test_an_answer_cut_short_is_ambiguous(k: int) -> None:
    with acting(lambda c: c.sendall(answer(202, TAKEN)[:k])) as (url, _):
        assert post(url).kind is Kind.AMBIGUOUS


def test_a_kept_connection_that_dies_is_not_silently_tried_again() -> None:
    def twice(connection: socket.socket) -> None:
        connection.sendall(answer(202, TAKEN))
        whole_request(connection)  # the second request comes, and gets nothing

    with acting(twice) as (url, got):
        assert post(url, times=2).kind is Kind.AMBIGUOUS
    assert len(got) == 1  # no second connection was made


def test_a_slow_answer_and_a_dripping_one_end_at_their_limits() -> None:
    def silent(connection: socket.socket) -> None:
        time.sleep(0.6)

    def drips(connection: socket.socket) -> None:
        for byte in answer(202, TAKEN):
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                return
            time.sleep(0.02)

    with acting(silent) as (url, _):
        outcome = post(url, timeouts=httpx.Timeout(0.2))
    assert outcome.kind is Kind.AMBIGUOUS
    started = time.monotonic()
    with acting(drips) as (url, _):
        outcome = post(url, deadline=0.3)
    assert outcome.kind is Kind.AMBIGUOUS
    assert time.monotonic() - started < 3


def test_nobody_listening_and_unknown_names_are_not_sent() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    assert post(f"http://127.0.0.1:{port}/v1").kind is Kind.NOT_SENT
    assert post("https://no-such-host.invalid/v1").kind is Kind.NOT_SENT


def test_a_connect_that_takes_too_long_is_not_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        with socket.create_connection(full.getsockname()):  # fills the backlog
            for _ in range(2):
                outcome = post(url, timeouts=httpx.Timeout(0.3))
                if outcome.kind is Kind.NOT_SENT:
                    break
            outcome = post(url, timeouts=httpx.Timeout(5, connect=0.3))
            deadline = post(url, deadline=0.2)
    assert outcome.kind is Kind.NOT_SENT
    assert deadline.kind is Kind.NOT_SENT


def test_a_certificate_nobody_signed_halts(tmp_path: Path) -> None:
    openssl = "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost"
    files = "-keyout key.pem -out cert.pem"
    made = subprocess.run(  # noqa: S603
        [*openssl.split(), *files.split()], cwd=tmp_path, capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("openssl could not make a certificate here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
            try:
                context.wrap_socket(connection, server_side=True)
            except OSError:
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    outcome = post(f"https://127.0.0.1:{listener.getsockname()[1]}/v1")
    thread.join(5)
    listener.close()
    assert outcome.kind is Kind.HALT
    assert "Certificates are never ignored" in outcome.reason


def test_the_clock_of_the_server_is_compared() -> None:
    ahead = format_datetime(NOW + timedelta(minutes=7), usegmt=True)
    with acting(says(202, TAKEN, date=ahead)) as (url, _):
        assert post(url, now=lambda: NOW).skew == 420
    with acting(says(202, TAKEN, date="yesterday")) as (url, _):
        assert post(url, now=lambda: NOW).skew is None


def test_a_cancelled_post_is_raised_and_its_stage_was_told() -> None:
    stages: list[str] = []

    async def cancelled(url: str) -> None:
        out = asyncio.Event()

        def watch(stage: str) -> None:
            stages.append(stage)
            if stage == "send_request_body.complete":
                out.set()

        async with Writer(settings_of(url), watch=watch) as writer:
            task = asyncio.create_task(writer.post("/documents/batch", BODY, company="1-9"))
            await out.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with acting(lambda c: time.sleep(0.2)) as (url, _):
        asyncio.run(cancelled(url))
    assert stages.index("send_request_headers.started") < stages.index("send_request_body.complete")


def test_a_process_that_stood_still_sends_nothing() -> None:
    answers = iter([True, False])  # fresh when it is asked first, stale when connected

    with acting(says(202, TAKEN)) as (url, got):
        stale = post_still(url, lambda: next(answers))
        at_once = post_still(url, lambda: False)
    assert (stale.kind, at_once.kind, got) == (Kind.NOT_SENT, Kind.NOT_SENT, [])


def post_still(url: str, still: Callable[[], bool]) -> Outcome:
    async def run() -> Outcome:
        async with Writer(settings_of(url)) as writer:
            return await writer.post("/documents/batch", BODY, company="1-9", still=still)

    return asyncio.run(run())


def test_no_key_appears_in_outcomes_logs_or_errors(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = json.dumps({"error": f"key {KEY} and {WEBHOOK_SECRET}", "code": KEY}).encode()
    named = json.dumps({"documents": {"0": {"x": [KEY]}}}).encode()
    for act in (
        says(401, told, x_request_id=KEY),
        says(422, named),
        says(500, told),
        says(
            202, json.dumps({"batch_id": "b", "documents": [{"index": 0, "errors": KEY}]}).encode()
        ),
        lambda c: None,
    ):
        with acting(act) as (url, _):
            outcome = post(url)
        assert KEY not in repr((outcome, outcome.items, outcome.refused))
        assert WEBHOOK_SECRET not in repr(outcome)
    assert KEY not in caplog.text
    assert "76086428" not in caplog.text
    assert "batch?" not in caplog.text
    with pytest.raises(ConfigError) as wrong:
        Writer(Settings(api_key=""))
    assert KEY not in str(wrong.value)


def test_a_compressed_answer_is_read() -> None:
    with acting(says(202, gzip.compress(TAKEN), content_encoding="gzip")) as (url, _):
        assert post(url).batch_id == "b-1"


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_answer_has_a_class_and_only_a_named_batch_is_accepted(
    status: int, body: bytes
) -> None:
    outcome = judge(Answer(status, httpx.Headers(), body), NOW, secrets=(), company="1-9")
    assert (outcome.kind is Kind.ACCEPTED) == (outcome.batch_id is not None)
    if outcome.kind is Kind.ACCEPTED:
        assert 200 <= status < 300
    if outcome.kind in (Kind.REFUSED, Kind.NOT_PROCESSED, Kind.HALT):
        assert status in (400, 413, 422, 429, 503, 401, 403, 404, 301, 302, 303, 307, 308)
