"""What a batch is refused for, and by which answer: nothing is created by any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tupana_etl.sandbox.server import PRODUCTION_KEY, READER_KEY, World, running

from .batches import invoice, issued, issuer, send
from .helpers import TODAY, Row, client, companies, get, post, truth

Edit = Callable[[Row], object]
ANNULS = "ANULA DOCUMENTO DE LA REFERENCIA"


@pytest.fixture
def issuing(issuing: httpx.Client) -> Iterator[httpx.Client]:
    """The shared world, in which no test here makes a batch."""
    yield issuing
    assert issued(issuing)["batches"] == 0


def refused(api: httpx.Client, *documents: Any, **how: Any) -> Row:
    """The field map of the documents' 422."""
    answer = send(api, *documents, **how)
    assert answer.status_code == 422, answer.text
    found: Row = answer.json()["documents"]
    return found


def line(**values: object) -> Edit:
    def edit(document: Row) -> None:
        document["details"][0].update(values)

    return edit


def part(name: str, **values: object) -> Edit:
    def edit(document: Row) -> None:
        document.setdefault(name, {}).update(values)

    return edit


def without(name: str) -> Edit:
    return lambda document: document.pop(name)


@pytest.mark.parametrize(
    ("edit", "path"),
    [
        (part("dte_type", code="99"), "dte_type.code"),
        (part("dte_type", code=33), "dte_type.code"),
        (without("document_issuer"), "document_issuer"),
        (part("document_receiver", rut="76.086.428-5"), "document_receiver.rut"),
        (part("document_receiver", rut="76086428-6"), "document_receiver.rut"),
        (part("document_receiver", rut="76086428-k"), "document_receiver.rut"),
        (part("document_receiver", business_name="x" * 101), "document_receiver.business_name"),
        (lambda d: d.update(date_issued="20-11-2026"), "date_issued"),
        (lambda d: d.update(date_issued="20261120"), "date_issued"),
        (without("details"), "details"),
        (lambda d: d.update(details=[]), "details"),
        (lambda d: d.update(details=["x"]), "details.0"),
        (line(item_name=""), "details.0.item_name"),
        (line(quantity=0), "details.0.quantity"),
        (line(quantity="1"), "details.0.quantity"),
        (line(quantity=True), "details.0.quantity"),
        (line(unit_price=-1), "details.0.unit_price"),
        (line(unit_price=None), "details.0.unit_price"),
        (line(discount_percent=101), "details.0.discount_percent"),
        (line(other_tax=5.0), "details.0.other_tax"),
        (line(precio=1), "details.0.precio"),
        (lambda d: d["details"][0].update(gross_unit_price=1), "details.0.gross_unit_price"),
        (lambda d: d.update(vencimiento="x"), "vencimiento"),
        (part("header", payment_method="4"), "header.payment_method"),
        (part("header", due_date="mañana"), "header.due_date"),
        (part("header", folio="1"), "header.folio"),
        (lambda d: d.update(json_param="x"), "json_param"),
        (lambda d: d.update(additional_info="x" * 1001), "additional_info"),
        (lambda d: d.update(references=[{"reference_folio": "1"}]), "references.0.reference_date"),
        (part("dte_type", code="61"), "references"),
        (part("dte_type", code="46"), "header.purchase_transaction_type"),
        (part("dte_type", code="80"), "header.retention_type"),
        (part("dte_type", code="90"), "header.retention_type"),
        (part("dte_type", code="110"), "export_data"),
        (part("transport_data", transport_type="0"), "transport_data.transport_type"),
    ],
)
def test_by_position_and_field(issuing: httpx.Client, edit: Edit, path: str) -> None:
    bad = invoice(issuing)
    edit(bad)
    found = refused(issuing, invoice(issuing, "b"), bad)
    assert set(found) == {"1"}
    node: Any = found["1"]
    for name in path.split("."):
        node = node[name]
    assert node


def test_export_needs_currency_and_rate(issuing: httpx.Client) -> None:
    abroad: dict[str, Any] = {"dte_type": {"code": "110"}}
    for data in ({"currency_code": "999", "exchange_rate": "900"}, {"currency_code": "13"}):
        assert "export_data" in refused(issuing, invoice(issuing, export_data=data, **abroad))["0"]


def test_a_full_credit_note_says_that_it_annuls(issuing: httpx.Client) -> None:
    mine = issuer(issuing)["tax_id"]
    original = next(
        r
        for r in truth(issuing, "documents")
        if (r["sender_tax_id"], r["dte_type_code"], r["state"]) == (mine, "33", "issued")
        and r["amount_exempt"] == "0"
    )
    note = invoice(
        issuing,
        dte_type={"code": "61"},
        details=[
            {
                "item_name": "Todo",
                "quantity": 1,
                "unit_price": float(original["amount_without_iva"]),
            }
        ],
        references=[
            {
                "reference_folio": original["folio"],
                "reference_date": original["date_issued"],
                "reference_reason": "Devolución",
                "dte_type_code": "33",
            }
        ],
    )
    found = refused(issuing, note)["0"]["references"]["0"]["reference_reason"]
    assert ANNULS in found[0]


