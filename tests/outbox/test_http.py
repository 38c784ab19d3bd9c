"""Sending against the sandbox over real HTTP: its faults by name, and scripts of them by seed."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.send import SendResult, Ways, send
from tupana_etl.outbox.states import State
from tupana_etl.sandbox.server import DEMO_KEY
from tupana_etl.settings import Settings

from .conftest import SHM
from .desk import Desk, open_desk

QUICK = Pace(settle=0.2, poll=0.05, poll_most=0.2)

ENDS = {State.VERIFIED, State.REJECTED}


@pytest.fixture(scope="module", params=["2026-04", "2026-08"])
def served(request: pytest.FixtureRequest) -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="tupana-http-", dir=SHM if SHM.is_dir() else None))
    lists = "lean" if request.param == "2026-04" else "rich"
    with open_desk(folder, contract=request.param, list_rows=lists) as opened:
        yield opened
    shutil.rmtree(folder)


@pytest.fixture
def desk(served: Desk) -> Desk:
    """The module's sandbox, as if nothing had been issued."""
    served.lever("/reset")
    return served


def sent(desk: Desk, home: Path, wait: float = 8.0) -> SendResult:
    settings = Settings(api_key=DEMO_KEY, base_url=desk.url, home=home)
    return asyncio.run(send(settings, wait=wait, ways=Ways(pace=QUICK)))


def fault(kind: str, argument: Any = None, times: int = 1) -> dict[str, Any]:
    told = {"kind": kind, "path": "/documents/batch", "method": "POST", "times": times}
    return told if argument is None else told | {"argument": argument}


def check(desk: Desk, home: Path) -> None:
    """At most one document a row, and the ledger claims nothing that the oracle denies."""
    issued = desk.issued()
    assert not issued or max(issued.values()) == 1
    for row in desk.rows(home).values():
        copies = issued.get(row.row_tag, 0)
        assert copies == 1 or row.state is not State.VERIFIED
        assert copies == 0 or row.state is not State.REJECTED


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("reset", None),
        ("reset_request", 60),
        ("close", None),
        ("status", 502),
        ("status", 504),
        ("status", 408),
        ("status", 409),
        ("500", None),
        ("429", 0),
        ("503", None),
        ("lost", None),
        ("lost", "reset"),
        ("done_status", 502),
        ("reset_body", None),
        ("truncated", None),
        ("html", None),
        ("no_body", None),
        ("not_utf8", None),
    ],
)
def test_one_document_whatever_breaks_on_the_wire(desk: Desk, kind: str, argument: Any) -> None:
    home = desk.home()
    desk.approve(home, "a", "b")
    desk.lever("/faults", faults=[fault(kind, argument)])
    result = sent(desk, home)
    assert result.counts == {State.VERIFIED: 2}, result.notices
    check(desk, home)


def test_redirects_and_wrong_keys_leave_the_rows_for_later(desk: Desk) -> None:
    home = desk.home()
    desk.approve(home, "a")
    desk.lever("/faults", faults=[fault("redirect")])
    result = sent(desk, home)
    assert result.counts == {State.BOUND: 1}
    assert "redirects a POST" in result.notices[0]
    assert sent(desk, home).counts == {State.VERIFIED: 1}
    check(desk, home)


@pytest.mark.parametrize(
    ("kind", "code"),
    [("other_totals", "readback"), ("drop_json_param", "tag_missing"), ("duplicate", "duplicate")],
)
def test_what_was_issued_wrong_is_for_a_person(desk: Desk, kind: str, code: str) -> None:
    home = desk.home()
    desk.approve(home, "a", "b")
    desk.lever("/faults", faults=[fault(kind)])
    result = sent(desk, home, wait=2.0)
    assert not result.complete
    if kind == "drop_json_param" and desk.contract == "2026-04":
        # Only the row key could have found them: they wait, and become STUCK.
        assert result.counts == {State.ACCEPTED: 2}
    else:
        assert code in {row.reason_code for row in result.rows}


@pytest.mark.parametrize("status", ["invalid", "permanent_error"])
def test_a_result_that_is_no_is_told(desk: Desk, status: str) -> None:
    home = desk.home()
    desk.approve(home, "a", "b")
    desk.lever("/faults", faults=[fault("outcome", f"0:{status}")])
    result = sent(desk, home, wait=2.0)
    states = desk.states(home)
    assert states["b"] is State.VERIFIED
    # Without a way to read batches nobody says no: the row waits, and becomes STUCK.
    assert states["a"] in (State.REJECTED, State.ACCEPTED)
    assert not result.complete
    check(desk, home)


def test_an_issuer_without_credentials_holds_its_company(desk: Desk) -> None:
    home = desk.home()
    desk.approve(home, "a")
    company = desk.api.get("/credentials").json()[0]["master_entities"][0]["id"]
    desk.lever("/credentials", company=company, status="INVALID")
    result = sent(desk, home)
    assert State.VERIFIED not in result.counts
    desk.lever("/credentials", company=company, status="VALID")
    assert sent(desk, home).counts == {State.VERIFIED: 1}
    check(desk, home)


SEEDS = [*range(4), *(pytest.param(n, marks=pytest.mark.long) for n in range(4, 60))]


@pytest.mark.parametrize("seed", SEEDS)
def test_scripts_of_faults_end_well(desk: Desk, seed: int) -> None:
    home = desk.home()
    desk.approve(home, *(f"r{i}" for i in range(6)))
    desk.lever("/faults", seed=seed, n=5, of="writing")
    sent(desk, home, wait=3.0)
    check(desk, home)
    desk.lever("/faults", faults=[])
    sent(desk, home, wait=3.0)
    check(desk, home)
    open_states = set(desk.states(home).values()) - ENDS
    assert open_states <= {State.QUARANTINED, State.ACCEPTED, State.UNKNOWN, State.ISSUED}
