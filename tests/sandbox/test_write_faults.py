"""Faults of issuing over real HTTP: what the client hears, and what was done all the same."""

from __future__ import annotations

import json
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from tupana_etl.sandbox import draws, faults, kinds
from tupana_etl.sandbox.faults import Fault

from .batches import invoice, issued, play, polled, send
from .helpers import companies, get, post, read_all

BROKEN = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)
POST = {"path": "/documents/batch", "method": "POST"}


def documents(api: httpx.Client) -> int:
    return int(issued(api)["documents"])


@pytest.mark.parametrize(
    ("kind", "argument", "done"),
    [
        ("reset", None, 0),
        ("reset_request", 0, 0),
        ("reset_request", 40, 0),
        ("close", None, 0),
        ("later", 60, 0),
        ("lost", None, 1),
        ("lost", "reset", 1),
        ("reset_body", None, 1),
    ],
)
def test_the_connection_ends(issuing: httpx.Client, kind: str, argument: object, done: int) -> None:
    play(issuing, {"kind": kind, "argument": argument, **POST})
    with pytest.raises(BROKEN):
        send(issuing, invoice(issuing), key="k")
    assert documents(issuing) == done
    assert send(issuing, invoice(issuing), key="k").status_code == 202
    assert documents(issuing) == 1, "the same key, so the same batch"


@pytest.mark.parametrize(("kind", "argument", "done"), [("hang", None, 0), ("lost", "hang", 1)])
def test_no_answer_comes(issuing: httpx.Client, kind: str, argument: object, done: int) -> None:
    play(issuing, {"kind": kind, "argument": argument, **POST})
    document = invoice(issuing)
    with pytest.raises(httpx.ReadTimeout):
        send(issuing, document, timeout=0.4)
    assert documents(issuing) == done


@pytest.mark.parametrize(
    ("kind", "heard"), [("later", BROKEN), ("later_hang", (httpx.ReadTimeout,))]
)
def test_the_server_issues_later(
    issuing: httpx.Client, kind: str, heard: tuple[type[Exception], ...]
) -> None:
    document = invoice(issuing)
    play(issuing, {"kind": kind, "argument": 7200, **POST})
    with pytest.raises(heard):
        send(issuing, document, key="k", timeout=30 if kind == "later" else 0.4)
    post(issuing, "/_admin/clock", hours=1.9)
    assert documents(issuing) == 0
    post(issuing, "/_admin/clock", hours=0.2)
    assert issued(issuing)["counts"] == {"row_key": {"a": 1}}
    assert send(issuing, invoice(issuing), key="k").status_code == 202
    assert documents(issuing) == 1


@pytest.mark.parametrize(
    ("kind", "argument", "status", "done"),
    [
        *(("status", code, code, 0) for code in (400, 403, 404, 408, 409, 413, 422, 504)),
        ("429", "mañana", 429, 0),
        ("500", None, 500, 0),
        ("502_html", None, 502, 0),
        ("503", 3, 503, 0),
        ("401", None, 401, 0),
        ("redirect", 301, 301, 0),
        ("redirect", 307, 307, 0),
        ("not_json", None, 200, 0),
        ("done_status", None, 502, 1),
        ("done_status", 500, 500, 1),
        ("html", None, 202, 1),
        ("no_body", None, 202, 1),
        ("not_utf8", None, 202, 1),
        ("truncated", None, 202, 1),
    ],
)
def test_an_answer_that_says_little(
    issuing: httpx.Client, kind: str, argument: object, status: int, done: int
) -> None:
    play(issuing, {"kind": kind, "argument": argument, **POST})
    answer = send(issuing, invoice(issuing), key="k")
    assert answer.status_code == status
    assert documents(issuing) == done
    if status == 202:
        with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
            answer.json()
    if kind == "redirect":
        assert answer.headers["location"].startswith("https://evil.example/")
    assert send(issuing, invoice(issuing), key="k").status_code == 202
    assert documents(issuing) == 1


