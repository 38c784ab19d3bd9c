"""Who is believed, what is kept, and what cannot hurt."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tupana_etl.domain import utcnow
from tupana_etl.errors import ConfigError, DataError
from tupana_etl.inbox.event import read
from tupana_etl.inbox.receiver import MOST_BYTES, application
from tupana_etl.inbox.signature import is_genuine, sign
from tupana_etl.inbox.store import open_inbox

from .receiving import OLDER, SECRET, Receiver, event, receiving


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with receiving(tmp_path_factory.mktemp("inbox") / "home", most_seconds=0.5) as receiver:
        yield receiver


@pytest.fixture
def receiver(running: Receiver) -> Receiver:
    """The same server with an empty inbox."""
    with open_inbox(running.home) as inbox:
        inbox.con.execute("DELETE FROM events")
    return running


def test_without_a_secret_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="TUPANA_WEBHOOK_SECRET"):
        application(tmp_path, ())


@pytest.mark.parametrize("prefix", ["", "sha256=", "hmac-sha256="])
@pytest.mark.parametrize("secret", [SECRET, OLDER])
def test_three_spellings_and_two_secrets_are_taken(
    receiver: Receiver, prefix: str, secret: str
) -> None:
    body = event()
    assert receiver.post(body, prefix + sign(body, secret)) == 200
    assert receiver.rows() == [("document.paid", "7", "pending", 0)]


@pytest.mark.parametrize(
    "signature",
    [
        *("", "sha256=", "0" * 64, sign(event(), "guess"), sign(event(8), SECRET)),
        *("md5=" + sign(event(), SECRET), sign(event(), SECRET)[:-1], "\u00e1" * 64),
    ],
)
def test_what_is_not_signed_is_refused_without_a_word(receiver: Receiver, signature: str) -> None:
    header = {b"X-Pana-Signature": signature.encode("latin-1")} if signature else {}
    answer = receiver.http.post(receiver.url, content=event(), headers=header)
    assert (answer.status_code, answer.content) == (401, b"")
    assert receiver.rows() == []


def test_an_altered_or_rewritten_body_is_refused(receiver: Receiver) -> None:
    body = event()
    signature = sign(body, SECRET)
    for other in (body[:-1] + b" }", json.dumps(json.loads(body), indent=1).encode()):
        assert receiver.post(other, signature) == 401
    assert receiver.rows() == []


@given(st.binary(max_size=200), st.text(min_size=1, max_size=20), st.integers(0, 1600))
def test_one_bit_is_enough_to_be_refused(body: bytes, secret: str, bit: int) -> None:
    signature = sign(body, secret)
    assert is_genuine(body, signature, (secret,))
    if body:
        place = bit % (len(body) * 8)
        other = bytearray(body)
        other[place // 8] ^= 1 << place % 8
        assert not is_genuine(bytes(other), signature, (secret,))


def test_fifty_copies_and_a_replay_are_one_event(receiver: Receiver) -> None:
    ids = {"X_Pana_Event_Id": "e-1", "X_Pana_Delivery": "d-1"}
    assert {receiver.post(event(), **ids) for _ in range(50)} == {200}
    assert receiver.post(event(), X_Pana_Event_Id="e-2", X_Pana_Delivery="d-2") == 200
    assert receiver.post(event(8), X_Pana_Event_Id="e-1") == 200
    assert receiver.post(event(9), X_Pana_Delivery="d-1") == 200
    assert receiver.rows() == [("document.paid", "7", "pending", 52)]


@pytest.mark.parametrize("header", ["X_Pana_Event_Type", "X_Pana_Event"])
def test_the_header_names_the_event_when_the_body_does_not(receiver: Receiver, header: str) -> None:
    assert receiver.post(b'{"data": {"id": 5}}', **{header: "document.issued"}) == 200
    assert receiver.rows() == [("document.issued", "5", "pending", 0)]


def test_the_older_generation_is_read_and_its_delivery_id_counts(receiver: Receiver) -> None:
    def old(folio: int) -> bytes:
        data = {"document_id": 31, "folio": folio}
        told = {"event": "document.issued", "timestamp": "2026-04-17T10:00:00Z"}
        return json.dumps({**told, "delivery_id": "d-31", "data": data}).encode()

    assert receiver.post(old(1)) == receiver.post(old(2)) == 200
    assert receiver.rows() == [("document.issued", "31", "pending", 1)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"not json", "cannot be read"),
        (b"[" * 200_000, "cannot be read"),
        (b'{"data":' * 50_000 + b"1" + b"}" * 50_000, "cannot be read"),
        (event(what="credential.invalid"), "names nothing to read"),
        (event({"a": 1}), "names nothing to read"),
        (event("../../v1/credentials"), "names nothing to read"),
        (event(True), "names nothing to read"),
    ],
    ids=["no-json", "arrays", "objects", "other", "object-id", "path-id", "true"],
)
def test_signed_nonsense_is_kept_and_asked_about_by_nobody(
    receiver: Receiver, body: bytes, reason: str
) -> None:
    assert receiver.post(body) == 200
    assert receiver.rows("state, reason") == [("ignored", reason)]


@given(st.binary(max_size=300))
def test_no_body_whatever_stops_the_reader(body: bytes) -> None:
    found = read(body, {})
    assert found.document_id == "" or found.document_id.isascii()


def test_of_a_body_nothing_is_kept_that_is_anybodys_business(receiver: Receiver) -> None:
    link = "https://files.example/7.pdf?X-Amz-Signature=canary-link"
    sender = {"name": "canary-name", "tax_id": "11.111.111-1"}
    assert receiver.post(event(7, pdf_file=link, sender=sender)) == 200
    assert receiver.rows("document_id") == [("7",)]
    kept = (receiver.home / "inbox.sqlite").read_bytes()
    assert b"canary" not in kept
    assert b"11.111.111" not in kept


def test_killed_before_its_answer_the_event_comes_again_and_is_one(receiver: Receiver) -> None:
    """The process ends as by SIGKILL once the event is on disk, before 200 goes out."""
    script = f"""
