"""The row contract of schedules: the lines of one row key make one standing order, by which
Tu Pana issues a document again and again.

Source: API reference, POST /scheduled-documents.
"""

from __future__ import annotations

from tupana_etl.outbox.contract import COLUMNS as OF_DOCUMENTS
from tupana_etl.outbox.contract import Column

FREQUENCIES = ("daily", "weekly", "monthly", "quarterly", "semiannual", "yearly")
BY_MONTHS = FREQUENCIES[2:]
"""Those that have a day of the month."""

TYPES = ("33", "34", "39", "41")
"""Sales alone: a note or a dispatch note is of one occasion."""

MAX_REFERENCES = 3

COLUMNS: dict[str, Column] = {
    c.name: c
    for c in (
        Column(
            "row_key",
            "text",
            "Identity of the schedule in your business, such as `contract:ACME:4711`. The same key "
            "is the same schedule for ever, made at most once.",
            limit=200,
            always=True,
        ),
        Column("issuer_rut", "rut", "Your company.", always=True),
        Column("dte_type", "code", "SII document type.", choices=TYPES, always=True),
        Column("receiver_rut", "rut", "Who is invoiced.", always=True),
        Column(
            "frequency", "code", "How often a document is issued.", choices=FREQUENCIES, always=True
        ),
        Column(
            "day_of_month",
            "whole",
            "1 to 31, the month's last day when it has no such day. Needed unless daily or weekly.",
        ),
        Column("day_of_week", "whole", "1 is Monday, 7 Sunday. Needed for `weekly`."),
        Column("start_date", "date", "First day on which it may run; not past.", always=True),
        Column("end_date", "date", "Last day. Empty, with `max_occurrences`: it never ends."),
        Column("max_occurrences", "whole", "How many documents at most, instead of `end_date`."),
        Column(
            "currency",
            "code",
            "Currency of the prices; empty is `CLP`.",
            choices=("CLP", "UF", "USD", "EUR"),
        ),
        Column("currency_day", "whole", "Day of the month whose rate is used; empty: of issue."),
        Column(
            "emission_day_adjustment",
            "code",
            "What a day that is no working day does; empty is `none`.",
            choices=("none", "next", "previous"),
        ),
        Column(
            "references",
            "list",
            "JSON list of at most 3 documents referred to, as of a document.",
        ),
        *(
            OF_DOCUMENTS[name]
            for name in (
                *("line_number", "item_name", "item_description", "item_code", "unit"),
                *("quantity", "unit_price"),
            )
        ),
    )
}

LINE = tuple(c.name for c in COLUMNS.values() if c.of_line and c.name != "line_number")
"""Columns of a line that are sent, by the API's own names."""
