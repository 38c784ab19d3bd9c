"""Page bytes become typed rows: exact, strict, and nothing dropped in silence."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tupana_etl.arrow.decode import Decoded, Decoder
from tupana_etl.columns import Kind
from tupana_etl.streams import STREAMS

WHERE = {"master_entity_id": "7", "document_type": "issued"}

DOCUMENT: dict[str, Any] = {
    "id": 12345,
    "folio": "101",
    "date_issued": "2026-03-31",
    "dte_type_code": "33",
    "amount_with_iva": 119000.0,
    "amount_without_iva": 100000.0,
    "amount_iva": "19000.00",
    "currency": "CLP",
    "sender_id": 1,
    "sender_tax_id": "76.086.428-5",
    "receiver_id": "2",
    "receiver_tax_id": "77777777-7",
    "is_paid": False,
    "created_at": "2026-03-31T12:00:00.123456Z",
    "header": {"payment_method": "2", "due_date": "2026-04-30"},
    "details": [
        {"item_name": "Flete", "quantity": 1.5, "unit_price": 33333.333333, "item_total": 50000},
        {"item_name": "Grúa", "quantity": "2", "unit_price": "25000", "item_total": 50000},
    ],
    "references": [],
    "traces": [
        {
            "date_reception": "2026-03-31T09:00:00",
            "has_claims": False,
            "events": [
                {
                    "event_code": "ERM",
                    "event_date": "2026-04-02T10:00:00-03:00",
                    "responsable_rut": 77777777,
                }
            ],
        }
    ],
}


def decode(*rows: object, decoder: Decoder | None = None) -> Decoded:
    body = json.dumps(list(rows)).encode()
    return (decoder or Decoder(STREAMS["documents"])).decode(body, WHERE)


def document(**changes: object) -> dict[str, Any]:
    return DOCUMENT | changes


def only(decoded: Decoded) -> dict[str, Any]:
    assert not decoded.rejects
    (row,) = decoded.batch.to_pylist()
    return dict(row)


def test_a_rich_row_is_typed_and_exact() -> None:
    decoded = decode(DOCUMENT)
    row = only(decoded)
    assert (row["id"], row["sender_id"], row["receiver_id"]) == ("12345", "1", "2")
    assert row["master_entity_id"] == "7"
    assert row["date_issued"] == date(2026, 3, 31)
    assert row["amount_iva"] == Decimal("19000.0000")
    assert row["sender_tax_id"] == "76086428-5"
    assert row["payment_method"] == "2"
    assert row["created_at"] == datetime(2026, 3, 31, 12, 0, 0, 123456, tzinfo=UTC)
    # A trace without a zone speaks Santiago's time: summer time, UTC-3, on 31 March.
    assert row["date_reception"] == datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
    lines = decoded.children["document_lines"].to_pylist()
    assert [(x["position"], x["quantity"]) for x in lines] == [
        (1, Decimal("1.500000")),
        (2, Decimal("2.000000")),
    ]
    (state,) = decoded.children["document_states"].to_pylist()
    assert state["event_date"] == datetime(2026, 4, 2, 13, 0, tzinfo=UTC)
    assert state["document_id"] == "12345"


def test_absent_and_null_are_told_apart() -> None:
    without = {k: v for k, v in DOCUMENT.items() if k not in ("amount_iva", "details")}
    row = only(decode(without))
    assert ",amount_iva," in row["_absent"]
    assert ",document_lines," in row["_absent"]
    row = only(decode(document(amount_iva=None, details=[])))
    assert ",amount_iva," not in row["_absent"]
    assert row["amount_iva"] is None
    assert ",document_lines," not in row["_absent"]


def test_labels_and_events_of_one_name_are_told_apart() -> None:
    silent = {k: v for k, v in DOCUMENT.items() if k not in ("document_states", "traces")}
    events: dict[str, Any] = {"traces": DOCUMENT["traces"]}
    labels: dict[str, Any] = {"document_states": []}
    assert {",labels,", ",document_states,"} == _told(silent)
    assert _told(silent | events) == {",labels,"}
    assert _told(silent | labels) == {",document_states,"}
    assert _told(silent | events | labels) == set()


def _told(row: dict[str, Any]) -> set[str]:
    absent = only(decode(row))["_absent"]
    return {mark for mark in (",labels,", ",document_states,") if mark in f",{absent},"}


def test_a_null_list_does_not_say_that_there_are_no_lines() -> None:
    assert ",document_lines," in only(decode(document(details=None)))["_absent"]


@pytest.mark.parametrize(
    ("spelling", "column"),
    [
        ({"net_amount": 100000}, "amount_without_iva"),
        ({"document_total": {"net_amount": 100000}}, "amount_without_iva"),
        ({"dte_type": {"code": 33, "description": "Factura"}}, "dte_type_code"),
        ({"sender": {"id": 1, "tax_id": "76086428-5"}}, "sender_tax_id"),
        ({"pdf_url": "https://files.example/1"}, "pdf"),
    ],
)
def test_both_spellings_land_in_one_column(spelling: dict[str, object], column: str) -> None:
    expected = only(decode(document(pdf="https://files.example/1")))[column]
    other = {k: v for k, v in DOCUMENT.items() if k != column} | spelling
    assert only(decode(other))[column] == expected


def test_a_null_gives_way_to_the_other_spelling() -> None:
    row = only(decode(document(amount_iva=None, iva_amount=19000)))
    assert row["amount_iva"] == Decimal("19000.0000")


def test_unknown_fields_are_kept_and_cost_nothing_else() -> None:
    decoder = Decoder(STREAMS["documents"])
    new = {"new field!": {"a": 1}, "class": None}
    decoded = decode(DOCUMENT, document(id=2, **new), decoder=decoder)
    extras = decoded.batch.column("_extra").to_pylist()
    assert extras[0] is None
    assert json.loads(extras[1]) == new
    assert set(decoder.unknown) == set(new)
    assert not decoded.rejects


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"is_paid": "yes"}, ""),
        ({"amount_iva": "12,5"}, "amount_iva"),
        ({"amount_iva": 1.23456}, "amount_iva"),
        ({"amount_iva": True}, "amount_iva"),
        ({"amount_iva": 1e300}, "amount_iva"),
        ({"date_issued": "2026-02-30"}, "date_issued"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"header": "none"}, ""),
        ({"id": None}, "id"),
        ({"id": 1.5}, ""),
    ],
)
def test_a_wrong_type_rejects_its_row_and_no_other(change: dict[str, Any], column: str) -> None:
    bad = document(**change)
    decoded = decode(document(id=1), bad, document(id=3))
    assert decoded.batch.column("id").to_pylist() == ["1", "3"]
    (reject,) = decoded.rejects
    assert json.loads(reject.raw) == bad
    if column:
        assert reject.column == column
    # The children of a row that was not taken do not stay behind.
    assert set(decoded.children["document_lines"].column("document_id").to_pylist()) == {"1", "3"}


def test_a_bad_line_is_rejected_alone() -> None:
    details = [{"item_name": "a", "quantity": "many"}, {"item_name": "b", "quantity": 1}]
    decoded = decode(document(details=details))
    assert decoded.batch.num_rows == 1
    assert decoded.children["document_lines"].column("item_name").to_pylist() == ["b"]
    (reject,) = decoded.rejects
    assert (reject.stream, reject.id, reject.column) == ("document_lines", "12345", "quantity")


def test_a_reference_whose_object_has_another_shape_is_rejected_alone() -> None:
    references = [{"reference_folio": "1", "dte_type": "33"}, {"reference_folio": "2"}]
    decoded = decode(document(references=references))
    assert decoded.batch.num_rows == 1
    assert decoded.children["document_references"].column("position").to_pylist() == [2]
    (reject,) = decoded.rejects
    assert (reject.stream, reject.id, reject.column) == (
        *("document_references", "12345", "dte_type_code"),
    )


@pytest.mark.parametrize("text", ['"\xff"', '["1"]', '"null"'])
def test_an_amount_that_is_no_number_rejects_its_row(text: str) -> None:
    body = f'[{{"id": 1, "amount_iva": "2"}}, {{"id": 2, "amount_iva": {text}}}]'
    decoded = Decoder(STREAMS["documents"]).decode(body.encode("latin-1"), WHERE)
    assert decoded.batch.column("id").to_pylist() == ["1"]
    assert decoded.rejects[0].column == "amount_iva"


def test_invalid_utf8_rejects_its_row() -> None:
    body = b'[{"id": 1, "folio": "1"}, {"id": 2, "folio": "\xff"}]'
    decoded = Decoder(STREAMS["documents"]).decode(body, WHERE)
    assert decoded.batch.column("id").to_pylist() == ["1"]
    assert len(decoded.rejects) == 1


def test_secrets_and_xml_are_dropped() -> None:
    webhook = {"id": 1, "url": "https://example.cl", "secret": "canary-secret"}
    decoded = Decoder(STREAMS["webhooks"]).decode(json.dumps([webhook]).encode(), {})
    assert "canary-secret" not in str(decoded.batch.to_pydict())
    assert "<DTE" not in str(decode(document(xml="<DTE/>")).batch.to_pydict())


def test_rejects_hold_no_secret() -> None:
    webhook = {"id": 1, "secret": "canary-1", "api_token": "canary-2", "is_active": "no"}
    decoded = Decoder(STREAMS["webhooks"]).decode(json.dumps([webhook]).encode(), {})
    (reject,) = decoded.rejects
    assert "canary" not in reject.raw
    assert json.loads(reject.raw)["is_active"] == "no"
    taken = Decoder(STREAMS["webhooks"]).decode(b'[{"id": 1, "api_token": "canary"}]', {})
    assert "canary" not in str(taken.batch.to_pydict())


money = st.decimals(
    min_value=-(10**13), max_value=10**13, places=4, allow_nan=False, allow_infinity=False
)


@given(st.lists(money, min_size=1, max_size=20), st.booleans())
def test_money_survives_to_the_last_digit(amounts: list[Decimal], quoted: bool) -> None:
    mark = '"' if quoted else ""
    rows = ",".join(
        f'{{"id": {n}, "amount_with_iva": {mark}{amount:f}{mark}}}'
        for n, amount in enumerate(amounts)
    )
    decoded = Decoder(STREAMS["documents"]).decode(f"[{rows}]".encode(), WHERE)
    assert decoded.batch.column("amount_with_iva").to_pylist() == amounts


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=6) | st.sampled_from(sorted(DOCUMENT)), inner, max_size=4
        )
    ),
    max_leaves=12,
)
some_row = st.dictionaries(
    st.sampled_from(sorted(DOCUMENT)) | st.text(max_size=6), anything, max_size=8
)
with_id = st.builds(lambda row, id_: row | {"id": id_}, some_row, st.integers(1, 9))


@given(st.lists(with_id | some_row | anything, max_size=6), st.sampled_from(sorted(STREAMS)))
def test_every_row_is_taken_or_rejected_whatever_it_is(page: list[object], name: str) -> None:
    stream = STREAMS[name]
    if stream.is_child:
        stream = STREAMS[stream.parent]
    body = json.dumps(page).encode()
    decoded = Decoder(stream).decode(body, WHERE)
    refused = [r for r in decoded.rejects if r.stream == stream.name]
    assert decoded.batch.num_rows + len(refused) == len(page)


ODD: tuple[Any, ...] = (
    *(None, True, 0, -0.0, 3.0, 3.5, 10**20, 1e300, "", "x", "null", "12.50", "a\0b", '\\ñ"\n'),
    *("2026-03-31", "2026-03-31T09:00:00", "2026-03-31 09:00:00.5-03:00", "76.086.428-k"),
    *([], {}, [None], [{}], {"code": 3}, [{"events": [{"code": "A", "date": "2026-01-01"}]}]),
)
SPELLINGS = ("net_amount", "dte_type", "sender", "document_total", "new", "api_token", "pdf_url")
odd_value = st.sampled_from(ODD)
odd_part = st.dictionaries(
    st.sampled_from([*DOCUMENT, *SPELLINGS, *DOCUMENT["details"][0], "dte_type", "new"]),
    odd_value,
    max_size=3,
)
odd_list = st.lists(st.sampled_from(DOCUMENT["details"]) | odd_part, max_size=3)


@st.composite
def drifted(draw: st.DrawFn) -> dict[str, Any]:
    """A document that lacks some keys and has odd values under others."""
    row = DOCUMENT | {"id": draw(st.integers(1, 9) | st.just("x"))}
    for key in draw(st.lists(st.sampled_from(sorted(DOCUMENT)), max_size=3)):
        row.pop(key, None)
        row |= draw(st.sampled_from([{}, {key: None}]))
    lists = st.fixed_dictionaries({}, optional={"details": odd_list, "references": odd_list})
    return row | draw(lists) | (draw(odd_part) if draw(st.booleans()) else {})


def seen(decoded: list[Decoded]) -> dict[str, list[Any]]:
    """What decoding gave, row by row; of ``_absent`` and ``_extra`` the order is not told."""
    found: dict[str, list[Any]] = {"rejects": [r for d in decoded for r in d.rejects]}
    for each in decoded:
        for name, batch in {"documents": each.batch, **each.children}.items():
            batch.validate(full=True)
            found.setdefault(name, []).extend(batch.to_pylist())
    for row in (row for name in found if name != "rejects" for row in found[name]):
        row["_absent"] = set(row["_absent"].split(","))
        row["_extra"] = json.loads(row["_extra"] or "null")
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(drifted(), max_size=4), min_size=1, max_size=4))
def test_rows_are_the_same_whether_decoded_alone_or_together(pages: list[list[Any]]) -> None:
    rows = [row for page in pages for row in page]
    alone: list[Decoded] = []
    for row in rows:
        done = sum(d.batch.num_rows for d in alone)
        alone.append(Decoder(STREAMS["documents"]).decode(json.dumps([row]).encode(), WHERE, done))
    expected = seen([decode(), *alone])
    decoder = Decoder(STREAMS["documents"])
    bodies = [json.dumps(page, ensure_ascii=False).encode() for page in pages]
    together = decoder.decode_together(bodies, WHERE)
    if expected["rejects"]:
        assert together is None
    else:
        assert together is not None
        assert seen([together]) == expected
    both = seen([decode(*rows, decoder=decoder)])
    by_text = sorted(map(str, both.pop("rejects")))
    assert by_text == sorted(map(str, expected.pop("rejects")))
    assert both == expected


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_type_on_each_side(kind: Kind) -> None:
    assert kind.arrow is not None
    assert kind.duckdb


def test_decoding_never_imports_pandas() -> None:
    code = (
        "import sys; from tupana_etl.arrow.decode import Decoder;"
        "from tupana_etl.streams import STREAMS;"
        "Decoder(STREAMS['documents']).decode(b'[{\"id\": 1, \"amount_iva\": 2}]', {});"
        "sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own line
