"""What goes to stdout and stderr: one JSON object, or text that fits the terminal.

Numbers are written as in Chile (1.234.567,5). A pipe gets plain aligned text of 80
columns: no colour, no box characters.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import shutil
import sys
import textwrap
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

MIN_WIDTH = 80
LONGEST_CELL = 60
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


def prepare() -> None:
    """A terminal that cannot show a character shows ``?``; it is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


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
    # Escapes are longer, but exact where the terminal's encoding lacks characters.
    escaped = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    write(json.dumps(value, ensure_ascii=escaped, default=plain, allow_nan=False))
    finish()


def plain(value: Any) -> Any:
    """A value as JSON can say it exactly: decimals as text, times with their offset."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(v) for v in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.hex() if isinstance(value, bytes) else str(value)


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
    if isinstance(value, str):
        return _short(printable(value))
    if isinstance(value, bool) or value is None:
        return {None: "", True: "yes", False: "no"}[value]
    if isinstance(value, int | Decimal):
        short = isinstance(value, int) and abs(value) < 10_000
        return str(value) if short else number(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return _short(printable(json.dumps(plain(value), ensure_ascii=False).strip('"')))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def paragraph(text: str, indent: str = "", first: str | None = None) -> str:
    """Text wrapped to the terminal; lines that are already several stay as they are."""
    clean = "\n".join(printable(line) for line in text.splitlines())
    if "\n" in clean:
        return (indent if first is None else first) + clean.replace("\n", f"\n{indent}")
    return textwrap.fill(
        clean,
        min(width(), 100),
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
