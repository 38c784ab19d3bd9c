"""RUT, IVA and retention against independent oracles."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.cl import rut as oracle

from tupana_etl import domain

ANY_BODY = st.integers(1, 99_999_999)
ORACLE_BODY = st.integers(1_000_000, 99_999_999)
"""python-stdnum's ``validate`` knows only bodies of 7 and 8 digits."""

WRONG_DIGITS = {"76543210-1": "3", "76111111-1": "6", "12345678-9": "5", "76123456-7": "0"}
"""RUTs printed in the vendor's documentation whose check digit is wrong, with the right one."""

quick = settings(deadline=None)


def half_up(value: Decimal) -> int:
    return int(value.quantize(Decimal(1), ROUND_HALF_UP))


@quick
@given(ANY_BODY)
def test_check_digit_equals_the_oracles(body: int) -> None:
    assert domain.check_digit(body) == oracle.calc_check_digit(str(body))


@quick
@given(ORACLE_BODY, st.sampled_from("0123456789K"))
def test_validity_equals_the_oracles_within_its_limits(body: int, digit: str) -> None:
    assert domain.valid_rut(f"{body}-{digit}") == oracle.is_valid(f"{body}-{digit}")


@pytest.mark.parametrize(("low", "high"), [(1, 999_999), (1_000_000, 99_999_999)])
def test_the_ends_of_each_range_are_valid_for_both(low: int, high: int) -> None:
    for body in (low, high):
        rut = f"{body}-{domain.check_digit(body)}"
        assert domain.valid_rut(rut)
        if not oracle.is_valid(rut):
            assert len(str(body)) < 7
            pytest.skip(f"python-stdnum refuses bodies below 7 digits, so no oracle for {rut}")


@quick
@given(ANY_BODY, st.integers(0, 4), st.sampled_from(["", "CL", "cl "]))
def test_every_way_to_write_a_rut_is_one_rut(body: int, zeros: int, prefix: str) -> None:
    digit = domain.check_digit(body)
    canonical = f"{body}-{digit}"
    ways = (
        canonical,
        f"{body}{digit}",
        f"{body:,}-{digit}".replace(",", "."),
        f"{body} - {digit.lower()}",
        f"{body}–{digit}",
        f"\t{'0' * zeros}{body}-{digit.lower()}\n",
    )
    assert {domain.canonical_rut(prefix + way) for way in ways} == {canonical}
    assert domain.canonical_rut(canonical) == canonical
    assert domain.valid_rut(prefix + canonical)


@quick
@given(ANY_BODY, st.integers(1, 10))
def test_exactly_one_check_digit_is_right(body: int, turn: int) -> None:
    digits = "0123456789K"
    right = domain.check_digit(body)
    wrong = digits[(digits.index(right) + turn) % len(digits)]
    assert not domain.valid_rut(f"{body}-{wrong}")
    assert domain.canonical_rut(f"{body}-{wrong}") == f"{body}-{wrong}", "flagged, never dropped"


@quick
@given(st.text(max_size=14))
def test_no_text_breaks_it(text: str) -> None:
    rut = domain.canonical_rut(text)
    assert rut is None or domain.canonical_rut(rut) == rut
    assert not domain.valid_rut(text) or rut is not None


@pytest.mark.parametrize(
    "text", ["", "-", "K", "0-0", "123456789-0", "76086428-X", "76.086.428-55", "K6086428-5", "٧-٧"]
)
def test_what_has_not_the_shape_is_no_rut(text: str) -> None:
    assert domain.canonical_rut(text) is None
    assert not domain.valid_rut(text)


@pytest.mark.parametrize(("rut", "right"), WRONG_DIGITS.items())
def test_wrong_digits_of_the_vendors_documentation(rut: str, right: str) -> None:
    assert not domain.valid_rut(rut)
    assert domain.valid_rut(rut[:-1] + right)


@pytest.mark.parametrize(
    "rut",
    [
        *("76543210-3", "77777777-7", "11111111-1", "76.086.428-5"),
        *(domain.FOREIGN_RECEIVER, domain.UNIDENTIFIED_RECEIVER),
    ],
)
def test_valid_ruts(rut: str) -> None:
    assert domain.valid_rut(rut)


@quick
@given(st.integers(0, 10**15))
def test_iva_is_rounded_half_up_to_the_peso(net: int) -> None:
    assert domain.iva(net) == half_up(Decimal(net) * domain.IVA_PERCENT / 100)


def test_iva_where_half_even_would_be_a_peso_short() -> None:
    assert domain.iva(50) == 10  # 9.5
    assert domain.iva(150) == 29  # 28.5: round() says 28
    assert domain.iva(0) == 0


@pytest.mark.parametrize(
    ("year", "percent"),
    [
        *((2019, "10"), (2020, "10.75"), (2021, "11.5"), (2022, "12.25"), (2023, "13")),
        *((2024, "13.75"), (2025, "14.5"), (2026, "15.25"), (2027, "16"), (2028, "17")),
        *((2029, "17"), (2040, "17")),
    ],
)
def test_retention_of_each_year(year: int, percent: str) -> None:
    assert domain.honorarios_rate(year) == Decimal(percent) / 100


def test_retention_before_the_law_is_unknown() -> None:
    with pytest.raises(KeyError):
        domain.honorarios_rate(2018)


def test_retention_of_the_published_example() -> None:
    assert domain.honorarios_retention(500_000, 2026) == 76_250


@quick
@given(st.integers(0, 10**12), st.integers(2019, 2035))
def test_retention_is_rounded_half_up(gross: int, year: int) -> None:
    expected = half_up(gross * domain.honorarios_rate(year))
    assert domain.honorarios_retention(gross, year) == expected


@pytest.mark.parametrize("code", domain.DTE_TYPES)
def test_document_types_are_coherent(code: str) -> None:
    dte = domain.DTE_TYPES[code]
    assert dte.code == code
    assert dte.name
    assert dte.book_sign in (-1, 0, 1)
    assert (dte.book_sign == -1) == (code in {"61", "112"})
    assert dte.issuer_is_seller == (code not in {"46", "90"})
    assert dte.is_export == (code in {"110", "111", "112"})
    assert not (dte.is_note and (dte.cedible or dte.claimable))
    assert not (dte.is_export and dte.has_iva)
