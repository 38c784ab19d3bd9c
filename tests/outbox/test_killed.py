"""Senders killed anywhere, against the sandbox over real HTTP: nothing twice, nothing lost."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import pytest

from tests.sync.receiving import SECRET, Receiver, receiving, until
from tupana_etl.domain import utcnow
from tupana_etl.errors import TupanaError
from tupana_etl.inbox.drain import drain
from tupana_etl.outbox import envelopes, failpoints, hints
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.send import Ways
from tupana_etl.outbox.states import State
from tupana_etl.sandbox.server import DEMO_KEY
from tupana_etl.settings import Settings

from .conftest import SHM
from .desk import Desk, open_desk

KILLED = -signal.SIGKILL
GOOD = ("a", "b", "c")

ALWAYS = tuple(n for n in failpoints.NAMES if not n.startswith(("recover", "lookup", "adopt")))
"""Places that the first run of a home reaches; the others take a doubt."""

RECOVERY = tuple(n for n in failpoints.NAMES if n not in ALWAYS)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="tupana-desk-", dir=SHM if SHM.is_dir() else None))
    with open_desk(folder) as opened:
        yield opened
    shutil.rmtree(folder)


@dataclass
class Hook:
    """A receiver that both companies' webhooks deliver to."""

    desk: Desk
    receiver: Receiver

    def drain(self, home: Path) -> None:
        """Reads what arrived by now, between a kill and the next run."""
        settings = Settings(api_key=DEMO_KEY, base_url=self.desk.url, home=home)
        ways = Ways(pace=Pace(settle=0.05, poll=0.02))

        def follow(batches: Sequence[str]) -> dict[str, TupanaError]:
            return asyncio.run(hints.follow(settings, batches, ways))

        drain(self.receiver.home, lambda documents: {}, follow, utcnow)


@pytest.fixture(scope="module")
def hearing(desk: Desk) -> Iterator[Hook]:
    with receiving(desk.folder / "inbox") as receiver:
        entities = [e for c in desk.api.get("/credentials").json() for e in c["master_entities"]]
        for company in {e["id"] for e in entities}:
            told = {"master_entity_id": company, "url": receiver.url, "secret": SECRET}
            events = ["document.issued", "batch.intake_failed"]
            desk.api.post("/webhooks", json=told | {"events": events}).raise_for_status()
        yield Hook(desk, receiver)


def rows_of(desk: Desk) -> Path:
    """A home with three good rows; a second company's are a good one and a bad one."""
    home = desk.home()
    desk.approve(home, *GOOD)
    desk.approve(home, "mixed", issuer=desk.issuers[1])
    desk.approve(home, "bad", issuer=desk.issuers[1], receiver="1-1")
    return home


def check(desk: Desk, home: Path) -> None:
    """After one run that nobody kills, every row is at its end and exists at most once.

    The API refuses the bad row by name. If that refusal only came with a replay, it says
    nothing of the first attempt: then both rows of that body are a person's.
    """
    assert desk.send(home) == 1
    found = desk.rows(home)
    issued = desk.issued()
    copies = {key: issued.get(row.row_tag, 0) for key, row in found.items()}
    for key in GOOD:
        assert (found[key].state, copies[key]) == (State.VERIFIED, 1)
    assert (found["mixed"].state, found["bad"].state, copies["mixed"], copies["bad"]) in (
        (State.VERIFIED, State.REJECTED, 1, 0),
        (State.QUARANTINED, State.QUARANTINED, 0, 0),
    )


@pytest.mark.parametrize("name", ALWAYS)
def test_killed_once(desk: Desk, name: str) -> None:
    home = rows_of(desk)
    assert desk.send(home, name) == KILLED
    check(desk, home)


HEARD = ("post.body_out", "post.answered", "result.after", "poll.after")
"""Places where an event may know more than the ledger; the others are in the long suite."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in HEARD else pytest.mark.long) for n in ALWAYS]
)
def test_killed_once_the_ledger_ends_the_same_with_webhooks(
    desk: Desk, hearing: Hook, name: str
) -> None:
    """`check` asks for the one ending that there is without them, too."""
    home = rows_of(desk)
    assert desk.send(home, name) == KILLED
    hearing.drain(home)
    check(desk, home)
    until(hearing.receiver.rows)
    hearing.drain(home)
    check(desk, home)


@pytest.mark.parametrize("name", RECOVERY)
def test_killed_in_flight_and_again_while_recovering(desk: Desk, name: str) -> None:
    home = rows_of(desk)
    assert desk.send(home, "post.body_out") == KILLED
    assert desk.send(home, name) == KILLED
    check(desk, home)


PAIRS = list(product(failpoints.NAMES, repeat=2))


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_killed_twice_anywhere(desk: Desk, pair: tuple[str, str]) -> None:
    home = rows_of(desk)
    for name in pair:
        assert desk.send(home, name) in (KILLED, 1)  # not every place is reached
    check(desk, home)


@pytest.mark.long
@pytest.mark.parametrize("pair", PAIRS[::9], ids="-".join)
def test_killed_twice_anywhere_the_ledger_ends_the_same_with_webhooks(
    desk: Desk, hearing: Hook, pair: tuple[str, str]
) -> None:
    home = rows_of(desk)
    for name in pair:
        assert desk.send(home, name) in (KILLED, 1)
        hearing.drain(home)
    check(desk, home)


def test_interrupted_in_flight_nothing_is_left_open(desk: Desk) -> None:
    home = rows_of(desk)
    desk.lever("/switches", intake_ms=300)
    try:
        assert desk.send(home, interrupt=True) not in (0, 1)
    finally:
        desk.lever("/switches", intake_ms=0)
    with open_ledger(home) as ledger:
        assert envelopes.open_attempts(ledger) == []
    assert State.UNKNOWN in set(desk.states(home).values()) <= {State.UNKNOWN, State.BOUND}
    check(desk, home)
