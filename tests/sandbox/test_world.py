"""The world holds together: sums, RUTs, references, books, whatever the seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from random import Random

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tupana_etl import domain
from tupana_etl.columns import Kind
from tupana_etl.sandbox import amounts, dates
from tupana_etl.sandbox.model import CLAIM_CODES, Content, Document, World
from tupana_etl.sandbox.notes import ANNULS
from tupana_etl.sandbox.world import generate
from tupana_etl.streams import STREAMS

from .helpers import SMALL, TODAY, every_document, truth


@pytest.fixture(scope="module")
def content() -> Content:
    return generate(World(documents=3000, months=24, seed=5, today=TODAY))


def _check_sums(d: Document) -> None:
    lines = sum(Decimal(x.item_total or 0) for x in d.lines)
    assert lines == d.net + d.exempt, d.id
    has_iva = domain.DTE_TYPES[d.dte_type].has_iva
    assert d.iva == (domain.iva(int(d.net)) if has_iva else 0)
    assert d.total == d.net + d.exempt + (0 if d.dte_type == "46" else d.iva)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    documents=st.integers(0, 150),
    companies=st.integers(0, 4),
    months=st.integers(1, 30),
    today=st.dates(date(2021, 1, 1), date(2028, 12, 31)),
)
@example(seed=1, documents=150, companies=2, months=30, today=date(2021, 1, 1))
def test_any_world_holds_together(
    seed: int, documents: int, companies: int, months: int, today: date
) -> None:
    content = generate(World(documents, companies, months, seed, today))
    assert sum(e.own for e in content.entities) == companies
    assert len(content.documents) == (documents if companies else 0)
    for d in content.documents:
        _check_sums(d)
        assert d.created_at <= d.updated_at
        assert (d.folio is None) == (d.state in {"draft", "failed"})
        assert d.has_trace or not d.events
        assert all(e.at <= dates.end_of(today) for e in d.events)
    assert all(domain.valid_rut(e.rut) for e in content.entities)
    ids = [d.id for d in content.documents]
    assert len(set(ids)) == len(ids)


def test_the_mix(content: Content) -> None:
    count = Counter(d.dte_type for d in content.documents)
    share = {code: n / len(content.documents) for code, n in count.items()}
    assert share["33"] == pytest.approx(0.75, abs=0.03)
    assert share["34"] == pytest.approx(0.08, abs=0.01)
    assert share["61"] == pytest.approx(0.08, abs=0.001)
    assert set(count) == {"33", "34", "39", "46", "52", "56", "61", "80", "90", "110"}
    states = Counter(d.state for d in content.documents)
    own = {e.rut for e in content.entities if e.own}
    assert all(d.sender.rut in own for d in content.documents if d.state != "issued")
    assert (states["draft"], states["failed"], states["rejected"]) == (3, 1, 1)
    assert [d.date_issued - TODAY for d in content.documents if d.date_issued > TODAY] == [
        timedelta(days=3)
    ]


def test_money_moves_as_it_does(content: Content) -> None:
    traced = [d for d in content.documents if d.has_trace]
    claimed = [d for d in traced if d.has_claims]
    assert 0.005 < len(claimed) / len(traced) < 0.03
    assert not any(d.is_paid for d in claimed)
    for d in claimed:
        at = next(e.at for e in d.events if e.code in CLAIM_CODES)
        assert d.received_at is not None
        assert at <= d.received_at + timedelta(days=8)
    credit = [d for d in traced if d.payment_method == "2"]
    assert len(credit) / len(traced) == pytest.approx(0.86, abs=0.03)
    old = [d for d in credit if d.date_issued < TODAY - timedelta(days=400)]
    assert 0.75 < sum(d.is_paid for d in old) / len(old) < 0.9


def test_cessions_are_possible(content: Content) -> None:
    by_id = {d.id: d for d in content.documents}
    assert {c.status for c in content.cessions} >= {"success", "rejected"}
    assert {c.source for c in content.cessions} == {"internal", "external"}
    for c in content.cessions:
        d = by_id[c.document_id]
        assert d.dte_type in {"33", "34"}
        assert d.payment_method == "2"
        assert not d.has_claims
        assert c.amount <= d.total
    assert max(Counter(c.document_id for c in content.cessions).values()) == 2


def test_notes_refer_to_an_earlier_document(content: Content) -> None:
    by_key = {(d.sender.rut, d.dte_type, d.folio): d for d in content.documents if d.folio}
    codes: Counter[str | None] = Counter()
    for note in [d for d in content.documents if d.dte_type in {"56", "61"}]:
        (reference,) = note.references
        original = by_key[
            note.sender.rut, reference.dte_type_code or "", reference.reference_folio or ""
        ]
        assert original.receiver.rut == note.receiver.rut
        assert original.date_issued.isoformat() == reference.reference_date
        assert original.date_issued <= note.date_issued
        codes[reference.reference_code] += 1
        if reference.reference_code == "1":
            assert note.total == original.total
            assert note.date_issued - original.date_issued <= timedelta(days=8)
            assert reference.reference_reason == ANNULS
        if reference.reference_code == "2":
            assert note.total == 0
        assert note.dte_type == "56" or original.has_credit_note
        assert note.total <= original.total
    assert min(codes["1"], codes["2"], codes["3"]) > 5


def test_folios_are_unique_per_issuer_and_type(content: Content) -> None:
    keys = [(d.sender.rut, d.dte_type, d.folio) for d in content.documents if d.folio]
    assert len(set(keys)) == len(keys)


def test_own_folios_rise_with_the_date(content: Content) -> None:
    own = {e.rut for e in content.entities if e.own}
    series: dict[tuple[str, str], list[tuple[int, date]]] = defaultdict(list)
    for d in content.documents:
        if d.folio and d.sender.rut in own and d.date_issued <= TODAY:
            series[d.sender.rut, d.dte_type].append((int(d.folio), d.date_issued))
    for found in series.values():
        assert all(a[1] <= b[1] for a, b in pairwise(sorted(found)))


def test_honorarios_withhold_the_year_s_rate(content: Content) -> None:
    fees = [d for d in content.documents if d.dte_type in {"80", "90"}]
    assert {d.retention_type for d in fees} == {"RETRECEPTOR", "RETCONTRIBUYENTE"}
    for d in fees:
        year = d.date_issued.year
        assert d.retention == domain.honorarios_retention(int(d.total), year)


def test_month_ends_are_busy() -> None:
    days = dates.days(TODAY, 24)
    assert len(days.days) == 732
    picked = Counter(d.day for d in dates.pick(Random(1), days, 20_000))
    assert sum(picked[d] for d in (27, 28)) > 1.8 * sum(picked[d] for d in (9, 10))


def test_truth_uses_the_streams_columns(api: httpx.Client) -> None:
    for name, stream in STREAMS.items():
        rows = truth(api, name)
        assert rows, name
        kinds = {c.name: c.kind for c in stream.columns}
        for row in rows:
            assert set(row) <= set(kinds), name
            for column, value in row.items():
                if value is not None and kinds[column] in {Kind.ID, Kind.MONEY, Kind.DATE}:
                    assert isinstance(value, str), (name, column, value)
                if value is not None and kinds[column] is Kind.TIME:
                    assert datetime.fromisoformat(value).utcoffset() == timedelta(0)
                if value is not None and kinds[column] is Kind.RUT:
                    assert domain.canonical_rut(value) == value


def test_truth_has_no_key_twice(api: httpx.Client) -> None:
    for name, stream in STREAMS.items():
        keys = [tuple(row[k] for k in stream.key) for row in truth(api, name)]
        assert len(set(keys)) == len(keys), name


def test_documents_between_own_companies_have_one_id(api: httpx.Client) -> None:
    sides: dict[str, set[str]] = defaultdict(set)
    for row in truth(api, "documents"):
        sides[row["id"]].add(row["document_type"])
    assert 1 <= sum(len(s) == 2 for s in sides.values()) < SMALL.documents / 10


def test_books_agree_with_the_documents(api: httpx.Client) -> None:
    """Counted again from truth's documents, by another road than ``books`` takes."""
    expected: dict[tuple[str, str, str, str], list[Decimal]] = {}
    received_on = _reception_months(api)
    for row in truth(api, "documents"):
        side = _book(row["document_type"], row["dte_type_code"])
        if row["state"] != "issued" or side is None:
            continue
        month = row["date_issued"][:7] if side == "VENTA" else received_on[row["id"]]
        key = (row["master_entity_id"], month.replace("-", ""), side, row["dte_type_code"])
        rate = Decimal(row["exchange_rate"] or 1)
        sums = expected.setdefault(key, [Decimal(0)] * 5)
        names = ("amount_without_iva", "amount_exempt", "amount_iva", "amount_with_iva")
        values = [amounts.half_up(Decimal(row[n]) * rate) for n in names]
        expected[key] = [a + b for a, b in zip(sums, [Decimal(1), *values], strict=True)]
    found = {
        (r["master_entity_id"], r["period"], r["operation"], r["dte_type_code"]): [
            Decimal(r[n])
            for n in ("total_docs", "net_amount", "exempt_amount", "vat_amount", "total_amount")
        ]
        for r in truth(api, "book_summaries")
    }
    assert found == expected


def _book(direction: str, dte_type: str) -> str | None:
    if dte_type in {"52", "80", "90"}:
        return None
    if direction == "issued":
        return "COMPRA" if dte_type == "46" else "VENTA"
    return "COMPRA" if dte_type in {"33", "34", "56", "61"} else None


def _reception_months(api: httpx.Client) -> dict[str, str]:
    """Month of acuse as /documents tells it in book_metadata."""
    return {
        str(row["id"]): row["book_metadata"]["reception_date"][:7]
        for _, _, row in every_document(api, include_book_metadata="true")
        if row["book_metadata"] is not None
    }
