"""The command line: ``tupana COMMAND``. A command is a file here with ``run(args) -> int``.

Nothing heavy is imported before it is known which command runs, so that ``--help`` and
``query`` answer at once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from tupana_etl.cli import failures, output
from tupana_etl.cli.parser import build_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns its exit code: 0, 1, 2, 70 or 130 (see ``errors.py``)."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    output.prepare()
    try:
        args = build_parser().parse_args(words)
        _log_to_stderr(args.verbose)
        module = "overview" if args.version else args.module
        command = import_module(f"tupana_etl.cli.{module}")
        code: int = command.run(args)
    except SystemExit as end:  # --help has printed what it had to
        code = end.code if isinstance(end.code, int) else 2
    except BaseException as error:  # noqa: BLE001 - the last stop of every command
        code = failures.report(error, words, as_json=as_json)
    output.finish()
    return code


def _log_to_stderr(verbose: int) -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=(logging.ERROR, logging.INFO, logging.DEBUG)[min(verbose, 2)],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # Their lines hold whole URLs, query and signature included; ours hold paths.
    for noisy in ("httpx", "httpcore"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
