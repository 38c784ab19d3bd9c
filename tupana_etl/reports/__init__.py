"""Reports for finance people, in Spanish: built once, shown as a page or in a notebook.

    report = build("receivables", settings, entity="76086428-5", as_of=date(2026, 6, 30))
    report["antiguedad"]          # a section, in a notebook
    write(report, settings)       # self-contained HTML in exports/ of the home

Figures come from the published marts and the macros as of a date, to the peso.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from tupana_etl import export, home
from tupana_etl.errors import ConfigError
from tupana_etl.reports import (
    balances,
    debtors,
    documents,
    dso,
    offer,
    portfolio,
    provenance,
    reading,
)
from tupana_etl.reports.blocks import Report, Section
from tupana_etl.reports.offer import Terms
from tupana_etl.reports.source import Source, open_source
from tupana_etl.settings import Settings, load

__all__ = ["KINDS", "Report", "Section", "Terms", "build", "write"]

Made = tuple[list[Section], dict[str, Any]]


def _receivables(source: Source, document: str | None, _: Terms | None) -> Made:
    t = balances.totals(source)
    sections = [
        balances.summary(source, t),
        balances.ageing(source, t),
        debtors.largest(source, t),
        debtors.concentration(source, t),
        dso.dso(source),
        balances.acceptance(source, t),
        documents.overdue(source, t),
        documents.story(source, document),
        portfolio.ceded(source),
        debtors.credit(source),
        provenance.quality(source),
        reading.receivables(),
    ]
    figures = {
        "documents": t.documents,
        "customers": t.customers,
        "open_balance_clp": t.balance,
        "in_pesos_clp": t.in_pesos,
        "in_foreign_currency_clp": t.in_foreign,
        "overdue_clp": t.overdue,
        "claimed_clp": t.claimed,
        "documents_without_clp": t.without_amount + t.without_rate,
    }
    return sections, figures


def _factoring(source: Source, _: str | None, terms: Terms | None) -> Made:
    t = portfolio.totals(source)
    sections = [
        portfolio.by_assignee(source, t),
        portfolio.by_debtor(source),
        offer.candidates(source),
        offer.cost(source, terms),
        provenance.quality(source),
        reading.factoring(),
    ]
    figures: dict[str, Any] = {
        "ceded_documents": t.documents,
        "outstanding_clp": t.outstanding,
        "overdue_clp": t.overdue,
        "claimed_clp": t.claimed,
    }
    if not source.is_past:
        figures |= offer.eligible_figures(source)
        if terms is not None:
            figures["offer"] = offer.sums(offer.priced(source, terms))
    return sections, figures


KINDS: dict[str, tuple[str, Callable[[Source, str | None, Terms | None], Made]]] = {
    "receivables": ("Cuentas por cobrar", _receivables),
    "factoring": ("Factoring: cartera cedida y candidatas", _factoring),
}


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
    title, make = KINDS[kind]
    with open_source(settings or load(), entity, as_of) as source:
        sections, figures = make(source, document, terms)
        run = source.last_sync
        if source.is_past:
            basis = provenance.past_basis(source)
            figures["unknown_documents"] = basis.unknown
            figures["unknown_clp"] = basis.unknown_clp
        return Report(
            kind=kind,
            title=title,
            company=source.company,
            company_rut=source.company_rut,
            as_of=source.as_of,
            is_past=source.is_past,
            complete=run is not None and bool(run.complete),
            is_sandbox=source.is_sandbox,
            sections=[sections[0], provenance.provenance(source), *sections[1:]],
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
