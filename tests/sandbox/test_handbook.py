"""docs/sandbox.md tells what the code does, and every lever says what it is for."""

from __future__ import annotations

from pathlib import Path

from tupana_etl.sandbox import app, kinds
from tupana_etl.sandbox.handbook import handbook

DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_the_handbook_is_that_of_the_code() -> None:
    again = "run python -m tupana_etl.sandbox.handbook > docs/sandbox.md"
    assert DOCS.read_text(encoding="utf-8") == handbook(), again


def test_nothing_goes_without_a_word() -> None:
    rows = [line for line in handbook().splitlines() if line.startswith("| `")]
    assert all(line.split(" | ")[-1].strip("| ") for line in rows)
    told = {line.split("`")[1].split(" {")[0].split(" ?")[0] for line in rows}
    assert {f"GET {path}" for path in app.ADMIN_READS} <= told
    assert {f"POST {path}" for path in app.ADMIN_WRITES} <= told
    assert set(kinds.ALL) <= told
