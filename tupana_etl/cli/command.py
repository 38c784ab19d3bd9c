"""How a command is declared, and the options that several have."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


def _nothing(_: argparse.ArgumentParser) -> None:
    """A command without options of its own."""


@dataclass(frozen=True)
class Command:
    """``name`` is also the module in this package whose ``run(args)`` does it."""

    name: str
    summary: str
    example: str
    add: Callable[[argparse.ArgumentParser], None] = _nothing
    more: str = ""
    parts: tuple[Command, ...] = ()
    """Commands under this one; ``name_part`` is the module of each."""

    @property
    def paragraphs(self) -> list[str]:
        first = f"{self.summary[:1].upper()}{self.summary[1:]}."
        return [p for p in (first, self.more) if p]


def wait_option(p: argparse.ArgumentParser, seconds: float, for_what: str) -> None:
    p.add_argument(
        "--wait",
        type=seconds_of,
        default=seconds,
        metavar="S",
        help=f"seconds to wait for {for_what} ({seconds:.0f})",
    )


def whole(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def seconds_of(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
