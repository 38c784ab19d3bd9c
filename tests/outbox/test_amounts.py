"""Amounts, grouping and bytes hold for any rows, not only for those we thought of."""

from __future__ import annotations

import csv
import io
import json
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tupana_etl import domain
from tupana_etl.outbox import amounts, sources
from tupana_etl.outbox.amounts import Line
from tupana_etl.outbox.cells import EXACT_JSON
from tupana_etl.outbox.contract import COLUMNS

from .documents import BASE, one, read, row

quantities = st.decimals(Decimal("0.000001"), Decimal(10**5), places=6)
prices = st.decimals(0, Decimal(10**9), places=6)
discounts = st.one_of(st.just(Decimal(0)), st.decimals(0, 100, places=2))
lines = st.lists(
    st.builds(Line, quantities, prices, discounts, st.booleans()), min_size=1, max_size=8
)
DAY = domain.today().replace(year=2026)


def half_up(value: Fraction) -> int:
    """The textbook's: the nearest whole number, a half goes up."""
    return int((value * 2 + 1) // 2)


@given(quantities, prices, discounts)
def test_a_line_is_rounded_once_and_exactly(
    quantity: Decimal, price: Decimal, discount: Decimal
) -> None:
    exact = Fraction(quantity) * Fraction(price) * (100 - Fraction(discount)) / 100
    assert amounts.line_total(Line(quantity, price, discount)) == half_up(exact)


@given(lines)
def test_net_exempt_and_iva_make_the_total(given_lines: list[Line]) -> None:
    made = amounts.totals("33", given_lines, DAY)
    rounded = [amounts.line_total(line) for line in given_lines]
    assert made.net + made.exempt == sum(rounded)
    assert made.iva == half_up(Fraction(made.net) * 19 / 100)
    assert made.total == made.net + made.exempt + made.iva
    withheld = amounts.totals("46", given_lines, DAY, vat_withheld=True)
    assert withheld.total == made.net + made.exempt
    assert withheld.withheld == made.iva


@given(lines)
def test_prices_with_iva_keep_what_the_customer_pays(given_lines: list[Line]) -> None:
    made = amounts.totals("39", given_lines, DAY, gross=True)
    assert made.total == sum(amounts.line_total(line) for line in given_lines)
    assert made.net + made.iva + made.exempt == made.total
    assert made.net == half_up(Fraction(made.net + made.iva) * 100 / 119)


@given(st.integers(0, 10**12), st.integers(2019, 2035))
def test_the_retention_is_that_of_the_year(gross: int, year: int) -> None:
    day = DAY.replace(year=year)
    made = amounts.totals("80", [Line(Decimal(1), Decimal(gross))], day)
    rate = Fraction(domain.honorarios_rate(year))
    assert (int(made.total), int(made.withheld)) == (gross, half_up(gross * rate))


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_float_is_taken_exactly_or_not_at_all(value: float) -> None:
    draft = one(row(quantity=value))
    if draft.payload is None:
        assert draft.problems
        return
    sent = json.loads(draft.payload, parse_float=Decimal, parse_int=Decimal)
    assert sent["details"][0]["quantity"] == Decimal(repr(value))


@given(
    st.dictionaries(
        st.sampled_from(sorted(COLUMNS)),
        st.one_of(
            st.none(),
            st.text(max_size=30),
            st.integers(),
            st.floats(),
            st.decimals(),
            st.booleans(),
            st.dates(),
            st.lists(st.integers(), max_size=2),
            st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
        ),
    )
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_anywhere_is_a_document_or_a_sentence(changes: dict[str, Any]) -> None:
    for draft in read(BASE | changes):
        if draft.payload is None:
            assert draft.problems
            assert draft.reason.isprintable()
        else:
            assert draft.totals is not None
            assert 0 < draft.totals.total <= EXACT_JSON


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 30)), min_size=1), st.randoms())
def test_every_row_is_in_exactly_one_draft(keys: list[tuple[int, int]], shuffler: Any) -> None:
    rows = [
        row(row_key=f"k{key}", line_number=number, item_name=f"{number}") for key, number in keys
    ]
    made = {draft.row_key: draft for draft in read(*rows)}
    assert set(made) == {f"k{key}" for key, _ in keys}
    for key, draft in made.items():
        numbers = [n for k, n in keys if f"k{k}" == key]
        if len(set(numbers)) < len(numbers):
            assert {p.code for p in draft.problems} == {"duplicate_row_key"}
        else:
            sent = json.loads(draft.payload or b"")
            assert [int(d["item_name"]) for d in sent["details"]] == sorted(numbers)
    shuffler.shuffle(rows)
    assert {d.row_key: d.sha256 for d in read(*rows)} == {k: d.sha256 for k, d in made.items()}


cell = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\0"),
    max_size=12,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv")


@given(rows=st.lists(st.lists(cell, min_size=9, max_size=9), max_size=6), sep=st.sampled_from(",;"))
@example(rows=[["line\u2028separator", *"bcdefghi"]], sep=";")
def test_a_csv_gives_what_was_written(folder: Path, rows: list[list[str]], sep: str) -> None:
    columns = [*(c.name for c in COLUMNS.values() if c.always), "unit", "item_code"]
    text = io.StringIO()
    writer = csv.writer(text, delimiter=sep)
    writer.writerows([columns, *rows])
    path = folder / "rows.csv"
    path.write_text(text.getvalue(), encoding="utf-8-sig", newline="")
    found = [list(r.values()) for _, r in sources.read(str(path), folder / "none", folder).rows]
    assert found == [r for r in rows if any(c.strip() for c in r)]


def test_half_up_is_not_half_even() -> None:
    """The textbook case: 150 × 19 % = 28.5."""
    assert amounts.totals("33", [Line(Decimal(1), Decimal(150))], DAY).iva == 29
    assert Decimal("28.5").quantize(Decimal(1), ROUND_HALF_UP) == 29
