"""Where rows come from: ``sql/outbox/``, a query, a table, CSV or Parquet.

A source that does not keep the contract as a whole (a column nobody knows, a file that is
not UTF-8) is refused as a whole; a row that does not is blocked by itself.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tupana_etl.errors import ConfigError
from tupana_etl.outbox.contract import COLUMNS, Column
from tupana_etl.warehouse import source_rows

DEFAULT = "sql/outbox"
MAX_FIELD = 1_000_000
"""Characters of one CSV field: more is no row but a broken quote."""

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")
_OTHER_FILES = (".xlsx", ".xls", ".xlsm", ".ods", ".txt", ".tsv", ".json", ".jsonl", ".xml")
"""What people give for a file of rows: told apart from ``schema.table``."""
_DELIMITERS = (",", ";")


@dataclass(frozen=True)
class Source:
    """Rows with where each stands; the name is what a new plan of it replaces."""

    name: str
    rows: list[tuple[str, dict[str, Any]]]


Contract = Mapping[str, Column]


def read(given: str | None, analytics: Path, folder: Path, contract: Contract = COLUMNS) -> Source:
    """The rows of ``--from``, or of every query in ``folder`` when nothing was given.

    ``contract`` has the columns that a row may have, by name.

    Raises ConfigError naming the file, the line and what to do.
    """
    if given is None:
        return _of_folder(folder, analytics, contract)
    path = Path(given).expanduser()
    kind = path.suffix.lower()
    if kind in (".csv", ".parquet", ".pq", ".sql") and not path.is_file():
        raise ConfigError(f"There is no file {path}.")
    if kind == ".csv":
        return Source(str(path.resolve()), list(_of_csv(path, contract)))
    if kind in (".parquet", ".pq"):
        return Source(
            str(path.resolve()), _numbered(*source_rows.of_parquet(path), str(path), contract)
        )
    if kind == ".sql":
        return Source(str(path.resolve()), _of_sql(path, analytics, contract))
    if kind in _OTHER_FILES or (len(given.split()) == 1 and path.is_file()):
        raise ConfigError(
            f"{path} is none of .csv, .parquet and .sql. Save it as CSV UTF-8, under a name that "
            "ends with .csv. Nothing was planned."
        )
    if _TABLE.fullmatch(given):
        columns, rows = source_rows.of_query(analytics, f"FROM {given}", what=given)
        return Source(f"table {given}", _numbered(columns, rows, given, contract))
    columns, rows = source_rows.of_query(analytics, given)
    return Source("query", _numbered(columns, rows, "The query", contract))


def default_folder() -> Path:
    """``sql/outbox`` of the working directory; else the one that comes with the package."""
    here = Path.cwd() / "sql" / "outbox"
    package = Path(__file__).parents[1]
    shipped = package / "_sql"
    root = shipped if shipped.is_dir() else package.parent / "sql"
    return here if here.is_dir() else root / "outbox"


def _of_folder(folder: Path, analytics: Path, contract: Contract) -> Source:
    paths = sorted(folder.glob("*.sql"))
    if not paths:
        raise ConfigError(
            f"{folder} holds no query. Write one, or give a source: `tupana outbox plan --from "
            "FILE.csv`. docs/outbox.md says which columns it has."
        )
    read_rows = [row for path in paths for row in _of_sql(path, analytics, contract)]
    return Source(DEFAULT, read_rows)


def _of_sql(path: Path, analytics: Path, contract: Contract) -> list[tuple[str, dict[str, Any]]]:
    sql = path.read_text(encoding="utf-8").rstrip().rstrip(";")
    columns, rows = source_rows.of_query(analytics, sql, what=path.name)
    return _numbered(columns, rows, path.name, contract, prefix=f"{path.name} ")


def _numbered(
    columns: Sequence[str],
    rows: Sequence[tuple[Any, ...]],
    what: str,
    contract: Contract,
    prefix: str = "",
) -> list[tuple[str, dict[str, Any]]]:
    _check_columns(columns, what, contract)
    return [
        (f"{prefix}row {number}", dict(zip(columns, row, strict=True)))
        for number, row in enumerate(rows, 1)
    ]


def _of_csv(path: Path, contract: Contract) -> Iterator[tuple[str, dict[str, Any]]]:
    text = _utf8(path)
    if not text.strip():
        raise ConfigError(f"{path} is empty. Its first line names the columns: docs/outbox.md.")
    first = text.split("\n", 1)[0]
    delimiter = max(_DELIMITERS, key=first.count)
    csv.field_size_limit(MAX_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        columns = [name.strip() for name in next(reader)]
        _check_columns(columns, str(path), contract)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"line {reader.line_num}"
            if len(cells) != len(columns):
                raise ConfigError(
                    f"{path}, {place}: {len(cells)} fields, the header has {len(columns)}. A text "
                    f"that holds {delimiter!r} stands in double quotes. Nothing was planned."
                )
            yield place, dict(zip(columns, cells, strict=True))
    except csv.Error as error:
        raise ConfigError(
            f"{path}, line {reader.line_num}: {error}. Nothing was planned."
        ) from None


def _utf8(path: Path) -> str:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path} is not UTF-8 (line {line}). Save it as CSV UTF-8; guessing the letters of "
            "names on a tax document is out of the question. Nothing was planned."
        ) from None
    if "\0" in text:
        raise ConfigError(f"{path} is not text: it holds NUL characters. Nothing was planned.")
    return text.replace("\r\n", "\n")


def check_known(columns: Sequence[str], what: str, contract: Contract) -> None:
    """Raises ConfigError unless every column is the contract's, and there once."""
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise ConfigError(f"{what} has {', '.join(twice)} twice. Nothing was planned.")
    unknown = [name for name in columns if name not in contract]
    if unknown:
        raise ConfigError(_unknown(unknown, what, contract))


def _check_columns(columns: Sequence[str], what: str, contract: Contract) -> None:
    check_known(columns, what, contract)
    missing = [c.name for c in contract.values() if c.always and c.name not in columns]
    if missing:
        raise ConfigError(
            f"{what} has no {', '.join(missing)}. docs/outbox.md lists the columns. Nothing was "
            "planned."
        )


def _unknown(unknown: Sequence[str], what: str, contract: Contract) -> str:
    near = difflib.get_close_matches(unknown[0], contract, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return (
        f"{what} has a column the contract does not know: "
        f"{', '.join(name or '(no name)' for name in unknown[:5])}.{hint} A column that is left "
        "out in silence could be a discount; select only those of docs/outbox.md. Nothing was "
        "planned."
    )
