"""Idempotency-Keys and switches of intake: replays, concurrency, scope, what is burnt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tupana_etl.sandbox.server import PRODUCTION_KEY

from .batches import invoice, issued, polled, send
from .helpers import client, companies, get, post, read_all


def test_a_key_belongs_to_the_user_or_to_an_api_key(issuing: httpx.Client) -> None:
    one = invoice(issuing)
    first = send(issuing, one, key="k").json()["batch_id"]
    with client(str(issuing.base_url), PRODUCTION_KEY) as other:
        assert send(other, one, key="k").json()["batch_id"] == first
        post(issuing, "/_admin/switches", key_scope="api_key")
        assert send(other, one, key="k").json()["batch_id"] != first
    assert issued(issuing)["counts"] == {"row_key": {"a": 2}}


@pytest.mark.parametrize(
    ("how", "statuses", "batches"),
    [("wait", {202}, 1), ("conflict", {202, 409}, 1), ("both", {202}, 4)],
)
def test_the_same_key_at_once(
    issuing: httpx.Client, how: str, statuses: set[int], batches: int
) -> None:
    post(issuing, "/_admin/switches", intake_ms=150, same_key_at_once=how)
    one = invoice(issuing)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: send(issuing, one, key="k"), range(4)))
    assert {a.status_code for a in answers} == statuses
    named = {a.json()["batch_id"] for a in answers if a.status_code == 202}
    assert len(named) == issued(issuing)["batches"] == batches
    told = {a.json()["code"] for a in answers if a.status_code == 409}
    assert told <= {"idempotency_key_in_progress"}


@pytest.mark.parametrize("burnt", [False, True])
def test_a_refused_body_burns_its_key_or_not(issuing: httpx.Client, burnt: bool) -> None:
    post(issuing, "/_admin/switches", keys_burnt_by_422=burnt)
    bad = invoice(issuing, details=[])
    refusal = send(issuing, bad, key="k")
    assert refusal.status_code == 422
    assert send(issuing, bad, key="k").json() == refusal.json()
    assert send(issuing, invoice(issuing), key="k").status_code == (409 if burnt else 202)


def test_without_a_key_each_is_new(issuing: httpx.Client) -> None:
    for _ in range(2):
        assert send(issuing, invoice(issuing)).status_code == 202
    assert issued(issuing)["documents"] == 2
    assert send(issuing, invoice(issuing), key="k" * 257).status_code == 400
    assert send(issuing, invoice(issuing), key="k" * 256).status_code == 202


def test_answers_take_the_documented_shapes(issuing: httpx.Client) -> None:
    post(issuing, "/_admin/switches", accepted_status=201, accepted_body="summary")
    answer = send(issuing, invoice(issuing), key="k")
    assert answer.status_code == 201
    assert set(answer.json()) == {"batch_id", "status", "total_documents", "message"}
    post(issuing, "/_admin/switches", replay_status=200, accepted_body="documents")
    again = send(issuing, invoice(issuing), key="k")
    assert (again.status_code, again.json()["batch_id"]) == (200, answer.json()["batch_id"])
    assert again.json()["documents"][0]["status"] == "success"


def test_the_body_may_be_a_bare_array(issuing: httpx.Client) -> None:
    headers = {"X-Use-Defaults": "true"}
    answer = issuing.post("/documents/batch/", json=[invoice(issuing)], headers=headers)
    assert polled(issuing, answer)["status"] == "completed"


def test_metadata_and_lists_lag_behind(issuing: httpx.Client) -> None:
    post(issuing, "/_admin/switches", search_seconds=60, list_seconds=30)
    mine = {"master_entity_id": companies(issuing)[0]}
    before = get(issuing, "/documents", **mine)["count"]
    send(issuing, invoice(issuing))

    def seen() -> tuple[int, int]:
        asked = {**mine, "json_param__row_key": "a"}
        listed = get(issuing, "/documents", **mine)["count"] - before
        return listed, len(read_all(issuing, "/documents", **asked))

    assert seen() == (0, 0)
    post(issuing, "/_admin/clock", seconds=31)
    assert seen() == (1, 0)
    post(issuing, "/_admin/clock", seconds=31)
    assert seen() == (1, 1)


def test_the_metadata_filter_may_be_broken(issuing: httpx.Client) -> None:
    send(issuing, invoice(issuing))
    mine = {"master_entity_id": companies(issuing)[0], "json_param__row_key": "a"}
    post(issuing, "/_admin/switches", json_param_filter="ignored")
    assert get(issuing, "/documents", **mine)["count"] > 1
    post(issuing, "/_admin/switches", json_param_filter="empty")
    assert get(issuing, "/documents", **mine)["count"] == 0
    post(issuing, "/_admin/switches", json_param_filter="on", json_param_kept=False)
    send(issuing, invoice(issuing, "b"))
    assert get(issuing, "/documents", **{**mine, "json_param__row_key": "b"})["count"] == 0
    assert issued(issuing)["counts"]["row_key"] == {"a": 1, "b": 1}


def test_drafts_may_be_listed_before_they_are_issued(issuing: httpx.Client) -> None:
    post(issuing, "/_admin/switches", drafts_first=True, processing_seconds=60)
    mine = {"master_entity_id": companies(issuing)[0], "json_param__row_key": "a"}
    send(issuing, invoice(issuing))
    (draft,) = get(issuing, "/documents", **mine)["results"]
    assert (draft["state"], draft["folio"]) == ("draft", None)
    assert issued(issuing)["documents"] == 0
    post(issuing, "/_admin/clock", seconds=61)
    (row,) = get(issuing, "/documents", **mine)["results"]
    assert (row["id"], row["state"]) == (draft["id"], "issued")
    assert row["folio"]
