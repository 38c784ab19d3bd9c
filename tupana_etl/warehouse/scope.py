"""Which rows one reading of a list speaks of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from tupana_etl.streams import Stream


@dataclass(frozen=True)
class Scope:
    """The rows that one reading of a list speaks of."""

    stream: Stream
    where: Mapping[str, str]
    """Values of the sliced columns: master_entity_id, document_type, period."""
    date_from: date | None = None
    date_to: date | None = None
    undated: bool = False
    """Only rows without an issue date."""

    @property
    def condition(self) -> tuple[str, list[Any]]:
        """SQL and parameters that pick these rows from the current ones."""
        terms = ["valid_to IS NULL", "_deleted_at IS NULL"]
        values: list[Any] = [*self.where.values()]
        terms += [f"{name} = ?" for name in self.where]
        if self.undated:
            terms.append("date_issued IS NULL")
        for bound, sign in ((self.date_from, ">="), (self.date_to, "<=")):
            if bound is not None:
                terms.append(f"date_issued {sign} ?")
                values.append(bound)
        return " AND ".join(terms), values
