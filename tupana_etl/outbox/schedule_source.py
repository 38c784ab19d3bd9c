"""Schedules from a JSON file: a list of objects, each with its ``details``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from tupana_etl.errors import ConfigError
from tupana_etl.outbox import sources
from tupana_etl.outbox.schedule_contract import COLUMNS
from tupana_etl.outbox.sources import Source

Rows = Iterator[tuple[str, dict[str, Any]]]


def read(given: str, analytics: Path) -> Source:
    """The rows of a JSON file, or of whatever else may be a source.

    Raises ConfigError naming the file, the place and what to do.
    """
    path = Path(given).expanduser()
    if path.suffix.lower() != ".json":
        return sources.read(given, analytics, path.parent, COLUMNS)
    if not path.is_file():
        raise ConfigError(f"There is no file {path}.")
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is no JSON in UTF-8: {error}. Nothing was planned.") from None
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ConfigError(
            f"{path} is no list of objects. Each holds the columns of docs/outbox.md, and under "
            '"details" a list with its lines. Nothing was planned.'
        )
    rows = [row for number, each in enumerate(found, 1) for row in _lines(number, each)]
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    sources.check_known(names, str(path), COLUMNS)
    return Source(str(path.resolve()), rows)


def _lines(number: int, schedule: dict[str, Any]) -> Rows:
    head = {name: value for name, value in schedule.items() if name != "details"}
    details = schedule.get("details")
    lines = details if isinstance(details, list) else []
    if not lines or not all(isinstance(line, dict) for line in lines):
        yield f"schedule {number}", head  # blocked, since nothing is sold: never left out
        return
    for position, line in enumerate(lines, 1):
        place = f"schedule {number}, line {position}"
        yield place, {**head, "line_number": position, **line}
