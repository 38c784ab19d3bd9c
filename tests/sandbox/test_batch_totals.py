"""What documents come to once they are issued: in answers, in the world, for the oracle."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tupana_etl.sandbox.server import PRODUCTION_KEY

from .batches import invoice, issued, issuer, polled, send
from .helpers import Row, client, companies, get, post, truth


def line(**values: object) -> Row:
    return {"item_name": "Plan", "quantity": 1, **values}


def only(api: httpx.Client, *lines: Row, **more: Any) -> Row:
    """The oracle's row of one document issued with these lines."""
    answer = send(api, invoice(api, details=list(lines), **more))
    assert answer.status_code == 202, answer.text
    found: Row = issued(api)["issued"][-1]
    return found


def kind(code: str, **header: object) -> Row:
    return {"dte_type": {"code": code}, "header": {"payment_method": "2", **header}}


REFERENCE = {"reference_date": "2026-11-01", "reference_reason": "Devolución"}


@pytest.mark.parametrize(
    ("lines", "more", "totals"),
    [
        ([line(unit_price=1000)], kind("33"), "1000 0 190 1190"),
        ([line(unit_price=50)], kind("33"), "50 0 10 60"),
        ([line(unit_price=333.333, quantity=3, discount_percent=10)], kind("33"), "900 0 171 1071"),
        ([line(unit_price=0.5)], kind("33"), "1 0 0 1"),
        (
            [line(unit_price=1000), line(unit_price=500, is_exempt=True)],
            kind("33"),
            "1000 500 190 1690",
        ),
        ([line(unit_price=1000)], kind("34"), "0 1000 0 1000"),
        ([line(unit_price=1000)], kind("39"), "1000 0 190 1190"),
        ([line(gross_unit_price=1190)], kind("39"), "1000 0 190 1190"),
        ([line(gross_unit_price=100)], kind("39"), "84 0 16 100"),
        ([line(gross_unit_price=1190)], kind("41"), "0 1190 0 1190"),
        (
            [line(unit_price=1000)],
            kind("46", purchase_transaction_type="1"),
            "1000 0 190 1000",
        ),
        (
            [line(unit_price=1000)],
            kind("46", purchase_transaction_type="1", vat_withheld=False),
            "1000 0 190 1190",
        ),
        ([line(unit_price=1000)], kind("52"), "1000 0 190 1190"),
        (
            [line(unit_price=1000)],
            {
                **kind("61"),
                "references": [{**REFERENCE, "reference_folio": 1, "dte_type_code": "33"}],
            },
            "1000 0 190 1190",
        ),
        (
            [line(unit_price=1000)],
            {
                **kind("61"),
                "references": [{**REFERENCE, "reference_folio": "1", "dte_type_code": "34"}],
            },
            "0 1000 0 1000",
        ),
        ([line(unit_price=1000)], kind("80", retention_type="RETRECEPTOR"), "1000 0 0 1000"),
        (
            [line(unit_price=10.5, quantity=3)],
            {
                **kind("110"),
                "export_data": {"currency_code": "13", "exchange_rate": "900.50"},
                "document_receiver": {"rut": "55555555-5", "business_name": "Norrvale AB"},
            },
            "0 31.5 0 31.5",
        ),
    ],
)
def test_each_type(
    issuing: httpx.Client, lines: list[Row], more: dict[str, Any], totals: str
) -> None:
    row = only(issuing, *lines, **more)
    assert " ".join(row[n] for n in ("net", "exempt", "iva", "total")) == totals
    detail = get(issuing, f"/documents/{row['document_id']}")
    assert detail["amount_with_iva"] == float(row["total"])
    assert detail["amount_without_iva"] == float(row["net"])
    told = {r["id"]: r for r in truth(issuing, "documents")}[str(row["document_id"])]
    assert told["amount_with_iva"] == row["total"]
    assert detail["dte_type_code"] == row["dte_type"] == more["dte_type"]["code"]


def test_retention_is_that_of_the_year(issuing: httpx.Client) -> None:
    fee = kind("80", retention_type="RETRECEPTOR")
    for day, retention in (("2026-11-20", 153.0), ("2025-06-01", 145.0), ("2027-01-02", 160.0)):
        row = only(issuing, line(unit_price=1000), date_issued=day, **fee)
        detail = get(issuing, f"/documents/{row['document_id']}")
        assert detail["document_total"]["retention_amount"] == retention
        assert detail["header"]["retention_type"] == "RETRECEPTOR"


def test_export_keeps_its_currency(issuing: httpx.Client) -> None:
    data = {"currency_code": "142", "exchange_rate": "1020.1"}
    abroad = {"document_receiver": {"rut": "55555555-5", "business_name": "Norrvale AB"}}
    row = only(issuing, line(unit_price=0.99), export_data=data, **kind("110"), **abroad)
    detail = get(issuing, f"/documents/{row['document_id']}")
    assert (detail["currency"], detail["exchange_rate"]) == ("EUR", "1020.1")
    assert detail["receiver_id"] is None


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 5000),
            st.integers(0, 20_000_000).map(lambda n: Decimal(n) / 100),
            st.sampled_from((0, 5, 12.5)),
            st.booleans(),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_sums_agree(issuing: httpx.Client, lines: list[tuple[int, Decimal, float, bool]]) -> None:
    post(issuing, "/_admin/reset")
    details = [
        line(quantity=q, unit_price=float(p), discount_percent=d, is_exempt=e)
        for q, p, d, e in lines
    ]
    row = only(issuing, *details)
    found = get(issuing, f"/documents/{row['document_id']}")
    net = sum(int(x["item_total"]) for x in found["details"] if not x["is_exempt"])
    exempt = sum(int(x["item_total"]) for x in found["details"] if x["is_exempt"])
    assert (int(row["net"]), int(row["exempt"])) == (net, exempt)
    assert abs(Decimal(row["iva"]) - Decimal(net) * 19 / 100) <= Decimal("0.5")
    assert int(row["total"]) == net + exempt + int(row["iva"])


