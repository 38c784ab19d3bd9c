"""Asset checks. What is incomplete fails its check and is published; wrong data is not."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import dagster as dg

from dagster_project.metadata import asset_key, markdown, plain
from dagster_project.resources import WRITER_POOL, TupanaResource, told
from tupana_etl import analysis
from tupana_etl.pipeline import SyncResult, at_rest
from tupana_etl.streams import STREAMS, Stream
from tupana_etl.warehouse.publish import doubled_key

COMPANIES = "master_entities"
SHOWN = 10
"""Findings listed in a check's result."""


def reading_specs(stream: Stream) -> list[dg.AssetCheckSpec]:
    """Checks that the reading itself answers. A child comes whole, or not, with its parent."""
    if stream.is_child:
        return []
    key = asset_key(f"raw.{stream.name}")
    whole = "Every company and period was read whole. If not, the next sync reads it again."
    taken = "Every row could be taken. If not, raw.rejects has its JSON and the reason."
    open_ = "The key may see every company. Those that answer 403, or that the key no longer "
    specs = [
        dg.AssetCheckSpec("complete", asset=key, description=whole),
        dg.AssetCheckSpec("no_rejects", asset=key, description=taken),
    ]
    if stream.name == COMPANIES:
        open_ += "shows, are named; the others are read all the same."
        specs.append(dg.AssetCheckSpec("every_company_answers", asset=key, description=open_))
    return specs


def reading_results(stream: Stream, result: SyncResult) -> list[dg.AssetCheckResult]:
    """One verdict per check of :func:`reading_specs`, with its reasons."""
    if stream.is_child:
        return []
    key = asset_key(f"raw.{stream.name}")
    parts = [p for p in result.streams if p.stream == stream.name]
    reasons = [reason for p in parts for reason in p.reasons]
    rejected = sum(p.rejected for p in parts)
    results = [
        dg.AssetCheckResult(
            asset_key=key,
            check_name="complete",
            passed=all(p.complete for p in parts),
            description="; ".join(reasons[:SHOWN]) or None,
            metadata={"incomplete_windows": len(reasons)},
        ),
        dg.AssetCheckResult(
            asset_key=key,
            check_name="no_rejects",
            passed=rejected == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"rejected": rejected},
        ),
    ]
    if stream.name == COMPANIES:
        shut = sorted({p.entity for p in result.streams if p.refused} | set(result.hidden))
        results.append(
            dg.AssetCheckResult(
                asset_key=key,
                check_name="every_company_answers",
                passed=not shut,
                description=f"Refused, or no longer shown: {', '.join(shut)}" if shut else None,
                metadata={"companies_refused": len(shut)},
            )
        )
    return results


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "unique_key",
            asset=asset_key(f"raw.{stream.name}"),
            blocking=True,  # wrong data: the models and the published file stay as they are
            description=f"No two current rows have the same {', '.join(stream.key)}.",
        )
        for stream in STREAMS.values()
    ],
    can_subset=True,
    pool=WRITER_POOL,
)
def unique_keys(
    context: dg.AssetCheckExecutionContext, tupana: TupanaResource
) -> Iterator[dg.AssetCheckResult]:
    """Counts in the warehouse, before anything is rebuilt or published."""
    with told(), at_rest(tupana.settings()) as con:
        doubled = {
            check: doubled_key(con, STREAMS[check.asset_key.path[-1]])
            for check in context.selected_asset_check_keys
        }
    for check, key in doubled.items():
        yield dg.AssetCheckResult(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=key is None,
            description=f"Twice: {key}" if key else None,
        )


class Finding(NamedTuple):
    """A check of a mart: it fails while the query has rows, and shows them."""

    table: str
    name: str
    description: str
    query: str
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def spec(self) -> dg.AssetCheckSpec:
        return dg.AssetCheckSpec(
            self.name, asset=asset_key(self.table), description=self.description
        )


