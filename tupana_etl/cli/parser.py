"""The words of the command line: commands, options, help with an example each."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from tupana_etl.cli.command import Command
from tupana_etl.cli.commands import COMMANDS, NEVER_ISSUED
from tupana_etl.errors import ConfigError


class _Parser(argparse.ArgumentParser):
    """Raises instead of printing and leaving: errors look the same wherever they arise."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].upper()}{message[1:]}. See `{self.prog} --help`.")


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tupana",
        description="Chilean tax documents between Tu Pana and a warehouse, both ways.\n"
        + NEVER_ISSUED,
        epilog="`tupana COMMAND --help` shows an example. Settings come from the environment\n"
        "and .env; .env.example lists them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version")
    _common(parser, default=False)
    parser.set_defaults(module="overview", verbose=0)
    _commands(parser, COMMANDS, "command")
    return parser


def _commands(parser: argparse.ArgumentParser, commands: Sequence[Command], dest: str) -> None:
    """The commands under a parser, each with its own parts under it."""
    under = parser.add_subparsers(title="commands", metavar=dest.upper(), dest=dest)
    for command in commands:
        sub = under.add_parser(
            command.name,
            help=command.summary,
            description="\n\n".join(textwrap.fill(p, 78) for p in command.paragraphs),
            epilog="example:\n" + textwrap.indent(command.example, "  "),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if dest == "command":
            sub.set_defaults(module=command.name)
        command.add(sub)
        _common(sub, default=argparse.SUPPRESS)
        if command.parts:
            _commands(sub, command.parts, "part")


def _common(parser: argparse.ArgumentParser, *, default: object) -> None:
    # SUPPRESS lets a flag before the command stand when the command does not repeat it.
    parser.add_argument(
        "--json", action="store_true", default=default, help="one JSON object on stdout"
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=argparse.SUPPRESS,
        help="log to stderr; -vv logs more",
    )
