"""The pictures: exact figures are in the tables beside them, floats are only for drawing.

Every chart is SVG, drawn twice (desk and telephone) so that letters never shrink. Colours
can be told apart without seeing red or green, and every bar says its figure.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import DateFormatter, date2num
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tupana_etl.reports import spanish
from tupana_etl.reports.blocks import Chart

WIDE, NARROW = 8.6, 4.1
"""Inches: at 72 dots a column of 830 and of 350 pixels shows letters of 11 to 14 pixels."""

INK, GREY, GRID = "#1F2328", "#57606A", "#E4E6E9"
BLUE = "#0072B2"

_STYLE: Any = {
    "axes.edgecolor": "#B8BCC2",
    "axes.labelcolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
    "font.size": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text: small files, and the reader's own letters
    "svg.hashsalt": "tupana",  # the same figures give the same bytes
    "text.color": INK,
    "text.parse_math": False,  # a name with two $ is no formula
    "xtick.color": GREY,
    "ytick.color": GREY,
}

Series = tuple[str, str, Sequence[int]]
"""Name, colour and whole pesos."""


def svg(chart: Chart, *, narrow: bool) -> bytes:
    """The chart as an SVG file."""
    with mpl.rc_context(_STYLE):
        size = (NARROW if narrow else WIDE, chart.heights[narrow])
        figure = Figure(figsize=size, layout="constrained")
        chart.draw(figure.subplots(), narrow)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


@dataclass(frozen=True)
class Scale:
    """The unit that a chart is drawn in."""

    divisor: int
    name: str

    @classmethod
    def of(cls, most: int) -> Scale:
        for divisor, name in ((1_000_000, "millones de pesos"), (1_000, "miles de pesos")):
            if most >= 2 * divisor:
                return cls(divisor, name)
        return cls(1, "pesos")

    def label(self, pesos: int) -> str:
        """With a decimal where the figure is small."""
        value = Decimal(pesos) / self.divisor
        return spanish.number(value, 1 if 0 < abs(value) < 100 and self.divisor > 1 else 0)

    def drawn(self, pesos: int) -> float:
        return float(pesos) / self.divisor


def columns(axes: Axes, bars: Sequence[tuple[str, str, int, str]], scale: Scale) -> None:
    """Upright bars: label, colour, pesos and a second line above each."""
    drawn = axes.bar(
        [textwrap.fill(label, 9) for label, *_ in bars],
        [scale.drawn(value) for _, _, value, _ in bars],
        color=[colour for _, colour, *_ in bars],
        width=0.66,
    )
    texts = [f"{scale.label(value)}\n{note}" for _, _, value, note in bars]
    axes.bar_label(drawn, texts, padding=4)
    axes.margins(y=0.2)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0, labelcolor=INK)


def bars(
    axes: Axes, rows: Sequence[tuple[str, str, int, str]], scale: Scale, *, narrow: bool
) -> None:
    """Bars that lie: label, colour, pesos and what is written behind each."""
    drawn = axes.barh(
        range(len(rows)),
        [scale.drawn(value) for _, _, value, _ in rows],
        color=[colour for _, colour, *_ in rows],
        height=0.64,
    )
    axes.bar_label(drawn, [text for *_, text in rows], padding=5)
    axes.margins(x=0.34 if narrow else 0.2)
    _names(axes, [label for label, *_ in rows], narrow=narrow)
    _pesos_axis(axes, scale)


def stacked(
    axes: Axes,
    names: Sequence[str],
    series: Sequence[Series],
    scale: Scale,
    *,
    narrow: bool,
) -> None:
    """One lying bar a name, made of series; the sum is written behind it."""
    ends = [0] * len(names)
    for label, colour, values in series:
        axes.barh(
            range(len(names)),
            [scale.drawn(v) for v in values],
            left=[scale.drawn(e) for e in ends],
            color=colour,
            label=label,
            height=0.66,
        )
        ends = [e + v for e, v in zip(ends, values, strict=True)]
    for place, end in enumerate(ends):
        axes.annotate(
            scale.label(end),
            (scale.drawn(end), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.margins(x=0.16 if narrow else 0.1)
    _names(axes, names, narrow=narrow)
    _pesos_axis(axes, scale)
    _legend(axes, 2 if narrow else len(series))


def months(
    axes: Axes,
    days: Sequence[date],
    *,
    sales: Sequence[int],
    balances: Sequence[int],
    bounds: Sequence[bool],
    scale: Scale,
    narrow: bool,
) -> None:
    """Sales as columns, balances as a line; hollow where a balance is only a lower bound."""
    places = range(len(days))
    axes.bar(
        places,
        [scale.drawn(v) for v in sales],
        color="#BFD7EA",
        width=0.7,
        label="Ventas a crédito del mes",
    )
    heights = [scale.drawn(v) for v in balances]
    axes.plot(places, heights, color=BLUE, linewidth=1.8, label="Por cobrar al cierre")
    for known, face, label in (
        (True, BLUE, "saldo conocido"),
        (False, "white", "al menos ese saldo"),
    ):
        some = [p for p in places if bounds[p] is not known]
        axes.plot(
            some,
            [heights[p] for p in some],
            "o",
            markerfacecolor=face,
            markeredgecolor=BLUE,
            label=label if some else None,
        )
    every = -(-len(days) // (5 if narrow else 13))
    shown = [p for p in places if (len(days) - 1 - p) % every == 0]
    axes.set_xticks(shown, [spanish.month(days[p]) for p in shown])
    axes.set_ylim(bottom=min(0, *(scale.drawn(v) for v in sales)))
    _pesos_axis(axes, scale, axes.yaxis)
    _legend(axes, 1 if narrow else 4)


def lines(
    axes: Axes,
    days: Sequence[date],
    series: Sequence[tuple[str, str, Sequence[Decimal | None]]],
    *,
    narrow: bool,
) -> None:
    """Days of sales month by month; a gap where nobody knows."""
    for label, colour, values in series:
        heights = [float("nan") if v is None else float(v) for v in values]
        axes.plot(range(len(days)), heights, "o-", color=colour, linewidth=1.8, label=label)
        last = max((i for i, v in enumerate(values) if v is not None), default=None)
        if last is not None:
            axes.annotate(
                spanish.number(values[last] or 0, 0),
                (last, heights[last]),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
            )
    every = -(-len(days) // (5 if narrow else 7))
    shown = [p for p in range(len(days)) if (len(days) - 1 - p) % every == 0]
    axes.set_xticks(shown, [spanish.month(days[p]) for p in shown])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0f}"))
    axes.grid(axis="y", color=GRID)
    axes.set_ylabel("Días de venta")
    _legend(axes, 2)


def curve(axes: Axes, shares: Sequence[float], mark: int, text: str) -> None:
    """How much of the whole the first ones make up, 0 to 100; ``mark`` of them are named."""
    axes.plot(range(len(shares)), shares, color=BLUE, linewidth=2)
    axes.fill_between(range(len(shares)), shares, color=BLUE, alpha=0.1, linewidth=0)
    axes.plot([mark, mark, 0], [0, shares[mark], shares[mark]], color=GREY, linewidth=1, ls=":")
    axes.plot(mark, shares[mark], "o", color=BLUE)
    axes.annotate(text, (mark, shares[mark]), xytext=(9, -15), textcoords="offset points")
    axes.set(xlim=(0, len(shares) - 1), ylim=(0, 104), yticks=range(0, 101, 20))
    axes.set_xlabel("Clientes, del que más debe al que menos")
    axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0f} %"))
    axes.grid(axis="y", color=GRID)
    axes.set_axisbelow(True)


def timeline(axes: Axes, events: Sequence[tuple[date, str]], today: date, *, narrow: bool) -> None:
    """Events on a line of time, one step lower each, so that no words ever meet."""
    steps = range(len(events))
    xs = [_x(moment) for moment, _ in events]
    axes.axvline(_x(today), color="#D55E00", linewidth=1, linestyle="--")
    axes.vlines(xs, -0.8, steps, color=GRID, linewidth=1)
    axes.plot(xs, steps, "o", color=BLUE, markersize=7)
    span = max(*xs, _x(today)) - min(xs) or 1
    for x, step, (moment, text) in zip(xs, steps, events, strict=True):
        left = x - min(xs) > span * (0.45 if narrow else 0.6)
        axes.annotate(
            textwrap.fill(f"{spanish.day(moment)}  {text}", 26 if narrow else 60),
            (x, step),
            xytext=(-9 if left else 9, 0),
            textcoords="offset points",
            va="center",
            ha="right" if left else "left",
        )
    axes.set_ylim(len(events) - 0.3, -0.8)
    axes.set_xlim(min(xs) - span * 0.04, max(*xs, _x(today)) + span * 0.06)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis_date()
    axes.xaxis.set_major_locator(MaxNLocator(3 if narrow else 6))
    axes.xaxis.set_major_formatter(DateFormatter("%d-%m-%y"))  # type: ignore[no-untyped-call]


def waterfall(
    axes: Axes, steps: Sequence[tuple[str, int, str]], scale: Scale, *, narrow: bool
) -> None:
    """From the first sum to the last: label, signed pesos and colour.

    The first and every later positive step stand on zero; a negative one hangs from where
    the one before ended.
    """
    level = 0
    for place, (_, value, colour) in enumerate(steps):
        start = level if value < 0 else 0
        level = start + value
        low, high = sorted((start, level))
        axes.barh(
            place,
            scale.drawn(high - low),
            left=scale.drawn(low),
            color=colour,
            height=0.64,
        )
        axes.annotate(
            spanish.pesos(value),
            (scale.drawn(high), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
        )
    axes.margins(x=0.4 if narrow else 0.16)
    _names(axes, [label for label, *_ in steps], narrow=narrow)
    _pesos_axis(axes, scale)


def _x(day: date) -> float:
    return float(date2num(day))  # type: ignore[no-untyped-call]


def _names(axes: Axes, names: Sequence[str], *, narrow: bool) -> None:
    longest = 17 if narrow else 34
    axes.set_yticks(
        range(len(names)), [textwrap.fill(n, longest, max_lines=2, placeholder="…") for n in names]
    )
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0, labelcolor=INK)


def _pesos_axis(axes: Axes, scale: Scale, axis: Axis | None = None) -> None:
    along = axis or axes.xaxis
    along.set_major_locator(MaxNLocator(5, integer=True))
    along.set_major_formatter(FuncFormatter(lambda v, _: spanish.number(int(v))))
    along.set_label_text(scale.name.capitalize())
    axes.grid(axis="y" if axis else "x", color=GRID)
    axes.set_axisbelow(True)


def _legend(axes: Axes, across: int) -> None:
    figure = axes.get_figure()
    if figure is not None:
        figure.legend(loc="outside lower center", ncols=across, handlelength=1, columnspacing=1.4)
