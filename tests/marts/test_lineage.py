"""Column lineage and the data dictionary, read from the SQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tupana_etl.errors import ModelError
from tupana_etl.warehouse.dictionary import dictionary
from tupana_etl.warehouse.lineage import Lineage, column_lineage
from tupana_etl.warehouse.model_files import find_files, find_models

from .test_models import models

DICTIONARY = Path(__file__).parents[2] / "docs" / "data-dictionary.md"


def lineage(root: Path, **files: str) -> Lineage:
    return column_lineage(find_files(models(root, **files)))


def test_through_ctes_windows_unions_and_macros(tmp_path: Path) -> None:
    found = lineage(
        tmp_path,
        staging__a="-- A.\n-- x: X.\n-- y: Y.\n"
        "WITH c AS (SELECT id AS i, folio AS f, amount_iva FROM raw.documents)\n"
        "SELECT i AS x, coalesce(f, 'none') AS y FROM c UNION ALL SELECT id, 'k' FROM raw.webhooks",
        macros__m="-- M.\n-- $day: Day.\n-- z: Z.\n-- n: N.\n"
        "SELECT x || y AS z, sum(1) OVER w AS n FROM staging.a WHERE x > day "
        "WINDOW w AS (PARTITION BY y)",
        marts__b="-- B.\n-- z: Z.\n-- n: N.\n-- k: K.\nSELECT *, 1 AS k FROM marts.m('x')",
    )
    documents = "raw.documents"
    assert found == {
        "staging.a": {
            "x": [(documents, "id"), ("raw.webhooks", "id")],
            "y": [(documents, "folio")],
        },
        "marts.b": {
            "z": [("staging.a", "x"), ("staging.a", "y")],
            "n": [("staging.a", "y")],
            "k": [],
        },
    }


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    root = models(tmp_path, marts__a="-- A.\n-- x: X.\nSELECT x FROM raw.documents")
    (model,) = find_files(root)
    broken = type(model)(model.name, model.path, "SELECT FROM FROM", "A.", {}, ())
    with pytest.raises(ModelError, match=r"a\.sql:1:1: no lineage"):
        column_lineage([broken])


def test_every_column_of_the_real_models_is_traced() -> None:
    found = column_lineage(find_files())
    assert {m.name: set(m.columns) for m in find_models()} == {k: set(v) for k, v in found.items()}
    known = {(t, c) for t, columns in found.items() for c in columns}
    for table, columns in found.items():
        for origins in columns.values():
            for origin in origins:
                made_here = origin[0].split(".")[0] in ("staging", "marts")
                assert not made_here or origin in known, (table, origin)
    assert ("raw.documents", "amount_with_iva") in found["staging.both_sides"]["amount_with_iva"]
    # what has no origin is a count, a constant or the calendar
    bare = {c for columns in found.values() for c, origins in columns.items() if not origins}
    assert bare <= {
        "as_of", "as_of_time", "documents", "docs_ours", "schedules", "cessions", "paid_documents",
        "purchases_without_month", "period_basis", "has_recourse", "check_name", "severity", "role",
        "is_cycle", "message", "proof",
    }  # fmt: skip


def test_the_dictionary_is_current() -> None:
    text = dictionary()
    assert DICTIONARY.read_text(encoding="utf-8") == text, (
        "run: python -m tupana_etl.warehouse.dictionary > docs/data-dictionary.md"
    )
    assert all(f"### {m.name}\n" in text for m in find_models())
