"""Reports for finance people, in Spanish: built once, shown as a page or in a notebook.

    report = build("receivables", settings, entity="76086428-5", as_of=date(2026, 6, 30))
    report["antiguedad"]          # a section, in a notebook
    write(report, settings)       # self-contained HTML in exports/ of the home

Figures come from the published marts and the macros as of a date, to the peso.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tupana_etl import export, home
from tupana_etl.errors import ConfigError
from tupana_etl.reports.blocks import Report, Section
from tupana_etl.reports.source import open_source
from tupana_etl.reports.terms import Terms
from tupana_etl.settings import Settings, load

__all__ = ["KINDS", "Report", "Section", "Terms", "build", "write"]

KINDS = {
    "receivables": "Cuentas por cobrar",
    "factoring": "Factoring: cartera cedida y candidatas",
}
"""Title of each kind of report."""


def build(
    kind: str,
    settings: Settings | None = None,
    *,
    entity: str | None = None,
    as_of: date | None = None,
    document: str | None = None,
    terms: Terms | None = None,
) -> Report:
    """A report of one company (RUT or id; None: all) at the end of a day (None: newest).

    ``document`` is whose story receivables tell, ``terms`` an offer for factoring. Raises
    ConfigError for an unknown kind, company, document or day, and when nothing is published.
    """
    if kind not in KINDS:
        raise ConfigError(f"There is no report {kind!r}. There are: {', '.join(KINDS)}.")
    # Whoever only lists the reports need not load what draws them: half a second.
    from tupana_etl.reports.contents import contents  # noqa: PLC0415

    with open_source(settings or load(), entity, as_of) as source:
        sections, figures = contents(kind, source, document, terms)
        run = source.last_sync
        return Report(
            kind=kind,
            title=KINDS[kind],
            company=source.company,
            company_rut=source.company_rut,
            as_of=source.as_of,
            is_past=source.is_past,
            complete=run is not None and bool(run.complete),
            is_sandbox=source.is_sandbox,
            sections=sections,
            figures=figures,
        )


def write(
    report: Report,
    settings: Settings | None = None,
    *,
    out: Path | None = None,
    force: bool = False,
) -> Path:
    """The report as one HTML file: ``out``, or in ``exports/`` of the home, private.

    The default file is overwritten, an ``out`` that exists only with ``force``. Raises
    ConfigError for a folder that is not there.
    """
    from tupana_etl.reports.page import page_html  # noqa: PLC0415 - drawing costs a second

    if out is None:
        folder = (settings or load()).home / "exports"
        home.prepare(folder)
        parts = (report.kind, report.company_rut, report.as_of.isoformat())
        target = folder / ("-".join(p for p in parts if p) + ".html")
    else:
        target = export.target(out, force=force)
    page = page_html(report)
    with export.replacing(target, private=out is None) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target
