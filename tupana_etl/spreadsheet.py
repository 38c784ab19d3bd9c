"""A table as xlsx: numbers that add up, dates that sort, RUT and folio as text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from tupana_etl.domain import SANTIAGO
from tupana_etl.errors import ConfigError

if TYPE_CHECKING:
    from tupana_etl.warehouse.database import Connection

MOST_ROWS = 1_048_575
"""A sheet has 2^20 rows, and one is the header."""

LONGEST_TEXT = 32_767
EXACT_DIGITS = 15
"""A spreadsheet keeps numbers as doubles: more digits would be rounded."""

SAMPLE = 200
"""Rows whose width sets that of the columns."""

_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NESTED = ("STRUCT", "MAP", "UNION", "JSON")


def is_nested(type_: str) -> bool:
    """Whether a DuckDB type is told as JSON text."""
    return type_.startswith(_NESTED) or type_.endswith("]")


def write(
    con: Connection, quoted: str, columns: list[tuple[str, str]], rows: int, file: Path
) -> tuple[str, ...]:
    """Writes the table; what did not fit as it is comes back as sentences.

    Raises ConfigError for more rows than a sheet has.
    """
    if rows > MOST_ROWS:
        raise ConfigError(
            f"{quoted.replace(chr(34), '')} has {rows:,} rows and a sheet holds {MOST_ROWS:,}: "
            "use --format parquet or csv, or export a smaller table."
        )
    book = Workbook(write_only=True)
    sheet = book.create_sheet(quoted.replace('"', "")[:31])
    cells = _Cells(sheet)
    stream = _rows(con, quoted)
    sample = list(islice(stream, SAMPLE))
    for number, (name, _) in enumerate(columns):
        longest = max([len(name) + 3, *(len(_shown(row[number])) + 2 for row in sample)])
        sheet.column_dimensions[get_column_letter(number + 1)].width = min(longest, 50)
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(columns))}{rows + 1}"
    sheet.append([cells.header(name) for name, _ in columns])
    for some in (sample, stream):
        for row in some:
            sheet.append([cells.cell(value) for value in row])
    book.save(file)
    return cells.notes()


def _rows(con: Connection, quoted: str) -> Iterator[tuple[Any, ...]]:
    con.execute(f"FROM {quoted}")
    while some := con.fetchmany(1_000):
        yield from some


class _Cells:
    """Makes cells of one sheet, and remembers what a sheet cannot hold."""

    def __init__(self, sheet: Any) -> None:
        self._sheet = sheet
        self._cut = 0
        self._long_numbers = 0

    def header(self, name: str) -> Any:
        cell = WriteOnlyCell(self._sheet, name)
        cell.font = Font(bold=True)
        return cell

    def cell(self, value: Any) -> Any:
        """What openpyxl writes for a value of DuckDB."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | Decimal):
            return self._number(value)
        if isinstance(value, date) and value.year >= 1900:  # a sheet knows no earlier day
            if isinstance(value, datetime) and value.tzinfo is not None:
                return value.astimezone(SANTIAGO).replace(tzinfo=None)
            return value
        if isinstance(value, float):
            return value
        return self._text(_shown(value))

    def _number(self, value: int | Decimal) -> Any:
        exact = Decimal(value)
        if len(exact.normalize().as_tuple().digits) > EXACT_DIGITS:
            self._long_numbers += 1
            return self._text(format(exact, "f"))
        whole = exact == exact.to_integral_value()
        cell = WriteOnlyCell(self._sheet, int(exact) if whole else exact.normalize())
        cell.number_format = "#,##0" if whole else "#,##0.00##"
        return cell

    def _text(self, text: str) -> Any:
        clean = _FORBIDDEN.sub(" ", text)
        self._cut += len(clean) > LONGEST_TEXT
        cell = WriteOnlyCell(self._sheet, clean[:LONGEST_TEXT])
        cell.data_type = "s"  # never a formula or an error value, whatever it begins with
        return cell

    def notes(self) -> tuple[str, ...]:
        found = (
            (self._cut, "{} texts are longer than a cell holds and were cut: use parquet."),
            (self._long_numbers, "{} numbers have more than 15 digits and are text."),
        )
        return tuple(sentence.format(count) for count, sentence in found if count)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
