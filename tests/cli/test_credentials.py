"""``tupana credentials create``: the company is enrolled, and the secret is nowhere."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest

from tupana_etl.api import enrollment
from tupana_etl.cli import crash
from tupana_etl.sandbox.server import World, running

from .runner import CANARY, Done, Runner

SECRET, SECOND = "clave-del-sii-91827", "clave-del-pfx-73645"
BOTH = {"TUPANA_SII_PASSWORD": SECRET, "TUPANA_CERTIFICATE_PASSWORD": SECOND}
USER = "12345678-5"


@dataclass
class Place:
    tupana: Runner
    api: httpx.Client
    world: Path

    def create(self, company: str, *more: str, changes: dict[str, str] | None = None) -> Done:
        words = ("credentials", "create", "--entity", company, "--user", USER, *more)
        with mock.patch.multiple(enrollment, EVERY=0.1, SETTLE=0.5):
            return self.tupana.inside(*words, changes=BOTH if changes is None else changes)

    def credentials(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get("/credentials").json()
        return [each for each in found if each["user"].replace(".", "") == USER]

    def lever(self, path: str, **body: Any) -> None:
        assert self.api.post(f"/_admin{path}", json=body).status_code == 200

    def lose(self, kind: str, argument: Any = None) -> None:
        fault = {"kind": kind, "path": "/credentials", "method": "POST", "times": 1}
        self.lever(
            "/faults", faults=[fault if argument is None else fault | {"argument": argument}]
        )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    world = tmp_path_factory.mktemp("credentials") / "world.sqlite"
    with running(world, World(documents=20, companies=1, months=2, seed=5), key=CANARY) as url:
        yield url, world


@pytest.fixture
def place(served: tuple[str, Path], tmp_path: Path) -> Iterator[Place]:
    url, world = served
    headers = {"Authorization": f"Api-Key {CANARY}"}
    with httpx.Client(base_url=url, headers=headers, timeout=30) as api:
        here = Place(Runner(tmp_path, url), api, world)
        here.lever("/reset")
        yield here


def nowhere(place: Place, *said: Done) -> None:
    """The secrets are in no output and in no file of the home, the folder or the sandbox."""
    for done in said:
        assert SECRET not in done.out + done.err
        assert SECOND not in done.out + done.err
    files = [f for top in (place.tupana.folder, place.world.parent) for f in top.rglob("*")]
    assert files
    for file in files:
        content = file.read_bytes() if file.is_file() else b""
        assert SECRET.encode() not in content, file
        assert SECOND.encode() not in content, file


def test_a_new_company_is_enrolled_and_the_secret_is_nowhere(place: Place) -> None:
    done = place.create("76086428-5", "-vv")
    assert done.code == 0, done.out + done.err
    assert "76086428-5" in done.out
    again = place.create("76086428-5", "--json")
    assert again.json["created"] is False
    assert len(place.credentials()) == 1
    synced = place.tupana.inside("sync")
    assert synced.code == 0, synced.out
    listed = place.tupana.inside("query", "FROM raw.credentials", "--json")
    assert "12345678-5" in listed.out
    nowhere(place, done, again, synced, listed)
    assert not (place.tupana.home / "ledger.sqlite").exists()
    tables = ("raw.credentials", "raw.lineage", "raw.rejects", "raw.syncs", "raw.master_entities")
    said = " UNION ALL ".join(f"SELECT t::VARCHAR AS line FROM {name} AS t" for name in tables)
    found = place.tupana.inside(
        "query", f"SELECT count(*) FROM ({said}) WHERE line LIKE '%clave-%'"
    )
    assert found.out.split()[-1] == "0", "compressed pages hide text from a search of the file"
    assert place.create("76086428-5", "--renew").code == 0
    assert len(place.credentials()) == 2


@pytest.mark.parametrize("how", ["created", "queued"])
@pytest.mark.parametrize(("word", "code"), [("wrong", {1, 2}), ("down", {1})])
def test_what_sii_does_not_take_is_told_without_the_secret(
    place: Place, how: str, word: str, code: set[int]
) -> None:
    place.lever("/switches", enrollment=how, enrollment_seconds=0.3)
    before = len(place.credentials())
    changes = {"TUPANA_SII_PASSWORD": f"{SECRET}-{word}", "TUPANA_CERTIFICATE_PASSWORD": SECOND}
    done = place.create("77777777-7", changes=changes)
    assert done.code in code
    assert "SII" in done.err
    assert len(place.credentials()) == before
    nowhere(place, done)


def test_a_queued_enrollment_is_followed_to_its_end(place: Place) -> None:
    place.lever("/switches", enrollment="queued", enrollment_seconds=0.5)
    done = place.create("76192083-9", "--json")
    assert (done.code, done.json["created"], done.json["status"]) == (0, True, "VALID")
    place.lever("/switches", enrollment="queued", enrollment_seconds=600)
    late = place.create("76192083-9", "--renew", "--wait", "0.3")
    assert late.code == 1
    assert "still trying" in " ".join(late.err.split())
    nowhere(place, done, late)


@pytest.mark.parametrize(("kind", "argument"), [("lost", None), ("done_status", 502)])
def test_a_lost_answer_is_read_and_not_sent_again(place: Place, kind: str, argument: Any) -> None:
    before = len(place.credentials())
    place.lose(kind, argument)
    done = place.create("96790240-3", "--renew")
    assert done.code == 0, done.err
    assert len(place.credentials()) == before + 1
    nowhere(place, done)


def test_a_lost_call_is_not_known_and_not_sent_again(place: Place) -> None:
    before = len(place.credentials())
    place.lose("reset")
    done = place.create("96790240-3", "--renew")
    assert done.code == 1
    assert "not known" in " ".join(done.err.split())
    assert len(place.credentials()) == before
    nowhere(place, done)


def test_secrets_come_from_the_environment_or_a_person_alone(place: Place) -> None:
    done = place.create("77777777-7", changes={})
    assert done.code == 2
    assert "TUPANA_SII_PASSWORD" in done.err
    (place.tupana.folder / ".env").write_text("TUPANA_SII_PASSWORD=abc\n", encoding="utf-8")
    told = place.create("77777777-7", changes={})
    assert "not read from there" in " ".join(told.err.split())
    for words in (["--certificate", "x.pfx"], ["--type", "certificate"]):
        assert place.create("77777777-7", *words).code == 2
    wrong = place.tupana.inside(
        *("credentials", "create", "--entity", "77777777-7", "--user", "12345678-9"), changes=BOTH
    )
    assert "no RUT" in wrong.err


def test_a_person_is_asked_and_nothing_is_echoed(place: Place) -> None:
    terminal, inside = os.openpty()
    words = ("credentials", "create", "--entity", "77777777-7", "--user", USER)
    with subprocess.Popen(  # noqa: S603 - our own interpreter and words
        [sys.executable, "-m", "tupana_etl", *words],
        cwd=place.tupana.folder,
        env=place.tupana.environment(),
        stdin=inside,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # no terminal but the one it is given
    ) as process:
        assert process.stderr is not None
        told = b""
        for prompt, secret in ((b"at SII: ", SECRET), (b"certificate: ", SECOND)):
            while not told.endswith(prompt):
                told += process.stderr.read(1)
            os.write(terminal, f"{secret}\n".encode())
        out, rest = process.communicate(timeout=60)
    os.set_blocking(terminal, False)
    echoed = b""  # what the terminal shows
    with contextlib.suppress(BlockingIOError):
        echoed = os.read(terminal, 1000)
    os.close(inside)
    os.close(terminal)
    done = Done(process.returncode, out.decode() + echoed.decode(), (told + rest).decode())
    assert done.code == 0, done.err
    nowhere(place, done)


def test_a_crash_leaves_no_secret() -> None:
    with mock.patch.dict(os.environ, BOTH):
        assert SECRET not in crash.redacted(f"boom {SECRET} {SECOND}")
        assert SECOND not in crash.redacted(f"boom {SECRET} {SECOND}")
    assert SECRET not in repr(enrollment.Secrets(SECRET, SECOND, SECRET))


def test_a_short_secret_takes_the_servers_words_with_it() -> None:
    assert "abc" not in enrollment.without("no abc here", enrollment.Secrets("abc"))
    assert enrollment.without("all is well", enrollment.Secrets("abc")) == "all is well"
