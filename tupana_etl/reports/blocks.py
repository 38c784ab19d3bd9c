"""What a report is made of: plain data that a page and a notebook show alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Prose:
    """A paragraph of our own words."""

    text: str


@dataclass(frozen=True)
class Notice:
    """A sentence set apart; ``warning`` where the figures must be read with care."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Card:
    """One key figure."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Cards:
    cards: Sequence[Card]


@dataclass(frozen=True)
class Cell:
    """Text with a second, smaller line below, such as a name and its RUT."""

    text: str
    below: str = ""

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """Columns that begin with ``>`` hold figures and stand to the right."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    total: Sequence[str] | None = None

    @property
    def heads(self) -> list[tuple[str, bool]]:
        return [(name.lstrip(">"), name.startswith(">")) for name in self.columns]


@dataclass(frozen=True)
class Chart:
    """A picture: what it shows in a sentence, in what unit, in words, and how it is drawn.

    ``draw(axes, narrow)`` is called once for a desk and once for a telephone; ``heights``
    are inches for each.
    """

    title: str
    subtitle: str
    alt: str
    draw: Callable[[Axes, bool], None]
    heights: tuple[float, float] = (3.2, 3.2)


Block = Prose | Notice | Cards | Table | Chart


@dataclass(frozen=True)
class Section:
    """One question and its answer. Shows itself in a notebook."""

    key: str
    title: str
    blocks: Sequence[Block]

    def _repr_html_(self) -> str:
        from tupana_etl.reports.page import section_html  # noqa: PLC0415 - only in notebooks

        return section_html(self)


@dataclass(frozen=True)
class Report:
    """Everything a report says, drawn and written down only when it is shown."""

    kind: str
    title: str
    company: str
    """Whose figures, in words."""
    company_rut: str | None
    """None: every company in the data."""
    as_of: date
    is_past: bool
    """The day lies before that of the published tables."""
    complete: bool
    """The last sync read everything."""
    is_sandbox: bool
    sections: Sequence[Section]
    figures: dict[str, Any] = field(default_factory=dict)
    """Key figures, exact; amounts in whole pesos."""

    def __getitem__(self, key: str) -> Section:
        for section in self.sections:
            if section.key == key:
                return section
        known = ", ".join(s.key for s in self.sections)
        raise KeyError(f"No hay una sección {key!r}. Hay: {known}.")
