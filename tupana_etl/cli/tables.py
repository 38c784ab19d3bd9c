"""Tables that fit: aligned text in a pipe, the same in bold and colour on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tupana_etl.cli.output import width


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
    room = width()
    for count, name in enumerate(columns):
        natural = max([cell_len(name), *(cell_len(row[count]) for row in rows)])
        room -= (natural if name in right else min(natural, max(16, cell_len(name)))) + 2
        if room < -2:
            return max(count, 1)
    return len(columns)


def natural(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Width at which nothing wraps."""
    return sum(
        max(map(cell_len, (name, *(row[i] for row in rows)))) + 2 for i, name in enumerate(columns)
    )


def record(columns: Sequence[str], row: Sequence[str]) -> str:
    """One row with a line for each column."""
    return table(["column", "value"], list(zip(columns, row, strict=True)))
