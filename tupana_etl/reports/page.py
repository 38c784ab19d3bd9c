"""A report as one HTML file: styles and pictures inside, no script, nothing fetched.

The templates escape whatever they are given; names come from strangers' documents. A
policy in the page forbids scripts and any request, should a reader's browser see one.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tupana_etl.reports import charts, spanish
from tupana_etl.reports.blocks import Chart, Report, Section

HERE = Path(__file__).parent


def page_html(report: Report) -> str:
    """The whole page."""
    css = _text("style.css") + _text("page.css")
    return _environment().get_template("page.html").render(report=report, css=css)


def section_html(section: Section) -> str:
    """A section as a notebook shows it, styles included."""
    module = _environment().get_template("blocks.html").module
    body = module.section(section)  # type: ignore[attr-defined]
    # The classes keep Jupyter from reading «$ 1 … $ 2» as a formula.
    return (
        f"<style>{_text('style.css')}</style>"
        f'<div class="tupana mathjax_ignore tex2jax_ignore" lang="es-CL">{body}</div>'
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    made.filters |= {
        "day": spanish.day,
        "kind": lambda block: type(block).__name__,
        "picture": _picture,
    }
    return made


def _picture(chart: Chart, narrow: bool) -> str:
    encoded = base64.b64encode(charts.svg(chart, narrow=narrow)).decode("ascii")
    return f"data:image/svg+xml;base64,{encoded}"


@cache
def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
