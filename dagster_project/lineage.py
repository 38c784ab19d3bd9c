"""What each column of a model is made of, read from the SQL once for each change of it.

Reading it takes a second or two, and every run of Dagster is a process of its own.
"""

import hashlib
import json
import os
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from tupana_etl.warehouse.declared import declared_columns
from tupana_etl.warehouse.model_files import find_files

Lineage = dict[str, dict[str, list[tuple[str, str]]]]
"""Model → column → table and column of each that it is computed from."""

FILE = ".lineage.json"
"""In the home; whoever deletes it loses nothing but the second."""


@lru_cache(maxsize=1)
def lineage(home: Path) -> Lineage:
    """The lineage of all models. What an earlier run kept in the home answers as long as
    neither a model nor a declared table nor the reader of SQL has changed."""
    path, fingerprint = home / FILE, _fingerprint()
    kept = _kept(path, fingerprint)
    if kept is not None:
        return kept
    found = _from_sql()
    unfinished = path.with_name(f"{FILE}.{os.getpid()}")
    unfinished.write_text(json.dumps({"fingerprint": fingerprint, "lineage": found}))
    unfinished.replace(path)
    return found


@lru_cache(maxsize=1)
def _from_sql() -> Lineage:
    # Rarely needed, and a fifth of a second to load.
    from tupana_etl.warehouse.lineage import column_lineage  # noqa: PLC0415

    return column_lineage(find_files())


@lru_cache(maxsize=1)
def _fingerprint() -> str:
    sql = [(model.name, model.sql) for model in find_files()]
    read_with = [version("sqlglot"), version("tupana-etl")]
    told = json.dumps([sql, sorted(declared_columns().items()), read_with])
    return hashlib.sha256(told.encode()).hexdigest()


def _kept(path: Path, fingerprint: str) -> Lineage | None:
    try:
        told = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("fingerprint") != fingerprint:
        return None
    return {
        model: {name: [(table, column) for table, column in made] for name, made in columns.items()}
        for model, columns in told["lineage"].items()
    }
