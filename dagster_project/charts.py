"""What a mart amounts to: a few bars in its metadata, and a figure that plots over time."""

import math
from typing import Any, NamedTuple

import dagster as dg

from dagster_project.metadata import markdown
from tupana_etl.warehouse.database import Connection

WIDTH = 24
"""Characters of the longest bar."""
BARS = 12


class Chart(NamedTuple):
    """Bars by ``label`` of the sum of ``figure``, or of the rows where it is empty."""

    label: str
    figure: str = ""
    largest: bool = False
    """The largest ones, not the last ones: for labels that are names."""
    total: bool = True
    """Whether the sum of all bars is a figure to follow over time; that of months is not."""


CHARTS = {
    "marts.book_reconciliation": Chart("status"),
    "marts.cash_forecast": Chart("week", "expected_clp"),
    "marts.customer_exposure": Chart("counterparty_name", "open_balance_clp", largest=True),
    "marts.data_quality": Chart("severity || ' ' || check_name", largest=True),
    "marts.documents": Chart("strftime(date_issued, '%Y-%m')"),
    "marts.dso_monthly": Chart("strftime(month, '%Y-%m')", "receivables_clp", total=False),
    "marts.factoring_candidates": Chart("if(eligible, 'eligible', 'not eligible')"),
    "marts.factoring_portfolio": Chart("status", "outstanding_clp"),
    "marts.payables": Chart("bucket", "open_balance_clp"),
    "marts.payables_aging": Chart("bucket", "open_balance_clp"),
    "marts.receivables": Chart("bucket", "open_balance_clp"),
    "marts.receivables_aging": Chart("bucket", "open_balance_clp"),
    "marts.source_freshness": Chart("status"),
    "marts.vat_monthly": Chart("period", "iva_balance_clp", total=False),
}


def chart(con: Connection, table: str) -> dict[str, Any]:
    """The chart of a mart that has one; whole pesos, as the mart says them."""
    if table not in CHARTS:
        return {}
    label, figure, largest, follow = CHARTS[table]
    amount = f"sum({figure})" if figure else "count(*)"
    rows = con.execute(
        f"""WITH bars AS (
            SELECT ({label})::VARCHAR AS label, coalesce({amount}, 0)::BIGINT AS figure
            FROM {table} WHERE ({label}) IS NOT NULL GROUP BY ALL
        ), shown AS (
            FROM bars ORDER BY {"figure DESC, label" if largest else "label DESC"} LIMIT {BARS}
        )
        FROM shown ORDER BY {"figure DESC, label" if largest else "label <> 'not_due', label"}"""
    ).fetchall()
    total = con.execute(f"SELECT coalesce({amount}, 0)::DOUBLE FROM {table}").fetchone()
    top = max((abs(value) for _, value in rows), default=0) or 1
    drawn = [[name, value, bar(value / top)] for name, value in rows]
    columns = [label if label.isidentifier() else "", figure or "rows", ""]
    return {
        "chart": dg.MetadataValue.md(markdown(columns, drawn)),
        # A float: Dagster plots whole numbers only up to 2³¹.
        **({figure: float(total[0])} if figure and follow and total else {}),
    }


def bar(share: float) -> str:
    """Dark for what is above zero, light for what is below."""
    return ("█" if share > 0 else "░") * math.ceil(WIDTH * abs(share))
