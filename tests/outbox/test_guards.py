"""Every guard is needed: with it a history ends well, and without it the checks see the harm.

A check that stayed green with a guard removed would prove nothing about that guard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest

from tupana_etl.api.outcomes import Outcome
from tupana_etl.errors import LockHeld
from tupana_etl.outbox import deliver, envelopes, facts, reconcile, send, window
from tupana_etl.outbox.envelopes import Envelope
from tupana_etl.outbox.facts import Comparison
from tupana_etl.outbox.ledger import Ledger, open_ledger
from tupana_etl.outbox.look import Sight
from tupana_etl.outbox.run import Pace, Run
from tupana_etl.outbox.settle import Settled, settle

from .office import Office

History = Callable[[Office], None]


class Killed(BaseException):
    """The process ends here, with the request executed and no answer read."""


def _killed_after_execution(office: Office) -> None:
    """Killed in flight; the next run comes when the API has forgotten the key."""
    office.approve("a")

    def executed_then_killed(key: str, body: bytes, at: datetime) -> Any:
        original(key, body, at)
        opened[-1].con.close()
        raise Killed

    opened: list[Ledger] = []

    @contextmanager
    def opening(*args: Any) -> Iterator[Ledger]:
        with open_ledger(*args) as ledger:
            opened.append(ledger)
            yield ledger

    original = office.vendor._execute
    with (
        patch.object(office.vendor, "_execute", executed_then_killed),
        patch.object(send, "open_ledger", opening),
        suppress(Killed, Exception),
    ):
        office.send()
    office.at += timedelta(hours=25)
    office.send()


def _lost_with_a_forgetful_vendor(office: Office) -> None:
    """Executed without an answer, by an API that does not honour keys."""
    office.approve("a")
    office.vendor.idempotent = False
    office.vendor.moods = ["lost"]
    office.send()


def _hidden_until_the_key_is_forgotten(office: Office) -> None:
    """Executed, and not to be found for longer than the API remembers the key."""
    office.approve("earlier")
    office.send()
    office.at += timedelta(hours=40)
    office.vendor.search_delay = timedelta(hours=30)
    office.approve("a")
    office.vendor.moods = ["lost"]
    office.send(wait=0)
    office.at += timedelta(hours=25)
    office.send(wait=0)


def _executed_while_we_look(office: Office) -> None:
    """The API executes 18 seconds after it seemed lost, and does not honour keys."""
    office.approve("a")
    office.vendor.idempotent = False
    office.vendor.moods = ["late:0.005"]
    office.send()
    office.at += timedelta(minutes=1)


def _bytes_changed_on_disk(office: Office) -> None:
    office.approve("a")
    office.vendor.moods = ["503"] * 50
    office.send(wait=3)
    with open_ledger(office.home, office.clock) as ledger:
        ledger.con.execute("DROP TRIGGER envelope_is_frozen")
        ledger.con.execute(
            "UPDATE envelopes SET body = CAST(replace(body, '1000', '9000') AS BLOB)"
        )
    office.vendor.moods = []
    office.send()


def _two_senders_at_once(office: Office) -> None:
    """A second sender starts while the first one's request is on its way."""
    office.approve("a")
    office.vendor.idempotent = False
    office.pace = Pace(settle=0)

    def another() -> None:
        def run() -> None:
            with suppress(LockHeld):
                office.send(wait=0)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    office.vendor.on_post = another
    with suppress(Exception):
        office.send(wait=0)


def _issued_with_another_total(office: Office) -> None:
    office.approve("a")
    office.vendor.net_off = 500
    office.send()


async def _sends_first(
    run: Run, envelope: Envelope, looked_up_at: datetime | None
) -> tuple[Outcome, Settled]:
    """The request leaves before anything is written down."""
    outcome = await run.writer.post(
        deliver.PATH, envelope.body, company=envelope.entity, idempotency_key=envelope.idem_key
    )
    attempt = envelopes.open_attempt(run.ledger, envelope, looked_up_at=looked_up_at)
    return outcome, settle(run.ledger, envelope, attempt, outcome)


async def _sees_nothing(run: Any, entity: str, intents: Any) -> Sight:
    """A look-up that was not made."""
    return Sight(run.ledger.clock(), how="none")


@contextmanager
def _all(*patches: Any) -> Iterator[None]:
    with patches[0], patches[1]:
        yield


GUARDS: dict[str, tuple[History, Callable[[], Any]]] = {
    "the attempt is on disk before the request": (
        _killed_after_execution,
        lambda: patch.object(deliver, "_attempt", _sends_first),
    ),
    "look up before replay": (
        _lost_with_a_forgetful_vendor,
        lambda: patch.object(reconcile, "look_up", _sees_nothing),
    ),
    "the window": (
        _hidden_until_the_key_is_forgotten,
        lambda: _all(
            patch.object(window, "is_over", lambda envelope, now: False),
            patch.object(envelopes, "SAFE_WINDOW", timedelta(days=1000)),
        ),
    ),
    "the settling time": (
        _executed_while_we_look,
        lambda: patch.object(window, "next_move", lambda *_: datetime.min.replace(tzinfo=UTC)),
    ),
    "the byte check": (
        _bytes_changed_on_disk,
        lambda: patch.object(envelopes, "why_not", lambda *_, **__: ""),
    ),
    "the lock": (
        _two_senders_at_once,
        lambda: patch.object(send, "sending", lambda *_: nullcontext()),
    ),
    "the read-back": (
        _issued_with_another_total,
        lambda: patch.object(facts, "compare", lambda *_: Comparison((), ())),
    ),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_with_the_guard_all_is_well(office: Office, guard: str) -> None:
    history, _ = GUARDS[guard]
    history(office)
    office.check()


@pytest.mark.parametrize("guard", GUARDS)
def test_without_the_guard_the_checks_see_the_harm(office: Office, guard: str) -> None:
    history, removed = GUARDS[guard]
    with removed():
        history(office)
    with pytest.raises(AssertionError):
        office.check()
