"""Values as the UI shows them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from dagster_project.metadata import markdown, plain, readable
from tupana_etl.streams import STREAMS


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        (True, "yes"),
        (False, "no"),
        (1234567, "1,234,567"),
        (Decimal("119000.0000"), "119,000"),
        (Decimal("1000.2500"), "1,000.25"),
        (Decimal("-0.5000"), "-0.5"),
        (Decimal("0.0000"), "0"),
        (date(2026, 11, 23), "2026-11-23"),
        (datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC), "2026-11-23 04:05"),
        ("a|b\nc", "a\\|b c"),
        ("x" * 60, "x" * 27 + "…"),
    ],
)
def test_a_value_as_text(value: object, shown: str) -> None:
    assert plain(value) == shown


def test_a_table_of_nothing_is_still_a_table() -> None:
    assert markdown(["a", "b"], []) == "| a | b |\n| --- | --- |"


def test_a_preview_shows_no_presigned_url() -> None:
    assert "pdf" not in readable(STREAMS["documents"].columns)
    assert "aec_url" not in readable(STREAMS["cessions"].columns)
