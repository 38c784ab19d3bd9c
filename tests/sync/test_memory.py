"""Reading stays small whatever there is to read: the bound is 400 MB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCALE = Path(__file__).parents[2] / "bench" / "scale.py"


@pytest.mark.long
def test_reading_a_hundred_thousand_documents_stays_below_400_mb() -> None:
    phases = "intake,apply,intake again"
    asked = ["--documents", "100000", "--latency", "0", "--phases", phases, "--json"]
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(SCALE), *asked], capture_output=True, text=True, check=True
    )
    first, applied, again = (json.loads(line) for line in done.stdout.splitlines())
    assert first["complete"]
    assert again["complete"]
    assert first["rows"] == applied["rows"] == again["rows"] > 100_000
    assert first["peak_mb"] < 400
    assert again["peak_mb"] < 400
    assert applied["peak_mb"] < 800
