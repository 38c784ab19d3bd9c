"""The row contract of cessions: one row cedes one invoice, whole, to one assignee."""

from __future__ import annotations

from tupana_etl.outbox.contract import Column

CEDIBLE = ("33", "34")
"""Types that the API cedes (API reference, POST /cessions/batch)."""

COLUMNS: dict[str, Column] = {
    c.name: c
    for c in (
        Column(
            "row_key",
            "text",
            "Identity of the cession in your business, such as the factoring company's operation "
            "and the folio. The same key is the same cession for ever, made at most once.",
            limit=200,
            always=True,
        ),
        Column("issuer_rut", "rut", "Your company, who cedes.", always=True),
        Column("dte_type", "code", "SII document type.", choices=CEDIBLE, always=True),
        Column("folio", "code", "Folio of the invoice.", limit=30, always=True),
        Column(
            "amount",
            "number",
            "Pesos that are ceded: the total of the invoice, since the API takes no other. A "
            "difference blocks the row.",
            always=True,
        ),
        Column("assignee_rut", "rut", "Who buys the credit; one in a source.", always=True),
        Column("assignee_name", "text", "Its name.", limit=100, always=True),
        Column("assignee_address", "text", "Its address.", limit=100, always=True),
        Column("assignee_email", "text", "Its e-mail address.", limit=80, always=True),
        Column(
            "assignor_email",
            "text",
            "Your e-mail address on the cession. Empty: the company's at Tu Pana.",
            limit=80,
        ),
    )
}
