"""Which sections and figures each report has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from tupana_etl.reports.blocks import Section
from tupana_etl.reports.source import Source
from tupana_etl.reports.terms import Terms

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


_MADE: dict[str, Callable[[Source, str | None, Terms | None], Made]] = {
    "receivables": _receivables,
    "factoring": _factoring,
}


def contents(kind: str, source: Source, document: str | None, terms: Terms | None) -> Made:
    """Sections of a report and its figures by name; on what it rests stands second."""
    sections, figures = _MADE[kind](source, document, terms)
    if source.is_past:
        basis = provenance.past_basis(source)
        figures["unknown_documents"] = basis.unknown
        figures["unknown_clp"] = basis.unknown_clp
    return [sections[0], provenance.provenance(source), *sections[1:]], figures