def test_production_folios_follow_each_other(issuing: httpx.Client) -> None:
    rows = truth(issuing, "documents")
    mine = issuer(issuing)["tax_id"]
    highest = max(
        int(r["folio"])
        for r in rows
        if r["folio"] and (r["sender_tax_id"], r["dte_type_code"]) == (mine, "33")
    )
    with client(str(issuing.base_url), PRODUCTION_KEY) as production:
        answer = send(production, invoice(issuing, "a"), invoice(issuing, "b"))
        found = [e["document"]["folio"] for e in polled(production, answer)["documents"]]
        assert found == [str(highest + 1), str(highest + 2)]
        own = invoice(issuing, "c", folio=str(highest + 4))
        assert polled(production, send(production, own))["documents"][0]["document"]["folio"] == (
            str(highest + 4)
        )
        assert send(production, own).status_code == 422, "taken"
        twice = invoice(issuing, folio=str(highest + 9))
        assert set(send(production, twice, twice).json()["documents"]) == {"1"}
        for expected in (3, 5):
            answer = send(production, invoice(issuing))
            (entry,) = polled(production, answer)["documents"]
            assert entry["document"]["folio"] == str(highest + expected)
    assert not any(r["is_sandbox"] for r in issued(issuing)["issued"])
    told = get(issuing, f"/documents/{issued(issuing)['issued'][0]['document_id']}")
    assert "is_sandbox" not in told


def test_a_credit_note_marks_its_invoice(issuing: httpx.Client) -> None:
    original = only(issuing, line(unit_price=1000))
    reason = "ANULA DOCUMENTO DE LA REFERENCIA"
    reference = {
        "reference_folio": original["folio"],
        "reference_date": "2026-11-20",
        "reference_reason": reason,
        "dte_type_code": "33",
    }
    only(issuing, line(unit_price=1000), references=[reference], **kind("61"))
    detail = get(issuing, f"/documents/{original['document_id']}")
    assert detail["has_credit_note"] is True
    states = get(issuing, f"/documents/{original['document_id']}/states")["states"]
    assert [s["event_code"] for s in states] == ["NCA"]


def test_defaults_fill_the_registrys_data_alone(issuing: httpx.Client) -> None:
    known = next(r for r in truth(issuing, "documents") if r["receiver_id"])
    bare = {
        "document_issuer": {"rut": issuer(issuing)["tax_id"]},
        "document_receiver": {"rut": known["receiver_tax_id"]},
        "details": [line(unit_price=1000)],
    }
    send(issuing, bare)
    (row,) = issued(issuing)["issued"]
    detail = get(issuing, f"/documents/{row['document_id']}")
    assert (detail["dte_type_code"], detail["date_issued"]) == ("33", "2026-11-20")
    assert detail["header"]["payment_method"] == "2"
    assert detail["sender_name"] == issuer(issuing)["name"]
    assert detail["receiver_id"] == known["receiver_id"]
    post(issuing, "/_admin/switches", processing_seconds=7200)
    send(issuing, bare)
    post(issuing, "/_admin/clock", days=1)
    late = issued(issuing)["issued"][-1]
    assert late["date_issued"] == "2026-11-20", "the day it was asked for"
    post(issuing, "/_admin/reset")
    mine = {"rut": issuer(issuing)["tax_id"], "business_name": "Nombre propio"}
    plain = invoice(issuing, header={}, document_issuer=mine)
    assert send(issuing, plain, defaults=False).status_code == 202
    told = get(issuing, f"/documents/{issued(issuing)['issued'][-1]['document_id']}")
    assert told["header"]["payment_method"] is None
    named = invoice(issuing, document_receiver={"rut": "76086428-5", "business_name": "Otro"})
    send(issuing, named)
    told = get(issuing, f"/documents/{issued(issuing)['issued'][-1]['document_id']}")
    assert told["receiver_name"] == "Otro"


def test_books_and_truth_know_what_was_issued(issuing: httpx.Client) -> None:
    mine = {"master_entity_id": companies(issuing)[0], "period": "202611", "operation": "VENTA"}

    def book() -> Row:
        rows = get(issuing, "/book-summaries", **mine)["results"]
        found: Row = next((r for r in rows if r["dte_type_code"] == 34), {"total_docs": 0})
        return found

    before = book()
    only(issuing, line(unit_price=1234), **kind("34"))
    assert book()["total_docs"] == before["total_docs"] + 1
    assert book()["total_amount"] - before.get("total_amount", 0) == 1234
