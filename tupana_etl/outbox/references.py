"""References of a document: what notes must say of the document they adjust."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

from tupana_etl.outbox import cells
from tupana_etl.outbox.contract import (
    ANNULS,
    MAX_REFERENCES,
    REFERENCE_FIELDS,
    Column,
    TypeRule,
)
from tupana_etl.outbox.reasons import Problem, Unfit

EXEMPT_TYPES = frozenset({"34", "41", "110", "111", "112"})
"""A note about one of these bears no IVA."""

_KIND = Column("dte_type_code of a reference", "code", "", limit=3)
_FOLIO = Column("reference_folio", "code", "", limit=18)
_DATE = Column("reference_date", "date", "")
_REASON = Column("reference_reason", "text", "", limit=90)

Reference = dict[str, Any]


def read(rule: TypeRule, given: list[Any] | None) -> tuple[list[Reference], list[Problem]]:
    """The references as they are sent, and what is wrong with them."""
    found, problems = [], []
    for item in given or []:
        try:
            found.append(_one(rule, item))
        except Unfit as unfit:
            problems.append(unfit.problem)
    if not problems:
        problems += [Problem("references", sentence) for sentence in _wrong(rule, found)]
    return found, problems


def _one(rule: TypeRule, item: Any) -> Reference:
    if not isinstance(item, dict):
        raise Unfit("references", "Each reference is a JSON object.")
    unknown = sorted(set(item) - REFERENCE_FIELDS)
    if unknown:
        raise Unfit(
            "references",
            f"A reference has no field {', '.join(unknown)}; it has "
            f"{', '.join(sorted(REFERENCE_FIELDS))}.",
        )
    needed = (
        REFERENCE_FIELDS if rule.references == "needed" else REFERENCE_FIELDS - {"reference_reason"}
    )
    empty = sorted(name for name in needed if cells.is_empty(item.get(name)))
    if empty:
        hint = (
            f" To annul the whole document it is {ANNULS!r}; else say what is corrected."
            if empty == ["reference_reason"]
            else ""
        )
        raise Unfit("references", f"A reference lacks {', '.join(empty)}.{hint}")
    folio = cells.read(_FOLIO, item["reference_folio"])
    made: Reference = {
        "dte_type_code": cells.read(_KIND, item["dte_type_code"]),
        # The schema says a whole number; purchase orders and the like are not.
        "reference_folio": int(folio) if folio.isdecimal() and folio[0] != "0" else folio,
        "reference_date": cells.read(_DATE, item["reference_date"]).isoformat(),
    }
    if not cells.is_empty(item.get("reference_reason")):
        made["reference_reason"] = cells.read(_REASON, item["reference_reason"])
    return made


def _wrong(rule: TypeRule, found: list[Reference]) -> Iterator[str]:
    if rule.references == "needed" and not found:
        yield f"A {rule.code} ({rule.name}) must refer to the document it adjusts."
    if len(found) > MAX_REFERENCES:
        yield f"{len(found)} references; a DTE holds {MAX_REFERENCES}."
    reasons = [r.get("reference_reason", "") for r in found]
    if any(_plain(r) == _plain(ANNULS) and r != ANNULS for r in reasons):
        yield f"To annul a document the API wants the reason written exactly: {ANNULS!r}."
    elif rule.references == "needed" and ANNULS in reasons and len(found) != 1:
        yield "A note that annuls a document refers to exactly that one."


def _plain(text: str) -> str:
    bare = unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()
    return " ".join(bare.upper().replace(".", " ").split())
