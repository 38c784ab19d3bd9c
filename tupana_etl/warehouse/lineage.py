"""Which columns each column of a model is made of, read from the SQL.

sqlglot resolves names; what it reads is the models' own files and the declared tables, so
the answer needs no database. Macros are seen through: only tables are named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from tupana_etl.errors import ModelError
from tupana_etl.warehouse.declared import declared_columns
from tupana_etl.warehouse.model_files import Model

Origin = tuple[str, str]
"""A table with its schema, and a column of it."""

Lineage = dict[str, dict[str, list[Origin]]]


def column_lineage(models: Sequence[Model]) -> Lineage:
    """Model → column → the columns it is computed from, one step back, sorted.

    ``models`` are all of them, macros too, in order (``model_files.find_files``). A column
    that decides which rows there are (a join, a filter) is no origin; a constant has none.
    Raises ModelError naming the model that cannot be read.
    """
    known = declared_columns() | {m.name: list(m.columns) for m in models}
    macros = {m.name for m in models if m.is_macro}
    found: Lineage = {}
    for model in models:
        try:
            direct = _of(model, known)
        except SqlglotError as error:
            why = str(error).splitlines()[0]
            raise ModelError(f"{model.path}:1:1: no lineage: {why}") from error
        found[model.name] = {
            column: sorted({o for origin in origins for o in _through(origin, found, macros)})
            for column, origins in direct.items()
        }
    return {m.name: found[m.name] for m in models if not m.is_macro}


def _through(origin: Origin, found: Lineage, macros: set[str]) -> list[Origin]:
    table, column = origin
    return found[table].get(column, []) if table in macros else [origin]


def _of(model: Model, known: Mapping[str, Sequence[str]]) -> dict[str, set[Origin]]:
    tree = sqlglot.parse_one(model.sql, dialect="duckdb")
    parameters = {p.name for p in model.parameters}
    for column in list(tree.find_all(exp.Column)):
        if not column.table and column.name in parameters:
            column.replace(exp.null())
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Func) and table.db:  # a call of a macro is its table
            table.set("this", exp.to_identifier(table.this.name))
    nested: dict[str, Any] = {}
    for name, columns in known.items():
        schema, _, short = name.partition(".")
        nested.setdefault(schema, {})[short] = dict.fromkeys(columns, "VARCHAR")
    whole = qualify(
        tree,
        dialect="duckdb",
        schema=nested,
        validate_qualify_columns=False,
        quote_identifiers=False,
        identify=False,
    )
    scope = build_scope(whole)
    if scope is None:
        raise ModelError(f"{model.path}:1:1: no lineage: not a SELECT.")
    resolver = _Resolver()
    return {column: resolver.output(scope, i) for i, column in enumerate(_names(scope))}


def _names(scope: Scope) -> list[str]:
    return [str(e.alias_or_name) for e in _selects(scope)]


def _selects(scope: Scope) -> list[exp.Expression]:
    query: Any = scope.expression
    return list(query.selects)


class _Resolver:
    """Follows columns through the subqueries of one statement."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], set[Origin]] = {}

    def output(self, scope: Scope, position: int) -> set[Origin]:
        """Origins of one output column of a scope."""
        key = (id(scope), position)
        if key in self._seen:
            return self._seen[key]
        self._seen[key] = set()  # a recursive CTE meets itself: what is there is enough
        if scope.set_operation_scopes:
            found = set().union(
                *(self.output(s, position) for s in scope.set_operation_scopes if s is not None)
            )
        else:
            found = self._expression(scope, _selects(scope)[position])
        self._seen[key] = found
        return found

    def _expression(self, scope: Scope, expression: exp.Expression) -> set[Origin]:
        found: set[Origin] = set()
        for column in expression.find_all(exp.Column):
            found |= self._column(scope, column.table, column.name)
        for window in expression.find_all(exp.Window):
            named = window.args.get("alias")
            for definition in scope.expression.args.get("windows") or [] if named else []:
                if definition.name == window.alias:
                    for column in definition.find_all(exp.Column):
                        found |= self._column(scope, column.table, column.name)
        return found

    def _column(self, scope: Scope, table: str, name: str) -> set[Origin]:
        source: Any = None
        within: Scope | None = scope
        while source is None and within is not None:  # CTEs are seen from inside subqueries
            source = within.sources.get(table)
            within = within.parent
        if isinstance(source, Scope):
            names = [n.lower() for n in _names(source)]
            # The columns of a table function (range, unnest) are no table's.
            return (
                self.output(source, names.index(name.lower())) if name.lower() in names else set()
            )
        if isinstance(source, exp.Table):
            return {(f"{source.db}.{source.name}", name)}
        return set()
