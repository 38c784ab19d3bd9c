"""docs/issuing.md names every fault, every test it leans on, and every state there is."""

from __future__ import annotations

import re
from pathlib import Path

from tupana_etl.outbox.states import State

REPO = Path(__file__).parents[2]
DOC = (REPO / "docs" / "issuing.md").read_text(encoding="utf-8")
TESTS = {
    name
    for path in (REPO / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
}
FAULTS = re.findall(r"^\| (\d+) \| (.+?) \| (.+?) \| (.+) \|$", DOC, re.MULTILINE)


def test_every_fault_has_a_test_or_a_reason() -> None:
    assert [int(number) for number, *_ in FAULTS] == list(range(1, 97))
    for number, _, _, held in FAULTS:
        reason = re.sub(r"`test_\w+`", "", held).strip(" ,;")
        assert "`test_" in held or len(reason) > 10, number


def test_every_test_named_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", DOC))
    assert named - TESTS == set()


def test_every_state_is_explained() -> None:
    assert [state for state in State if state not in DOC] == []
