"""Hands a published table over as a file that other programs open: xlsx, CSV or Parquet.

What a spreadsheet would take for a formula is made harmless: names come from strangers'
documents. The file appears whole under its name or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tupana_etl import analysis, home, spreadsheet
from tupana_etl.errors import ConfigError
from tupana_etl.settings import Settings, load

if TYPE_CHECKING:
    from tupana_etl.warehouse.database import Connection

FORMATS = ("xlsx", "csv", "parquet")

RISKY = r"^[=+\-@\t\r]"
"""How text begins that a spreadsheet runs when it opens a CSV (OWASP, CSV injection)."""

Columns = list[tuple[str, str]]
"""Names and DuckDB types."""


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    path: Path
    table: str
    rows: int
    bytes: int
    notes: tuple[str, ...] = ()
    """What the format could not hold as it is, a sentence each."""


def export(
    table: str,
    kind: str = "xlsx",
    settings: Settings | None = None,
    *,
    out: Path | None = None,
    force: bool = False,
) -> Exported:
    """Writes a table to ``out``, or to ``exports/<table>.<kind>`` of the home, private.

    The default file is overwritten, an ``out`` that exists only with ``force``. Raises
    ConfigError for a table or folder that is not there, and for more rows than fit.
    """
    if kind not in FORMATS:
        raise ConfigError(f"There is no format {kind!r}. There are: {', '.join(FORMATS)}.")
    configured = settings or load()
    notes: tuple[str, ...] = ()
    with analysis.connect(configured) as con, analysis.plain_errors(con):
        quoted = analysis.qualified(con, table)
        name = quoted.replace('"', "")
        columns: Columns = [
            (row[0], row[1]) for row in con.execute(f"DESCRIBE {quoted}").fetchall()
        ]
        ((rows,),) = con.execute(f"SELECT count(*) FROM {quoted}").fetchall()
        file = target(out, force=force) if out else configured.home / "exports"
        if out is None:
            home.prepare(file)
            file /= f"{name}.{kind}"
        with replacing(file, private=out is None) as temporary:
            if kind == "xlsx":
                notes = spreadsheet.write(con, quoted, columns, rows, temporary)
            else:
                _copy(con, quoted, columns, kind, temporary)
        return Exported(file, name, rows, file.stat().st_size, notes)


def target(out: Path, *, force: bool) -> Path:
    """Where a file that somebody named goes; ConfigError when it cannot go there."""
    file = out.expanduser().absolute()
    if file.is_dir():
        raise ConfigError(f"{file} is a folder: name a file.")
    if not file.parent.is_dir():
        raise ConfigError(f"There is no folder {file.parent}.")
    if file.exists() and not force:
        raise ConfigError(f"{file} exists already: add --force to overwrite it.")
    return file


@contextmanager
def replacing(file: Path, *, private: bool) -> Iterator[Path]:
    """A name beside ``file`` to write to; what is there at the end takes its place."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if private:
            temporary.chmod(0o600)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(con: Connection, quoted: str, columns: Columns, kind: str, file: Path) -> None:
    shown, options = "*", "FORMAT parquet, COMPRESSION zstd"
    if kind == "csv":
        shown = ", ".join(_for_csv(name, type_) for name, type_ in columns)
        options = "FORMAT csv, HEADER"
    path = str(file).replace("'", "''")
    con.execute(f"COPY (SELECT {shown} FROM {quoted}) TO '{path}' ({options})")


def _for_csv(name: str, type_: str) -> str:
    """A column as CSV can hold it: nested values as JSON, text that runs nothing."""
    column = '"' + name.replace('"', '""') + '"'
    if spreadsheet.is_nested(type_):
        return f"to_json({column})::VARCHAR AS {column}"
    if type_ != "VARCHAR":
        return column
    return f"if(regexp_matches({column}, '{RISKY}'), '''' || {column}, {column}) AS {column}"
