"""Rows against the contract: what becomes a document, what is blocked and with which code."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tupana_etl.domain import DTE_TYPES
from tupana_etl.outbox.amounts import Totals
from tupana_etl.outbox.contract import COLUMNS, TYPE_RULES
from tupana_etl.outbox.handbook import handbook
from tupana_etl.outbox.reasons import REASONS
from tupana_etl.sandbox.validation import Rules, check

from .documents import NOTE, codes, one, read, row

REPO = Path(__file__).parents[2]
TYPES = list(TYPE_RULES)


def body(draft: Any) -> dict[str, Any]:
    assert not draft.problems, draft.reason
    made: dict[str, Any] = json.loads(draft.payload, parse_float=Decimal)
    return made


def test_the_handbook_is_current() -> None:
    assert (REPO / "docs" / "outbox.md").read_text(encoding="utf-8") == handbook(), (
        "run `python -m tupana_etl.outbox.handbook > docs/outbox.md`"
    )


@pytest.mark.parametrize("dte_type", TYPES)
def test_every_type_is_taken_as_the_api_documents_it(dte_type: str) -> None:
    made = body(one(row(dte_type)))
    found = check(made, Rules("2026-08", defaults=True, unknown="strict"))
    # Not in the published list of types; the contract says so.
    unlisted = {"dte_type"} if dte_type in ("56", "111", "112") else set()
    assert set(found.errors) == unlisted, found.errors


@pytest.mark.parametrize("dte_type", TYPES)
def test_nothing_is_left_for_the_api_to_decide(dte_type: str) -> None:
    made = body(one(row(dte_type, payment_method=row(dte_type).get("payment_method"))))
    assert made["dte_type"] == {"code": dte_type}
    assert made["date_issued"] == "2026-11-24"
    assert made["header"]["payment_method"] in ("1", "2", "3")
    assert made["header"]["due_date"] == "2026-11-24"
    assert ("vat_withheld" in made["header"]) is (dte_type == "46")
    assert made["json_param"] == {"tupana_etl_row": "tag-sale:1"}


@pytest.mark.parametrize("dte_type", TYPES)
def test_what_a_type_needs_is_asked_for(dte_type: str) -> None:
    needed = {c.name for c in COLUMNS.values() if c.always} | set(TYPE_RULES[dte_type].needs)
    for name in needed - {"row_key"}:
        for empty in (None, "", "  "):
            assert codes(row(dte_type, **{name: empty})) == {"missing"}, name


def test_totals_by_type() -> None:
    def made(dte_type: str, **changes: Any) -> tuple[int, ...]:
        totals = one(row(dte_type, **changes)).totals
        assert totals is not None
        return tuple(
            int(x) for x in (totals.net, totals.exempt, totals.iva, totals.withheld, totals.total)
        )

    assert made("33") == (100_150, 0, 19_029, 0, 119_179)  # 19028.5 goes up
    assert made("34") == (0, 100_150, 0, 0, 100_150)
    assert made("39", quantity=1, gross_unit_price=680) == (571, 0, 109, 0, 680)
    assert made("41") == (0, 100_150, 0, 0, 100_150)
    assert made("46") == (100_150, 0, 19_029, 19_029, 100_150)
    assert made("46", vat_withheld=False) == (100_150, 0, 19_029, 0, 119_179)
    assert made("61") == (100_150, 0, 19_029, 0, 119_179)
    fee = {"quantity": 1, "unit_price": 500_000}
    assert made("80", **fee) == (500_000, 0, 0, 76_250, 500_000)
    assert made("90", **fee, date_issued="2028-01-05") == (500_000, 0, 0, 85_000, 500_000)
    about_exempt = {"references": [NOTE["references"][0] | {"dte_type_code": "34"}]}
    assert made("61", **about_exempt) == (0, 100_150, 0, 0, 100_150)
    about_purchase = {"references": [NOTE["references"][0] | {"dte_type_code": 46}]}
    assert made("61", **about_purchase) == (100_150, 0, 19_029, 19_029, 100_150)


def test_an_export_is_in_its_currency_and_in_pesos() -> None:
    draft = one(row("110", quantity=3, unit_price=Decimal("10.335")))
    assert draft.totals is not None
    assert draft.currency == "USD"
    assert draft.totals.total == Decimal("31.01")
    assert draft.clp == Decimal(29475)  # 31.01 × 950.5 = 29475.005


def test_lines_are_one_document_in_their_order() -> None:
    lines = [
        row(line_number=n, item_name=name, unit_price=price, is_exempt=exempt)
        for n, name, price, exempt in (
            (10, "tenth", 1, "no"),
            (2, "second", 1_000, True),
            (1, "first", 500, None),
        )
    ]
    made = one(*lines)
    assert [d["item_name"] for d in body(made)["details"]] == ["first", "second", "tenth"]
    assert [d.get("is_exempt") for d in body(made)["details"]] == [None, True, None]
    assert made.totals is not None
    assert made.totals == Totals(*map(Decimal, (1002, 2000, 190, 0, 3192)))
    assert read(*reversed(lines))[0].payload == made.payload


def test_a_column_of_the_document_may_stand_on_one_line_only() -> None:
    first, second = row(line_number=1), row(line_number=2, receiver_name=None)
    assert one(first, second).payload is not None
    assert codes(first, second | {"receiver_name": "Otra"}) == {"lines_disagree"}


def test_duplicates_block_each_other() -> None:
    assert codes(row(), row()) == {"duplicate_row_key"}
    assert codes(row(line_number=1), row(line_number="1")) == {"duplicate_row_key"}
    assert codes(row(line_number=1), row()) == {"duplicate_row_key"}
    (blocked,) = read(row(), row())
    assert "row 1" in blocked.reason
    assert "row 2" in blocked.reason


def test_a_row_without_key_is_named_by_its_place() -> None:
    (draft,) = read(row(row_key=" "))
    assert draft.place == "row 1"
    assert {p.code for p in draft.problems} == {"missing"}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("33", {"dte_type": "43"}, "unknown_type"),
    ("33", {"dte_type": "factura"}, "unknown_type"),
    ("33", {"issuer_rut": "76086428-4"}, "bad_rut"),
    ("33", {"receiver_rut": "12.345.678"}, "bad_rut"),
    ("33", {"receiver_rut": 777777777}, "bad_value"),
    ("33", {"date_issued": "24-11-2026"}, "bad_value"),
    ("33", {"date_issued": "20261124"}, "bad_value"),
    ("33", {"date_issued": datetime(2026, 11, 24, 9, 30, tzinfo=UTC)}, "bad_value"),
    ("33", {"date_issued": "2062-11-24"}, "out_of_range"),
    ("33", {"payment_method": "credit"}, "bad_value"),
    ("33", {"payment_method": "2"}, "missing"),
    ("33", {"payment_method": "2", "due_date": "2026-11-23"}, "out_of_range"),
    ("33", {"quantity": 0}, "out_of_range"),
    ("33", {"quantity": -1}, "out_of_range"),
    ("33", {"quantity": True}, "bad_number"),
    ("33", {"quantity": float("nan")}, "bad_number"),
    ("33", {"quantity": float("inf")}, "bad_number"),
    ("33", {"quantity": Decimal("NaN")}, "bad_number"),
    ("33", {"quantity": 0.1 + 0.2}, "bad_number"),
    ("33", {"quantity": Decimal("1E+400000")}, "out_of_range"),
    ("33", {"quantity": "1e3"}, "bad_number"),
    ("33", {"quantity": "١٢"}, "bad_number"),
    ("33", {"unit_price": "1.234,50"}, "bad_number"),
    ("33", {"unit_price": "1,234"}, "bad_number"),
    ("33", {"unit_price": "1.234.567"}, "bad_number"),
    ("33", {"unit_price": "1.234"}, "ambiguous_number"),
    ("33", {"unit_price": "$1000"}, "bad_number"),
    ("33", {"unit_price": -1}, "out_of_range"),
    ("33", {"unit_price": 10**12}, "out_of_range"),
    ("33", {"unit_price": 10**12 - 1, "quantity": 10**6}, "overflow"),
    ("33", {"unit_price": 0}, "arithmetic"),
    ("33", {"discount_percent": 101}, "out_of_range"),
    ("33", {"discount_percent": "12.345"}, "out_of_range"),
    ("33", {"discount_percent": 100}, "arithmetic"),
    ("33", {"is_exempt": True}, "arithmetic"),
    ("33", {"is_exempt": "maybe"}, "bad_value"),
    ("33", {"expected_total": 119_178}, "arithmetic"),
    ("33", {"gross_unit_price": 1}, "not_for_type"),
    ("33", {"retention_type": "RETRECEPTOR"}, "not_for_type"),
    ("33", {"vat_withheld": True}, "not_for_type"),
    ("33", {"item_name": "x" * 81}, "out_of_range"),
    ("33", {"item_name": "tab\there"}, "characters"),
    ("33", {"item_name": "abc\u202ecba"}, "characters"),
    ("33", {"item_name": "zero\u200bwidth"}, "characters"),
    ("33", {"receiver_name": "東京"}, "characters"),
    ("33", {"receiver_name": "smile 🙂"}, "characters"),
    ("33", {"item_description": "x" * 1_000_000}, "out_of_range"),
    ("33", {"row_key": "k" * 201}, "out_of_range"),
    ("33", {"references": "[{"}, "bad_value"),
    ("33", {"references": "{}"}, "bad_value"),
    ("33", {"references": [{"folio": 1}]}, "references"),
    ("33", {"json_param": '{"order": 7}'}, "bad_value"),
    ("33", {"json_param": '{"a b": "7"}'}, "bad_value"),
    ("33", {"json_param": '{"tupana_etl_row": "7"}'}, "not_for_type"),
    ("39", {"unit_price": 1000}, "missing"),
    ("46", {"purchase_transaction_type": "abc"}, "out_of_range"),
    ("52", {"transport_data": {"transport_type": "0"}}, "missing"),
    ("52", {"transport_data": {"transport_type": "1", "driver_rut": "1-1"}}, "bad_rut"),
    ("61", {"references": None}, "references"),
    ("61", {"references": []}, "references"),
    ("61", {"references": [NOTE["references"][0] | {"reference_reason": ""}]}, "references"),
    ("61", {"references": NOTE["references"] * 2}, "references"),
    ("61", {"references": [NOTE["references"][0] | {"reference_date": "soon"}]}, "bad_value"),
    (
        "61",
        {
            "references": [
                NOTE["references"][0] | {"reference_reason": "Anula documento de la referencia."}
            ]
        },
        "references",
    ),
    ("80", {"retention_type": "NOBODY"}, "bad_value"),
    ("80", {"date_issued": "2018-12-31"}, "out_of_range"),
    ("110", {"export_data": "{}"}, "missing"),
    ("110", {"export_data": {"currency_code": "13"}}, "missing"),
    ("110", {"export_data": {"currency_code": "13", "exchange_rate": "950,5"}}, "bad_number"),
    ("110", {"export_data": {"currency_code": "13", "rate": "1"}}, "bad_value"),
]


@pytest.mark.parametrize(("dte_type", "changes", "code"), WRONG)
def test_what_is_wrong_is_blocked_with_a_code_and_a_sentence(
    dte_type: str, changes: dict[str, Any], code: str
) -> None:
    (draft,) = read(row(dte_type, **changes))
    assert {p.code for p in draft.problems} == {code}, draft.reason
    assert draft.payload is None
    assert draft.reason.endswith((".", "?"))
    assert len(draft.reason) < 400
    assert draft.reason.isprintable()


def test_every_code_can_happen() -> None:
    seen = {code for _, _, code in WRONG}
    elsewhere = {"duplicate_row_key", "lines_disagree", "too_many_lines", "too_large", "conflict"}
    elsewhere |= {"row_key_taken", "unknown_document", "no_match", "same_document", "legal_act"}
    elsewhere |= {
        "not_cedible",
        "several_assignees",
        "not_claimable",
        "claim_window",
        "same_schedule",
    }
    assert seen | elsewhere == set(REASONS)


def test_sixty_lines_and_no_more() -> None:
    lines = [row(line_number=n) for n in range(1, 62)]
    assert len(body(one(*lines[:60]))["details"]) == 60
    assert codes(*lines) == {"too_many_lines"}


def test_a_document_of_many_long_texts_is_too_large() -> None:
    longest = {"item_description": '"' * 1000, "item_name": "n" * 80}
    lines = [row(line_number=n, **longest) for n in range(1, 61)]
    assert one(*lines).payload is not None
    many = [
        {"dte_type_code": "801", "reference_folio": "x" * 18, "reference_date": "2026-01-01"}
    ] * 40
    texts = {f"key_{n}": '"' * 1000 for n in range(60)}
    assert codes(*(x | {"references": many, "json_param": texts} for x in lines)) == {"too_large"}
    assert codes(row(references=[*many, many[0]])) == {"references"}


def test_texts_are_normalised_by_rule() -> None:
    made = body(
        one(row(item_name="  Ca\u0301mara “Pro” – 5\u00a0m…  ", receiver_rut="77.777.777-7"))
    )
    assert made["details"][0]["item_name"] == 'Cámara "Pro" - 5 m...'
    assert made["document_receiver"]["rut"] == "77777777-7"
    small = body(one(row(receiver_rut="11111111-1", issuer_rut="5.126.663-3")))
    assert small["document_issuer"]["rut"] == "5126663-3"
    lower = body(one(row(receiver_rut="14.569.485-k")))
    assert lower["document_receiver"]["rut"] == "14569485-K"


def test_values_of_sql_and_of_csv_make_the_same_document() -> None:
    typed = row(
        date_issued=date(2026, 11, 24),
        dte_type=33,
        payment_method=1,
        quantity=Decimal("2.50"),
        unit_price=1000.25,
        references=[
            {
                "dte_type_code": 801,
                "reference_folio": "OC-7",
                "reference_date": date(2026, 11, 1),
                "reference_reason": None,
            }
        ],
    )
    text = row(
        quantity="2.5",
        unit_price="1000.25",
        references='[{"dte_type_code":"801","reference_folio":"OC-7","reference_date":"2026-11-01"}]',
    )
    assert one(typed).payload == one(text).payload
    assert body(one(text))["details"][0] == {
        "item_name": "Arriendo de maquinaria",
        "quantity": Decimal("2.5"),
        "unit_price": Decimal("1000.25"),
    }


def test_the_codes_are_the_law_s() -> None:
    assert set(TYPE_RULES) <= set(DTE_TYPES)
