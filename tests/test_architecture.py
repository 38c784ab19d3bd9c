"""Who may import whom (design: the rooms), read from the source and not from habit."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]

ORDER = (
    *("errors", "event_loop", "columns", "domain", "settings", "streams", "home"),  # ground floor
    *("api", "arrow", "lake", "warehouse", "outbox", "inbox", "sandbox"),
    *("extract", "pipeline"),  # top floor: the moves of one sync
    *("analysis", "spreadsheet", "export", "reports", "files"),  # and what people hold
    *("__init__", "cli", "__main__"),
)
"""A room imports itself and those before it. ``__init__`` is the library's front door."""

ONLY = {
    "httpx": {"api", "sandbox"},
    "duckdb": {"arrow", "warehouse", "analysis"},
    "pandas": {"analysis"},
    "matplotlib": {"reports"},
    "pyarrow.parquet": {"lake"},
    "sqlite3": {"outbox", "inbox", "sandbox"},
    "adbc_driver_sqlite": set(),  # a second SQLite in the process would drop the ledger's locks
    "apsw": set(),
    "tupana_etl.sandbox": {"sandbox", "cli", "dagster_project"},
    "dagster": {"dagster_project"},
    "dagster_project": {"dagster_project"},
}
"""Who alone may import a package, anywhere in a file, lazily or not."""


def imports(path: Path, package: str) -> Iterator[str]:
    """Dotted names the file imports; ``from a import b`` gives both ``a`` and ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1]
                base = ".".join([*(parents if level else []), *([module] if module else [])])
                yield base
                yield from (f"{base}.{alias.name}" for alias in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name


def within(name: str, package: str) -> bool:
    """``dagster`` stands for its whole family, ``dagster_webserver`` too."""
    if package == "dagster" and name.startswith("dagster_"):
        return not within(name, "dagster_project")
    return name == package or name.startswith(package + ".")


def broken(here: str, names: set[str]) -> Iterator[str]:
    """What is wrong with a file of the room ``here`` that imports ``names``."""
    for package, allowed in ONLY.items():
        if here not in allowed and any(within(name, package) for name in names):
            yield f"may not import {package}"
    if here == "dagster_project":
        if "__future__.annotations" in names:
            yield "may not postpone annotations: Dagster cannot read its config types then"
        return
    if here not in ORDER:
        yield f"is in no known room; give {here} its place in ORDER"
        return
    for name in names:
        top, _, rest = name.partition(".")
        if top != "tupana_etl":
            continue
        room = rest.partition(".")[0] or "__init__"
        if room not in ORDER:  # a name that the package itself defines
            room = "__init__"
        if not rest and any(n.startswith("tupana_etl.") for n in names):
            continue  # the bare half of ``from tupana_etl import room``: the other half counts
        if ORDER.index(room) > ORDER.index(here):
            yield f"imports {room}, which comes after {here}"


def violations(root: Path) -> list[str]:
    """Every broken rule of the tree under ``root``, one line each."""
    found: set[str] = set()
    for top in ("tupana_etl", "dagster_project"):
        for path in sorted((root / top).rglob("*.py")):
            inside = path.relative_to(root / top)
            here = top if top == "dagster_project" else inside.parts[0].removesuffix(".py")
            package = ".".join(path.relative_to(root).parent.parts)
            names = set(imports(path, package))
            found |= {f"{top}/{inside.as_posix()} {what}" for what in broken(here, names)}
    return sorted(found)


def test_the_rooms_import_upstream_only() -> None:
    assert violations(REPO) == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with a file in every room, each keeping the rules."""
    good = {
        "tupana_etl/__init__.py": "from tupana_etl.analysis import connect\n",
        "tupana_etl/errors.py": "",
        "tupana_etl/streams.py": "from tupana_etl.errors import X\n",
        "tupana_etl/api/client.py": "import httpx\nfrom tupana_etl import errors\n",
        "tupana_etl/arrow/decode.py": "import duckdb, msgspec\nfrom . import columns\n",
        "tupana_etl/lake/write.py": "import pyarrow.parquet as pq\n",
        "tupana_etl/warehouse/apply.py": "import duckdb\nfrom tupana_etl.lake.write import x\n",
        "tupana_etl/sandbox/server.py": "import httpx\nfrom tupana_etl.domain import iva\n",
        "tupana_etl/pipeline.py": "from tupana_etl.warehouse import apply\n",
        "tupana_etl/analysis.py": "import duckdb\ndef f():\n    import pandas\n",
        "tupana_etl/cli.py": "from tupana_etl import __version__, pipeline\n"
        "def f():\n    from tupana_etl.sandbox import server\n",
        "dagster_project/definitions.py": "import dagster as dg\nfrom tupana_etl import sync\n",
    }
    for name, source in good.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source, encoding="utf-8")
    return tmp_path


def test_a_tree_that_keeps_the_rules_passes(tree: Path) -> None:
    assert violations(tree) == []


@pytest.mark.parametrize(
    ("file", "source", "what"),
    [
        ("lake/a.py", "from tupana_etl.warehouse import apply", "imports warehouse"),
        ("api/a.py", "from tupana_etl import arrow", "imports arrow"),
        ("api/a.py", "from tupana_etl import connect", "imports __init__"),
        ("api/a.py", "import tupana_etl", "imports __init__"),
        ("api/a.py", "from ..lake import write", "imports lake"),
        ("api/a.py", "from .. import lake", "imports lake"),
        ("errors.py", "def f():\n    import tupana_etl.streams", "imports streams"),
        ("lake/a.py", "if False:\n    import tupana_etl.cli as c", "imports cli"),
        ("pipeline.py", "from tupana_etl.sandbox import server", "may not import tupana_etl.sand"),
        ("__init__.py", "import tupana_etl.sandbox.server", "may not import tupana_etl.sandbox"),
        ("lake/a.py", "import httpx", "may not import httpx"),
        ("pipeline.py", "def f():\n    from httpx import Client", "may not import httpx"),
        ("lake/a.py", "import duckdb", "may not import duckdb"),
        ("cli.py", "import importlib\nimportlib.import_module('duckdb')", "may not import duckdb"),
        ("cli.py", "__import__('pandas')", "may not import pandas"),
        ("warehouse/a.py", "def f():\n    import pandas as pd", "may not import pandas"),
        ("warehouse/a.py", "import pyarrow.parquet", "may not import pyarrow.parquet"),
        ("cli.py", "from pyarrow import parquet as pq", "may not import pyarrow.parquet"),
        ("lake/a.py", "import adbc_driver_sqlite", "may not import adbc_driver_sqlite"),
        ("cli.py", "import sqlite3", "may not import sqlite3"),
        ("cli.py", "import dagster", "may not import dagster"),
        ("cli.py", "from dagster_webserver import x", "may not import dagster"),
        ("cli.py", "from dagster_project.definitions import d", "may not import dagster_project"),
        ("utils.py", "", "is in no known room"),
        ("../dagster_project/a.py", "import httpx", "may not import httpx"),
        ("../dagster_project/a.py", "import duckdb", "may not import duckdb"),
        ("../dagster_project/a.py", "from __future__ import annotations", "may not postpone"),
    ],
)
def test_a_planted_violation_is_caught(tree: Path, file: str, source: str, what: str) -> None:
    path = (tree / "tupana_etl" / file).resolve()
    path.write_text(source + "\n", encoding="utf-8")
    found = violations(tree)
    assert len(found) == 1
    assert found[0].startswith(path.relative_to(tree.resolve()).as_posix())
    assert what in found[0]
