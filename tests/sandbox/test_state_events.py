"""POST /documents/{id}/states: payments, legal events, and what was really registered."""

from __future__ import annotations

import json
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest

from tupana_etl.sandbox.deviations import corrected
from tupana_etl.sandbox.server import READER_KEY

from .batches import invoice, issued, play, send
from .helpers import Row, client, get, post, shared, truth
from .test_contract import resolved
from .test_write_faults import BROKEN


def mark(api: httpx.Client, document_id: object, code: object = "PAID") -> httpx.Response:
    return api.post(f"/documents/{document_id}/states", json={"event_code": code})


def counts(api: httpx.Client) -> Row:
    found: Row = get(api, "/_admin/entries")["counts"]
    return found


def of(api: httpx.Client, side: str, **wanted: object) -> Row:
    """A row of the world that one own company sees from that side alone."""
    rows = truth(api, "documents")
    seen = [r["id"] for r in rows]
    return next(
        r
        for r in rows
        if r["document_type"] == side
        and r["state"] == "issued"
        and seen.count(r["id"]) == 1
        and all(r[k] == v for k, v in wanted.items())
    )


def test_a_payment_is_booked_and_undone(issuing: httpx.Client) -> None:
    row = of(issuing, "issued", dte_type_code="33", is_paid=False)
    before = get(issuing, f"/documents/{row['id']}")
    answer = mark(issuing, row["id"])
    assert answer.status_code == 200
    told = answer.json()
    assert (told["success"], told["event_registered"]) == (True, True)
    assert told["document"]["document_status"] == {"paid_status": "PAID"}
    after = get(issuing, f"/documents/{row['id']}")
    assert after["is_paid"] is True
    assert after["updated_at"] == before["updated_at"]
    undone = mark(issuing, row["id"], "UNPAID").json()
    assert undone["document"]["document_status"] == {"paid_status": "NOT_PAID"}
    assert counts(issuing) == {f"{row['id']}/PAID": 1, f"{row['id']}/UNPAID": 1}
    mark(issuing, row["id"])
    post(issuing, "/_admin/reset")
    assert counts(issuing) == {}
    assert get(issuing, f"/documents/{row['id']}")["is_paid"] is False


@pytest.mark.parametrize(
    ("how", "status", "registered", "booked"),
    [("again", 200, True, 2), ("refused", 400, None, 1), ("unchanged", 200, False, 1)],
)
def test_a_repeated_payment(
    issuing: httpx.Client, how: str, status: int, registered: bool | None, booked: int
) -> None:
    row = of(issuing, "issued", dte_type_code="33", is_paid=False)
    post(issuing, "/_admin/switches", repeated_payment=how)
    assert mark(issuing, row["id"]).status_code == 200
    again = mark(issuing, row["id"])
    assert again.status_code == status
    assert again.json().get("event_registered") is registered
    assert counts(issuing) == {f"{row['id']}/PAID": booked}


@pytest.mark.parametrize("in_states", [False, True])
def test_history_shows_payments_or_not(issuing: httpx.Client, in_states: bool) -> None:
    row = of(issuing, "issued", dte_type_code="33", is_paid=False)
    post(issuing, "/_admin/switches", payments_in_states=in_states)
    mark(issuing, row["id"])
    codes = [s["event_code"] for s in get(issuing, f"/documents/{row['id']}/states")["states"]]
    assert ("PAID" in codes) == in_states


def test_who_may_say_what(issuing: httpx.Client) -> None:
    mine = of(issuing, "issued", dte_type_code="33")["id"]
    theirs = of(issuing, "received", dte_type_code="33")["id"]
    assert mark(issuing, theirs).status_code == 403, "only the issuer is paid"
    assert mark(issuing, mine, "ERM").status_code == 403, "only the receiver acknowledges"
    assert mark(issuing, of(issuing, "issued", dte_type_code="61")["id"]).status_code == 400
    assert mark(issuing, 1).status_code == 404
    with client(str(issuing.base_url), READER_KEY) as reader:
        assert mark(reader, mine).status_code == 403
    missing = issuing.post(f"/documents/{mine}/states", content=b"{")
    assert missing.json() == {"error": "Se requiere el código del evento (event_code)"}
    assert "ERM, ACD, RCD, RFT, RFP, PAID, UNPAID" in mark(issuing, mine, "CED").json()["error"]
    assert counts(issuing) == {}


def test_sii_takes_an_event_once_and_for_eight_days(issuing: httpx.Client) -> None:
    other = truth(issuing, "master_entities")[1]["tax_id"]
    to_sibling: dict[str, Any] = {"document_receiver": {"rut": other}}
    cash = {**to_sibling, "header": {"payment_method": "1"}}
    send(issuing, invoice(issuing, **to_sibling), invoice(issuing, "b", **to_sibling))
    send(issuing, invoice(issuing, "c", **cash))
    first, second, paid_at_once = (r["document_id"] for r in issued(issuing)["issued"])
    assert mark(issuing, first, "ERM").json()["event_registered"] is True
    again = mark(issuing, first, "ERM")
    assert (again.status_code, again.json()["success"]) == (400, False)
    assert mark(issuing, first, "RCD").status_code == 400, "accepted already"
    assert mark(issuing, first, "ACD").status_code == 200
    assert mark(issuing, second, "RCD").status_code == 200
    assert mark(issuing, second, "ACD").status_code == 400, "claimed already"
    assert mark(issuing, second, "RFP").status_code == 200, "for another cause"
    assert mark(issuing, paid_at_once, "RCD").status_code == 400
    detail = get(issuing, f"/documents/{second}")
    assert detail["traces"][0]["has_claims"] is True
    assert [e["event_code"] for e in detail["traces"][0]["events"]] == ["RFP", "RCD"]
    post(issuing, "/_admin/clock", days=9)
    assert mark(issuing, second, "RFT").status_code == 400, "too late"
    assert counts(issuing) == {
        f"{first}/ERM": 1,
        f"{first}/ACD": 1,
        f"{second}/RCD": 1,
        f"{second}/RFP": 1,
    }


def test_answers_lost_or_late(issuing: httpx.Client) -> None:
    row = of(issuing, "issued", dte_type_code="33", is_paid=False)
    path = {"path": f"/documents/{row['id']}/states", "method": "POST"}
    play(issuing, {"kind": "close", **path}, {"kind": "later", "argument": 600, **path})
    for _ in range(2):
        with pytest.raises(BROKEN):
            mark(issuing, row["id"])
        assert counts(issuing) == {}
    post(issuing, "/_admin/clock", seconds=601)
    assert counts(issuing) == {f"{row['id']}/PAID": 1}
    play(issuing, {"kind": "lost", **path})
    with pytest.raises(BROKEN):
        mark(issuing, row["id"], "UNPAID")
    assert counts(issuing) == {f"{row['id']}/PAID": 1, f"{row['id']}/UNPAID": 1}


def test_the_answer_is_as_published(issuing: httpx.Client) -> None:
    found = corrected(
        json.loads(shared("api", "openapi-v1-2026-08.json").read_text(encoding="utf-8"))
    )
    operation = found["paths"]["/documents/{document_id}/states"]["post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator(resolved(schema, found))
    row = of(issuing, "issued", dte_type_code="33", is_paid=False)
    validator.validate(mark(issuing, row["id"]).json())