def test_a_refusal_names_documents(issuing: httpx.Client) -> None:
    play(issuing, {"kind": "422_named", "argument": "3, 9", **POST})
    answer = send(issuing, *(invoice(issuing, str(i)) for i in range(10)))
    assert (answer.status_code, set(answer.json()["documents"])) == (422, {"3", "9"})


@pytest.mark.parametrize(
    ("kind", "indexes"),
    [
        ("fewer_entries", [0, 1]),
        ("more_entries", [0, 1, 2, 3]),
        ("reordered_entries", [2, 1, 0]),
        ("shifted_indexes", [1, 2, 0]),
        ("foreign_answer", [0]),
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_entries_are_not_those_asked_for(
    issuing: httpx.Client, kind: str, indexes: list[int], method: str
) -> None:
    batch = [invoice(issuing, str(i)) for i in range(3)]
    plain = polled(issuing, send(issuing, *batch, key="k"))
    play(issuing, {"kind": kind, "path": "/documents/batch", "method": method})
    answer = send(issuing, *batch, key="k")
    told = answer.json() if method == "POST" else polled(issuing, answer)
    assert [e["index"] for e in told["documents"]] == indexes
    same = told.get("batch_id", told.get("id")) == plain["id"]
    assert same == (kind != "foreign_answer")
    assert documents(issuing) == 3


def test_a_replay_names_another_batch(issuing: httpx.Client) -> None:
    first = send(issuing, invoice(issuing), key="k").json()["batch_id"]
    play(issuing, {"kind": "other_batch_id", **POST})
    assert send(issuing, invoice(issuing), key="k").json()["batch_id"] != first
    assert documents(issuing) == 1


def test_a_key_is_forgotten(issuing: httpx.Client) -> None:
    play(issuing, {"kind": "forget_key", **POST})
    first = send(issuing, invoice(issuing), key="k").json()["batch_id"]
    assert get(issuing, "/_admin/faults")["faults"][0]["hits"] == 0, "nothing to forget yet"
    assert send(issuing, invoice(issuing), key="k").json()["batch_id"] != first
    assert issued(issuing)["counts"] == {"row_key": {"a": 2}}


def test_statuses_of_documents(issuing: httpx.Client) -> None:
    play(
        issuing,
        {"kind": "outcome", "argument": "0:invalid"},
        {"kind": "outcome", "argument": "1:permanent_error"},
        {"kind": "outcome", "argument": "2:incomplete"},
        {"kind": "outcome", "argument": "3:temporary_error>success"},
        {"kind": "outcome", "argument": "4:en_revision"},
        {"kind": "lost"},
    )
    batch = [invoice(issuing, str(i)) for i in range(6)]
    with pytest.raises(BROKEN):
        send(issuing, *batch, key="k")
    answer = send(issuing, *batch, key="k")
    found = polled(issuing, answer)
    assert found["status"] == "processing", "one is tried again"
    assert [e["status"] for e in found["documents"]] == [
        *("invalid", "permanent_error", "incomplete", "temporary_error", "en_revision"),
        "success",
    ]
    assert [bool(e["errors"]) for e in found["documents"]] == [True] * 4 + [False] * 2
    post(issuing, "/_admin/clock", seconds=31)
    found = polled(issuing, answer)
    assert (found["status"], found["documents"][3]["status"]) == ("completed", "success")
    assert issued(issuing)["counts"] == {"row_key": {"3": 1, "5": 1}}
    left = {e["position"]: e["status"] for e in issued(issuing)["not_issued"]}
    assert left == {0: "invalid", 1: "permanent_error", 2: "incomplete", 4: "en_revision"}
    mine = {"master_entity_id": companies(issuing)[0]}
    states = {
        key: [r["state"] for r in read_all(issuing, "/documents", json_param__row_key=key, **mine)]
        for key in "01234"
    }
    assert states == {"0": [], "1": ["failed"], "2": ["draft"], "3": ["issued"], "4": []}


def test_a_draft_may_be_issued_or_go(issuing: httpx.Client) -> None:
    mine = {"master_entity_id": companies(issuing)[0]}
    post(issuing, "/_admin/switches", drafts_first=True)
    play(
        issuing,
        {"kind": "outcome", "argument": "0:incomplete>success"},
        {"kind": "outcome", "argument": "1:invalid"},
    )
    send(issuing, invoice(issuing, "a"), invoice(issuing, "b"))
    for key, states in (("a", ["draft"]), ("b", [])):
        rows = read_all(issuing, "/documents", json_param__row_key=key, **mine)
        assert [r["state"] for r in rows] == states
    post(issuing, "/_admin/clock", seconds=31)
    (row,) = read_all(issuing, "/documents", json_param__row_key="a", **mine)
    assert row["state"] == "issued"
    assert documents(issuing) == 1


def test_a_batch_fails_whole(issuing: httpx.Client) -> None:
    play(issuing, {"kind": "intake_failed"})
    found = polled(issuing, send(issuing, invoice(issuing), invoice(issuing, "b")))
    assert found["status"] == "failed"
    assert documents(issuing) == 0


def test_what_is_issued_is_not_what_was_asked(issuing: httpx.Client) -> None:
    play(
        issuing,
        {"kind": "duplicate", "argument": 0},
        {"kind": "drop_json_param", "argument": 1},
        {"kind": "other_totals", "argument": 5},
    )
    send(issuing, invoice(issuing, "a"), invoice(issuing, "b"), key="k")
    send(issuing, invoice(issuing, "c"))
    oracle = issued(issuing)
    assert oracle["counts"] == {"row_key": {"a": 2, "b": 1, "c": 1}}
    totals = {r["json_param"]["row_key"]: r["total"] for r in oracle["issued"]}
    assert totals == {"a": "1195", "b": "1195", "c": "1190"}
    lost = next(r for r in oracle["issued"] if r["json_param"]["row_key"] == "b")
    assert get(issuing, f"/documents/{lost['document_id']}")["json_param"] is None
    mine = {"master_entity_id": companies(issuing)[0]}
    assert read_all(issuing, "/documents", json_param__row_key="b", **mine) == []
    assert len(read_all(issuing, "/documents", json_param__row_key="a", **mine)) == 2


def test_sii_refuses_later(issuing: httpx.Client) -> None:
    play(issuing, {"kind": "sii_reject", "argument": 600})
    answer = send(issuing, invoice(issuing))
    (row,) = issued(issuing)["issued"]
    assert row["state"] == "issued"
    post(issuing, "/_admin/clock", seconds=601)
    assert get(issuing, f"/documents/{row['document_id']}")["state"] == "rejected"
    assert polled(issuing, answer)["documents"][0]["status"] == "success"
    assert documents(issuing) == 1, "it was issued all the same"


def test_a_storm_ends_by_the_clock(issuing: httpx.Client) -> None:
    play(issuing, {"kind": "502_html", "times": None, "seconds": 72_000, **POST})
    assert [send(issuing, invoice(issuing)).status_code for _ in range(3)] == [502] * 3
    assert get(issuing, "/credentials")
    post(issuing, "/_admin/clock", hours=19)
    assert send(issuing, invoice(issuing)).status_code == 502
    post(issuing, "/_admin/clock", hours=2)
    assert send(issuing, invoice(issuing)).status_code == 202


def test_the_date_is_the_sandboxs_or_skewed(issuing: httpx.Client) -> None:
    def date() -> float:
        told = send(issuing, invoice(issuing)).headers.get_list("date")
        assert len(told) == 1
        return parsedate_to_datetime(told[0]).timestamp()

    assert abs(date() - time.time()) < 5
    post(issuing, "/_admin/clock", hours=3)
    assert abs(date() - time.time() - 3 * 3600) < 5
    play(issuing, {"kind": "skewed_date", "argument": -900})
    assert abs(date() - time.time() - 3 * 3600 + 900) < 5


def test_slow_answers_are_whole(issuing: httpx.Client) -> None:
    play(issuing, {"kind": "slow", "argument": 50}, {"kind": "slow_loris", "argument": 1})
    for _ in range(2):
        assert "batch_id" in send(issuing, invoice(issuing), key="k").json()
    assert documents(issuing) == 1


def test_a_byte_now_and_then(issuing: httpx.Client) -> None:
    """Each read is well inside its timeout, and the answer would take minutes."""
    play(issuing, {"kind": "slow_loris", "argument": 100, **POST})
    document, heard = invoice(issuing), []
    headers = {"X-Use-Defaults": "true"}
    with issuing.stream("POST", "/documents/batch", json=[document], headers=headers) as answer:
        for piece in answer.iter_raw():
            heard.append(piece)
            if len(heard) == 4:
                break
    assert len(b"".join(heard)) == 4
    assert documents(issuing) == 1


def test_wrong_faults_are_refused(issuing: httpx.Client) -> None:
    outcomes = [("outcome", a) for a in (None, "x:invalid", "0:", "a>>b")]
    for kind, argument in (*outcomes, ("later", "soon"), ("status", "x")):
        bad: dict[str, Any] = {"kind": kind, "argument": argument}
        assert issuing.post("/_admin/faults", json={"faults": [bad]}).status_code == 400


def test_faults_in_a_word() -> None:
    assert faults.written("429=3*5") == Fault("429", argument=3, times=5)
    assert faults.written("429=mañana") == Fault("429", argument="mañana")
    assert faults.written("lost") == Fault("lost", path="/documents/batch", method="POST")
    assert faults.written("outcome=0:invalid").argument == "0:invalid"
    for bad in ("nope", "lost*x", "lost*", "status=x", "outcome", "empty"):
        with pytest.raises(ValueError, match=r"."):
            faults.written(bad)


def test_random_scripts_of_writing_repeat_and_end() -> None:
    assert draws.writing(17) == draws.writing(17)
    drawn = [f for seed in range(300) for f in draws.writing(seed)]
    assert all(f.times for f in drawn)
    assert {f.kind for f in drawn} <= set(kinds.ALL) - {"401", "redirect", "hang", "slow_loris"}
    assert {f.kind for f in drawn} >= {"later", "lost", "outcome", "status", "drop_json_param"}


def test_every_random_script_of_writing_passes(issuing: httpx.Client) -> None:
    """A client that asks again with the same key issues each of its batches once."""
    harmless = {k for k in kinds.ORDERS if k not in {"duplicate", "forget_key"}}
    for seed in range(12):
        post(issuing, "/_admin/reset")
        post(issuing, "/_admin/faults", seed=seed, of="writing")
        for number in range(5):
            for _ in range(30):
                if _hands_in(issuing, str(number)):
                    break
            else:
                pytest.fail(f"seed {seed}: batch {number} never came through")
        post(issuing, "/_admin/clock", hours=3)
        counts = issued(issuing)["counts"].get("row_key", {})
        assert set(counts.values()) <= {1}, (seed, counts)
        script = [Fault(**_plain(f)) for f in get(issuing, "/_admin/faults")["faults"]]
        if not {f.kind for f in script} & harmless:
            assert set(counts) == {str(n) for n in range(5)}, seed


def _hands_in(api: httpx.Client, key: str) -> bool:
    try:
        answer = send(api, invoice(api, key), key=key)
        return answer.status_code == 202 and "batch_id" in answer.json()
    except (*BROKEN, json.JSONDecodeError, UnicodeDecodeError):
        return False


def _plain(fault: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fault.items() if k not in {"seen", "hits"}}
