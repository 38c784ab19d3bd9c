"""``tupana query``: SQL on what was published, as a table or as JSON."""

from __future__ import annotations

import argparse
import sys
from itertools import islice

from tupana_etl import analysis, settings
from tupana_etl.analysis import Answer
from tupana_etl.cli import output, tables

NUMBERS = ("DECIMAL", "BIGINT", "INTEGER", "HUGEINT", "DOUBLE", "FLOAT", "SMALLINT", "TINYINT")


def run(args: argparse.Namespace) -> int:
    sql = sys.stdin.read() if args.sql == "-" else args.sql
    with analysis.answer(sql, settings.load()) as answer:
        if args.json:
            rows = [[output.plain(value) for value in row] for row in answer.rows]
            output.write_json({"columns": answer.columns, "rows": rows})
        else:
            _tell(answer, args.limit)
    return 0


def _tell(answer: Answer, limit: int) -> None:
    if not answer.columns:
        output.write("Done; there is nothing to show.")
        return
    rows = [[output.cell(value) for value in row] for row in islice(answer.rows, limit)]
    more = sum(1 for _ in answer.rows)
    numeric = [
        name
        for name, kind in zip(answer.columns, answer.types, strict=True)
        if kind.lstrip("U").startswith(NUMBERS)
    ]
    if len(rows) == 1 and tables.fitting(answer.columns, rows, numeric) < len(answer.columns):
        output.write(tables.record(answer.columns, rows[0]))
    else:
        _tell_table(answer.columns, rows, numeric)
    if more:
        output.write(f"… {output.number(more)} more rows (--limit, or --json for all)")


def _tell_table(columns: list[str], rows: list[list[str]], numeric: list[str]) -> None:
    """The columns that fit; the others are named, not squeezed until nobody can read them."""
    fit = tables.fitting(columns, rows, numeric)
    output.write(tables.table(columns[:fit], [row[:fit] for row in rows], right=numeric))
    if not rows:
        output.write("(no rows)")
    if fit < len(columns):
        text = f"… {len(columns) - fit} more columns: {', '.join(columns[fit:])}"
        output.write(output.paragraph(text))