import os, signal, uvicorn
from pathlib import Path
from tupana_etl.inbox.receiver import application
app = application(Path({str(receiver.home)!r}), ({SECRET!r},),
    arrived=lambda: os.kill(os.getpid(), signal.SIGKILL))
class Told(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets=sockets)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)
Told(uvicorn.Config(app, port=0, log_level="error", lifespan="off")).run()
"""
    doomed = subprocess.Popen(  # noqa: S603 - our own interpreter and words
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True
    )
    assert doomed.stdout is not None
    url = f"http://127.0.0.1:{int(doomed.stdout.readline())}/"
    with pytest.raises(httpx.HTTPError):
        httpx.post(url, content=event(), headers={"X-Pana-Signature": sign(event(), SECRET)})
    assert doomed.wait(20) == -signal.SIGKILL
    assert receiver.rows() == [("document.paid", "7", "pending", 0)]
    assert receiver.post(event()) == 200
    assert receiver.rows() == [("document.paid", "7", "pending", 1)]


def test_a_large_body_is_refused_in_bounded_memory(receiver: Receiver) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * MOST_BYTES

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert receiver.post(b"x" * (MOST_BYTES + 1)) == 413
    try:
        status = receiver.http.post(receiver.url, content=endless()).status_code
    except OSError:
        status = 413
    except Exception as error:  # noqa: BLE001 - the server closes while we still send
        assert "Write" in type(error).__name__ or "Read" in type(error).__name__  # noqa: PT017
        status = 413
    assert status == 413
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 40_000, f"{grown} kB"
    assert receiver.post(event()) == 200


def test_a_bomb_is_never_unpacked(receiver: Receiver) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert receiver.post(bomb, Content_Encoding="gzip") == 200
    assert receiver.rows("state, reason") == [("ignored", "cannot be read")]


def test_a_slow_body_is_given_up(receiver: Receiver) -> None:
    port = int(receiver.url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        began = time.monotonic()
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began < 5
    assert receiver.rows() == []


def test_what_cannot_be_kept_is_not_answered_200(receiver: Receiver) -> None:
    with open_inbox(receiver.home) as inbox:
        inbox.con.execute(
            "CREATE TRIGGER full BEFORE INSERT ON events BEGIN "
            "SELECT raise(ABORT, 'disk full'); END"
        )
        try:
            assert receiver.post(event()) == 503
        finally:
            inbox.con.execute("DROP TRIGGER full")
    assert receiver.post(event()) == 200  # it is delivered again


def test_only_the_receiver_answers(receiver: Receiver) -> None:
    assert receiver.http.get(receiver.url + "health").status_code == 204
    assert receiver.http.get(receiver.url).status_code == 405
    assert receiver.http.post(receiver.url + "other").status_code == 404


def test_the_inbox_is_the_users_alone_and_durable(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with open_inbox(tmp_path / "home") as inbox:
            assert inbox.con.execute("PRAGMA journal_mode").fetchone() == ("delete",)
            assert inbox.con.execute("PRAGMA synchronous").fetchone() == (2,)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "home" / "inbox.sqlite").stat().st_mode) == 0o600


def test_an_inbox_of_the_first_version_goes_on(tmp_path: Path) -> None:
    with open_inbox(tmp_path) as inbox:
        inbox.keep(read(event(), {}), utcnow())
        for column in ("batch_id", "announced_at"):
            inbox.con.execute(f"ALTER TABLE events DROP COLUMN {column}")
        inbox.con.execute("PRAGMA user_version = 1")
    with open_inbox(tmp_path) as inbox:
        assert inbox.keep(read(event(8), {}), utcnow())
        assert [(e.document_id, e.batch_id) for e in inbox.waiting()] == [("7", ""), ("8", "")]


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("2026-11-24T10:00:00Z", "2026-11-24T10:00:00.000000+00:00"),
        ("2026-11-24T07:00:00", "2026-11-24T10:00:00.000000+00:00"),  # Santiago's, as in traces
        ("2026-11-24T12:00:01Z", "2026-11-24T12:00:00.000000+00:00"),  # not before it came
        ("yesterday", "2026-11-24T12:00:00.000000+00:00"),
    ],
)
def test_when_it_happened_is_kept(tmp_path: Path, told: str, kept: str) -> None:
    body = json.dumps({"event": "document.paid", "created_at": told, "data": {"id": 7}}).encode()
    with open_inbox(tmp_path) as inbox:
        inbox.keep(read(body, {}), datetime(2026, 11, 24, 12, tzinfo=UTC))
        assert inbox.con.execute("SELECT announced_at FROM events").fetchone() == (kept,)


def test_an_inbox_of_another_kind_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "inbox.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(DataError, match="only hints"), open_inbox(tmp_path):
        pass
    (tmp_path / "inbox.sqlite").unlink()
    with open_inbox(tmp_path) as inbox:
        inbox.con.execute("PRAGMA user_version = 99")
    with pytest.raises(DataError, match="newer version"), open_inbox(tmp_path):
        pass