def test_without_defaults_more_is_asked_for(issuing: httpx.Client) -> None:
    bare = invoice(issuing)
    del bare["date_issued"], bare["dte_type"]
    assert set(refused(issuing, bare, defaults=False)["0"]) == {
        *("date_issued", "dte_type", "document_issuer"),
    }


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "{}", '{"documents": []}', '{"documents": {}}', "7", "null", "\xff"]
)
def test_a_body_that_is_none(issuing: httpx.Client, body: str) -> None:
    answer = issuing.post("/documents/batch", content=body.encode("latin-1"))
    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}


def test_too_many_or_too_large(issuing: httpx.Client) -> None:
    one = invoice(issuing)
    answer = send(issuing, *[one] * 201)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_many_documents")
    post(issuing, "/_admin/switches", max_documents=2, max_body_bytes=5000)
    assert send(issuing, *[one] * 3).status_code == 413
    large = invoice(issuing, additional_info="x" * 900, json_param={"x": "y" * 5000})
    assert send(issuing, large).status_code == 413


def test_who_may_issue(issuing: httpx.Client) -> None:
    one = invoice(issuing)
    base = str(issuing.base_url)
    with client(base, READER_KEY) as reader:
        assert companies(reader)
        assert send(reader, one).status_code == 403
    with client(base, "nobody") as nobody:
        assert send(nobody, one).status_code == 401
    stranger = invoice(issuing, document_issuer={"rut": "76086428-5"})
    assert send(issuing, one, stranger).status_code == 403
    own = companies(issuing)[0]
    post(issuing, "/_admin/credentials", company=own, status="EXPIRED")
    try:
        answer = send(issuing, one)
        assert (answer.status_code, set(answer.json())) == (400, {"error"})
    finally:
        post(issuing, "/_admin/credentials", company=own, status="VALID")


def test_keys_are_withdrawn_and_activated(issuing: httpx.Client) -> None:
    base = str(issuing.base_url)
    with client(base, PRODUCTION_KEY) as production, client(base, "next") as rotated:
        assert companies(production)
        post(issuing, "/_admin/keys", key=PRODUCTION_KEY, is_valid=False)
        assert production.get("/credentials").status_code == 401
        assert rotated.get("/credentials").status_code == 401
        told = post(issuing, "/_admin/keys", key="next", environment="production")
        assert told["can_issue"] is True
        assert "next" not in told["name"]
        assert companies(rotated)
        wrong = issuing.post("/_admin/keys", json={"key": "x", "environment": "moon"})
        assert wrong.status_code == 400


def test_unknown_fields_may_pass(issuing: httpx.Client) -> None:
    odd = invoice(issuing, nuevo=1, document_receiver={"rut": "76086428-6"})
    post(issuing, "/_admin/switches", unknown_fields="warn")
    answer = send(issuing, invoice(issuing), odd, key="k")
    assert answer.status_code == 202
    warned = {(w["document_index"], w["field"], w["code"]) for w in answer.json()["warnings"]}
    assert warned == {(1, "nuevo", "unknown_field"), (1, "document_receiver.rut", "invalid_rut")}
    post(issuing, "/_admin/switches", unknown_fields="ignore")
    assert "warnings" not in send(issuing, odd).json()
    post(issuing, "/_admin/reset")


def test_a_poisoned_batch_names_nobody(issuing: httpx.Client) -> None:
    post(issuing, "/_admin/switches", poison="veneno")
    answer = send(issuing, invoice(issuing, "veneno"))
    assert answer.status_code == 422
    assert "documents" not in answer.json()


def test_wrong_switches_are_refused(issuing: httpx.Client) -> None:
    for bad in ({"nope": 1}, {"accepted_status": 418}, {"key_hours": "x"}):
        assert issuing.post("/_admin/switches", json=bad).status_code == 400
    assert issuing.post("/_admin/switches", json=[]).status_code == 400


def test_the_older_contract_knows_less(tmp_path: Any) -> None:
    world = World(documents=30, companies=1, months=2, seed=3, today=TODAY, contract="2026-04")
    with running(tmp_path / "w.sqlite", world) as url, client(url) as api:
        assert set(refused(api, invoice(api, dte_type={"code": "41"}))["0"]) == {"dte_type"}
        answer = send(api, invoice(api, nuevo=1), invoice(api, "b"))
        assert answer.status_code == 202
        assert api.get(f"/documents/batch/{answer.json()['batch_id']}").status_code == 404
        mine = {"master_entity_id": companies(api)[0], "json_param__row_key": "a"}
        assert get(api, "/documents", **mine)["count"] > 1, (
            "the filter is not there, and nobody says so"
        )
        post(api, "/_admin/switches", batch_get=True, json_param_filter="on")
        assert api.get(f"/documents/batch/{answer.json()['batch_id']}").status_code == 200
        assert get(api, "/documents", **mine)["count"] == 1
