"""Pages of documents to rows in DuckDB's C++: the fastest finished table of facts known here.

Nested lists stay JSON text. Shared by the floor that inserts and by the best pipeline on dlt,
whose environment holds DuckDB but nothing of this project.
"""

from __future__ import annotations

import json

COLUMNS = {
    "id": "BIGINT",
    "folio": "VARCHAR",
    "date_issued": "DATE",
    "amount_with_iva": "DECIMAL(18,4)",
    "amount_without_iva": "DECIMAL(18,4)",
    "amount_iva": "DECIMAL(18,4)",
    "dte_type_code": "VARCHAR",
    "created_at": "TIMESTAMPTZ",
    "updated_at": "TIMESTAMPTZ",
    "currency": "VARCHAR",
    "sender_id": "VARCHAR",
    "sender_tax_id": "VARCHAR",
    "receiver_id": "VARCHAR",
    "receiver_tax_id": "VARCHAR",
    "sender_name": "VARCHAR",
    "receiver_name": "VARCHAR",
    "dte_type_description": "VARCHAR",
    "state": "VARCHAR",
    "is_paid": "BOOLEAN",
    "has_credit_note": "BOOLEAN",
    "vat_withheld": "BOOLEAN",
    "has_trace": "BOOLEAN",
    **dict.fromkeys(("header", "document_total", "details", "references"), "JSON"),
    **dict.fromkeys(("document_states", "latest_trace_info", "traces"), "JSON"),
    **dict.fromkeys(("book_metadata", "json_param"), "JSON"),
}

ROWS = f"""SELECT unnest(page.results, recursive := true)
    FROM (SELECT from_json(body, '{json.dumps({"results": [COLUMNS]})}') AS page FROM pages)"""
"""The rows of a table ``pages`` with one column ``body``."""

CHILDREN = {
    "document_lines": "details",
    "document_references": "references",
    "document_states": "traces",
}
"""Table of each nested list, and the column it comes in."""

_ELEMENTS = {
    "details": {
        "line_number": "BIGINT",
        "item_name": "VARCHAR",
        "quantity": "DECIMAL(24,6)",
        "unit": "VARCHAR",
        "unit_price": "DECIMAL(24,6)",
        "item_total": "DECIMAL(18,4)",
    },
    "references": {
        "reference_folio": "VARCHAR",
        "reference_date": "DATE",
        "reference_reason": "VARCHAR",
        "dte_type_code": "VARCHAR",
    },
    "traces": {
        "event_code": "VARCHAR",
        "event_description": "VARCHAR",
        "event_date": "TIMESTAMPTZ",
        "responsable_rut": "BIGINT",
        "responsable_dv": "VARCHAR",
    },
}


def child_rows(column: str) -> str:
    """The elements of a list as typed rows of their own, from a table ``documents``."""
    text = "json_extract(traces, '$[0].events')" if column == "traces" else f'"{column}"'
    shape = json.dumps([_ELEMENTS[column]])
    return f"""SELECT id AS document_id, generate_subscripts(list, 1) AS "position",
        unnest(list, recursive := true)
    FROM (SELECT id, from_json({text}, '{shape}') AS list FROM documents)"""


PAGES_AT_ONCE = 50
"""Fewer cost more a page: the text is parsed a vector at a time."""
