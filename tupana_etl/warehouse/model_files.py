"""Reads the SQL model files: header, dependencies, order, and where an error stands."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb

from tupana_etl.errors import ModelError

SCHEMAS = ("staging", "marts")
"""Folders of ``sql/`` that are models; ``sql/outbox`` is read by the outbox."""

MACROS = "macros"
"""Folder of table macros: ``sql/macros/x.sql`` is called as ``marts.x(…)``."""

_COLUMN = re.compile(r"([a-z_][a-z0-9_]*): (\S.*)")
_PARAMETER = re.compile(r"\$([a-z_][a-z0-9_]*)(?: = ([^:]+))?: (\S.*)")
_LINE = re.compile(r"^LINE (\d+): ", re.MULTILINE)


@dataclass(frozen=True)
class Parameter:
    """An argument of a macro: ``-- $name = default: description`` in its header."""

    name: str
    default: str | None
    """As SQL; None when the caller must say it."""
    doc: str


@dataclass(frozen=True)
class Model:
    """One SQL file: the table or macro it makes, what it says of it, what it reads."""

    name: str
    path: Path
    sql: str
    description: str
    columns: dict[str, str]
    depends_on: tuple[str, ...]
    parameters: tuple[Parameter, ...] = ()
    """Of a macro; a model that makes a table has none."""

    @property
    def is_macro(self) -> bool:
        return self.path.parent.name == MACROS

    @property
    def schema(self) -> str:
        return self.name.split(".")[0]


def find_models(root: Path | None = None) -> list[Model]:
    """Every model that makes a table, each after the tables it reads.

    What a model reads through a macro it depends on itself.
    """
    found = find_files(root)
    seen: dict[str, set[str]] = {}
    models = []
    for model in found:
        reads = {d for name in model.depends_on for d in seen.get(name, {name})}
        if model.is_macro:
            seen[model.name] = reads
        else:
            models.append(replace(model, depends_on=tuple(sorted(reads))))
    return models


def find_files(root: Path | None = None) -> list[Model]:
    """Every model and macro, each after what it reads; the same order every time."""
    folder = root or _default_root()
    paths = [p for schema in (*SCHEMAS, MACROS) for p in sorted((folder / schema).glob("*.sql"))]
    if not paths:
        raise ModelError(f"{folder}: no SQL models here; is the package installed whole?")
    models = {m.name: m for m in (_read(p, p.read_text(encoding="utf-8")) for p in paths)}
    for model in models.values():
        for name in model.depends_on:
            if name.split(".")[0] in SCHEMAS and name not in models:
                line, column = _position(model.sql, model.sql.find(name))
                raise ModelError(f"{model.path}:{line}:{column}: no model makes {name}.")
    graph = {name: [d for d in m.depends_on if d in models] for name, m in models.items()}
    try:
        return [models[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        ring = " → ".join(error.args[1])
        raise ModelError(
            f"{models[error.args[1][0]].path}:1:1: models in a ring: {ring}."
        ) from None


def upstream(models: list[Model], wanted: Collection[str]) -> list[Model]:
    """The wanted ones of ordered models and all that they read, in the same order."""
    needed = set(wanted)
    for model in reversed(models):
        if model.name in needed:
            needed.update(model.depends_on)
    return [m for m in models if m.name in needed]


def _default_root() -> Path:
    package = Path(__file__).parents[1]
    installed = package / "_sql"
    return installed if installed.is_dir() else package.parent / "sql"


@lru_cache(maxsize=512)
def _read(path: Path, text: str) -> Model:
    sql = text.rstrip().rstrip(";")
    description, columns, parameters = _header(sql, path)
    schema = "marts" if path.parent.name == MACROS else path.parent.name
    name = f"{schema}.{path.stem}"
    tables = _dependencies(path, sql)
    return Model(name, path, sql, description, columns, tables, parameters)


def _header(sql: str, path: Path) -> tuple[str, dict[str, str], tuple[Parameter, ...]]:
    description: list[str] = []
    columns: dict[str, str] = {}
    parameters: list[Parameter] = []
    for line in sql.splitlines():
        if not line.startswith("--"):
            break
        text = line.removeprefix("--").strip()
        found = _COLUMN.fullmatch(text)
        argument = _PARAMETER.fullmatch(text)
        if argument:
            parameters.append(Parameter(argument[1], argument[2], argument[3]))
        elif found:
            columns[found[1]] = found[2]
        elif columns:
            last = next(reversed(columns))
            columns[last] = f"{columns[last]} {text}"
        else:
            description.append(text)
    if not description or not columns:
        raise ModelError(f"{path}:1:1: a description and `-- column: …` lines must come first.")
    return " ".join(description), columns, tuple(parameters)


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    """One for all files: each database of its own would cost more than the parsing."""
    return duckdb.connect(config={"threads": 1})


def _dependencies(path: Path, sql: str) -> tuple[str, ...]:
    with _parser().cursor() as con:
        row = con.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree.get("error"):
        line, column = _position(sql, int(tree.get("position") or 0))
        raise ModelError(f"{path}:{line}:{column}: {tree['error_message']}.")
    if len(tree["statements"]) != 1:
        raise ModelError(f"{path}:1:1: a model is one SELECT, not {len(tree['statements'])}.")
    nodes = list(_nodes(tree))
    ctes = {entry["key"] for n in nodes for entry in n.get("cte_map", {}).get("map", [])}
    tables: set[str] = set()
    for node in nodes:
        if node.get("type") == "TABLE_FUNCTION" and node["function"].get("schema"):
            tables.add(f"{node['function']['schema']}.{node['function']['function_name']}")
        if node.get("type") != "BASE_TABLE":
            continue
        if node["schema_name"]:
            tables.add(f"{node['schema_name']}.{node['table_name']}")
        elif node["table_name"] not in ctes:
            line, column = _position(sql, int(node.get("query_location") or 0))
            raise ModelError(f"{path}:{line}:{column}: {node['table_name']} needs its schema.")
    return tuple(sorted(tables))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _position(sql: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of an offset."""
    before = sql[: max(offset, 0)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def located(path: Path, sql: str, error: duckdb.Error, *, lines_before: int) -> ModelError:
    """DuckDB's error as ours: its LINE and caret become the file's line and column.

    A long line is shown cut at both ends: the column is where that text stands in the file.
    Without a position the statement's first line is named.
    """
    text = str(error)
    sentence = " ".join(text.split("\n\nLINE", maxsplit=1)[0].split()).rstrip(".")
    found = _LINE.search(text)
    if not found:
        body = next((i for i, s in enumerate(sql.splitlines(), 1) if not s.startswith("--")), 1)
        return ModelError(f"{path}:{body}:1: {sentence}.")
    line = int(found[1]) - lines_before
    shown, _, below = text[found.end() :].partition("\n")
    column = below.split("\n")[0].find("^") - len(found[0]) + 1
    if shown.startswith("..."):
        whole = sql.splitlines()[line - 1]
        column += whole.find(shown.removeprefix("...").removesuffix("...")) - len("...")
    return ModelError(f"{path}:{line}:{max(column, 1)}: {sentence}.")


def located_by_name(path: Path, sql: str, error: duckdb.Error) -> ModelError:
    """An error without a position of its own, at the first place of the name it quotes."""
    sentence = " ".join(str(error).split("\n\nLINE", maxsplit=1)[0].split()).rstrip(".")
    body = sum(len(s) + 1 for s in itertools.takewhile(_is_comment, sql.splitlines()))
    quoted = re.search(r'"([^"]+)"', sentence)
    found = sql.find(quoted[1], body) if quoted else -1
    line, column = _position(sql, found if found >= 0 else body)
    return ModelError(f"{path}:{line}:{column}: {sentence}.")


def _is_comment(line: str) -> bool:
    return line.startswith("--")