WARN = dg.AssetCheckSeverity.WARN
FINDINGS = [
    Finding(
        "marts.book_reconciliation",
        "equals_sii_books",
        "Documents and totals are those of SII's purchase and sales books, by company, month "
        "and type. marts.book_differences names the documents behind a difference.",
        """SELECT company_rut, period, operation, dte_type_code, docs_difference, total_difference
        FROM marts.book_reconciliation WHERE status = 'differs'
        ORDER BY abs(total_difference) DESC, 1, 2, 3, 4""",
        WARN,  # a late document, a book not scraped since: to look at, and not ours to block
    ),
    Finding(
        "marts.source_freshness",
        "tupana_read_sii_recently",
        "Tu Pana has read every company's SII data within twice its own rhythm (/sync-status). "
        "If not, documents are missing at the source: a company's SII password may have changed.",
        """SELECT company_rut, scrape_type, status, last_success_at, last_status, frequency_hours
        FROM marts.source_freshness WHERE status <> 'fresh' ORDER BY ALL""",
        WARN,
    ),
    Finding(
        "marts.documents",
        "amounts_add_up",
        "Net, exempt and IVA make the total of every document, and IVA is 19 % of its net. "
        "What is off by more than rounding is listed in marts.data_quality.",
        """SELECT check_name, issuer_rut, dte_type_code, folio, amount, message
        FROM marts.data_quality WHERE check_name IN ('total_does_not_add_up', 'iva_off')
        ORDER BY abs(amount) DESC, 1, 2, 3, 4""",
        WARN,  # SII took the document as it is: the figures follow it
    ),
    Finding(
        "marts.data_quality",
        "no_errors",
        "Nothing is known to make a figure wrong (findings of severity error).",
        """SELECT check_name, company_rut, issuer_rut, dte_type_code, folio, message
        FROM marts.data_quality WHERE severity = 'error' ORDER BY ALL""",
    ),
    Finding(
        "marts.receivables_aging",
        "sums_to_receivables",
        "The ageing adds up to the open balances it is made of, to the peso.",
        """SELECT * FROM (
            SELECT
                (SELECT sum(open_balance_clp) FROM marts.receivables WHERE bucket IS NOT NULL)
                    AS receivables,
                (SELECT sum(open_balance_clp) FROM marts.receivables_aging) AS aging
        ) WHERE receivables IS DISTINCT FROM aging""",
    ),
    Finding(
        "marts.payables_aging",
        "sums_to_payables",
        "The ageing adds up to the open balances it is made of, to the peso.",
        """SELECT * FROM (
            SELECT
                (SELECT sum(open_balance_clp) FROM marts.payables WHERE bucket IS NOT NULL)
                    AS payables,
                (SELECT sum(open_balance_clp) FROM marts.payables_aging) AS aging
        ) WHERE payables IS DISTINCT FROM aging""",
    ),
]


@dg.multi_asset_check(specs=[finding.spec for finding in FINDINGS], can_subset=True)
def findings(
    context: dg.AssetCheckExecutionContext, tupana: TupanaResource
) -> Iterator[dg.AssetCheckResult]:
    """Asks what was published, as an analyst would: it waits for nobody and blocks nobody."""
    for finding in FINDINGS:
        if finding.spec.key not in context.selected_asset_check_keys:
            continue
        with told(), analysis.answer(finding.query, tupana.settings()) as found:
            rows = list(found.rows)
        yield dg.AssetCheckResult(
            asset_key=finding.spec.asset_key,
            check_name=finding.name,
            passed=not rows,
            severity=finding.severity,
            description=summary(found.columns, rows),
            metadata={"findings": len(rows), **first(found.columns, rows)},
        )


def summary(columns: list[str], rows: list[tuple[Any, ...]]) -> str | None:
    """How many and the first one, in a line: what a person reads before any table."""
    if not rows:
        return None
    named = ", ".join(
        f"{name} {plain(value)}" for name, value in zip(columns, rows[0], strict=True)
    )
    return f"{len(rows):,} found. The first: {named}."


def first(columns: list[str], rows: list[tuple[Any, ...]]) -> dict[str, dg.MarkdownMetadataValue]:
    """The first findings as a table, if there are any."""
    shown = dg.MetadataValue.md(markdown(columns, rows[:SHOWN]))
    return {"first_findings": shown} if rows else {}
