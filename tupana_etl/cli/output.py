"""What goes to stdout and stderr: one JSON object, or text that fits the terminal.

Numbers are written as in Chile (1.234.567,5). A pipe gets plain aligned text of 80
columns: no colour, no box characters.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

MIN_WIDTH = 80
LONGEST_CELL = 60
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


def version() -> str:
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415 - slow, rarely needed
    from importlib.metadata import version as installed  # noqa: PLC0415

    try:
        return installed("tupana-etl")
    except PackageNotFoundError:
        return "unknown"


def width() -> int:
    """Columns of the terminal (or COLUMNS); 80 in a pipe."""
    return max(shutil.get_terminal_size((MIN_WIDTH, 24)).columns, 40)


def write(text: str = "") -> None:
    """One or more lines on stdout. A reader that has left (``| head``) is no error."""
    try:
        sys.stdout.write(f"{text}\n")
    except BrokenPipeError:
        _nobody_reads()


def note(text: str) -> None:
    """A line for people on stderr."""
    try:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()
    except BrokenPipeError:
        pass


def finish() -> None:
    """Pushes out what is still buffered, while an error can still be handled."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _nobody_reads()


def _nobody_reads() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_json(value: object) -> None:
    write(json.dumps(value, ensure_ascii=False, default=plain, allow_nan=False))
    finish()


def plain(value: Any) -> Any:
    """A value as JSON can say it exactly: decimals as text, times with their offset."""
    match value:
        case bool() | int() | str() | None:
            return value
        case float():
            return value if value == value and abs(value) != float("inf") else str(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case timedelta():
            return str(value)
        case bytes():
            return value.hex()
        case dict():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple() | set():
            return [plain(v) for v in value]
    return str(value)


def printable(text: str) -> str:
    """Without control characters: data must not steer the terminal it is shown on."""
    return _UNPRINTABLE.sub(" ", text)


def number(value: int | float | Decimal) -> str:
    """``1.234.567`` and ``1.234,5``: exact, without zeros that say nothing."""
    text = f"{value:,f}" if isinstance(value, Decimal) else f"{value:,}"
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    return whole.replace(",", ".") + (f",{fraction}" if fraction else "")


def moment(value: datetime | None) -> str:
    return value.strftime("%Y-%m-%d %H:%M") if value else "never"


def cell(value: Any) -> str:
    """A value of a query for people. Short whole numbers may be years: they keep no dot."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value) if abs(value) < 10_000 else number(value)
        case Decimal():
            return number(value)
        case datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S")
        case str():
            return _short(printable(value))
    return _short(printable(json.dumps(plain(value), ensure_ascii=False).strip('"')))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def paragraph(text: str, indent: str = "", first: str | None = None) -> str:
    """Text wrapped to the terminal; lines that are already several stay as they are."""
    clean = "\n".join(printable(line) for line in text.splitlines())
    if "\n" in clean:
        return textwrap.indent(clean, indent)
    return textwrap.fill(
        clean,
        min(width(), 100),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[str] = (),
    bold_last: bool = False,
    style: Callable[[int], str] | None = None,
) -> str:
    """Rows as aligned text; ``right`` names the columns of numbers.

    Numbers are never cut or wrapped; other cells wrap. What does not fit at all is for
    the caller to leave out (see ``fitting``).
    """
    from rich.console import Console  # noqa: PLC0415 - costs more than most commands
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        numeric = name in right
        shown.add_column(
            Text(name),
            justify="right" if numeric else "left",
            no_wrap=numeric,
            overflow="fold",
        )
    for index, row in enumerate(rows):
        last = bold_last and index == len(rows) - 1
        look = "bold" if last else style(index) if style else ""
        shown.add_row(*(Text(text) for text in row), style=look)
    console = Console(width=width(), highlight=False, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(shown)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").splitlines())


def fitting(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> int:
    """How many of the first columns fit when text wraps to 16 characters at least."""
    from rich.cells import cell_len  # noqa: PLC0415 - as above

    room = width()
    for count, name in enumerate(columns):
        natural = max([cell_len(name), *(cell_len(row[count]) for row in rows)])
        room -= (natural if name in right else min(natural, max(16, cell_len(name)))) + 2
        if room < -2:
            return max(count, 1)
    return len(columns)
