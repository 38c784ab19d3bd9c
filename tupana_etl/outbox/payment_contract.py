"""The row contract of payments: one row books, or undoes, one payment on one document.

The API takes neither an amount nor a date (POST /documents/{id}/states, API reference): a
document is paid whole or it is not.
"""

from __future__ import annotations

from tupana_etl.outbox.contract import Column

PAYABLE = ("33", "34", "39", "41")
"""Types that the issuer may mark as paid (API reference, POST /documents/{id}/states)."""

EVENTS = ("PAID", "UNPAID")

LEGAL_ACTS = ("ERM", "ACD", "RCD", "RFP", "RFT")
"""Acceptances and claims at SII, which the same address takes."""

COLUMNS: dict[str, Column] = {
    c.name: c
    for c in (
        Column(
            "row_key",
            "text",
            "Identity of the payment in your business, such as the bank's transaction number. "
            "Never that of a document: the same key is the same payment for ever, and at most one "
            "entry is made for it.",
            limit=200,
            always=True,
        ),
        Column("issuer_rut", "rut", "Your company, who is paid.", always=True),
        Column("dte_type", "code", "SII document type.", choices=PAYABLE, always=True),
        Column("folio", "code", "Folio of the document that was paid.", limit=30, always=True),
        Column(
            "event",
            "code",
            "`PAID`, or `UNPAID` to undo a payment. A document that reads so already is adopted: "
            "nothing is sent.",
            choices=EVENTS,
            always=True,
        ),
        Column(
            "paid_on",
            "date",
            "When the money came. Kept in the ledger: the API has no place "
            "for it. Needed for `PAID`.",
        ),
        Column("source", "text", "Where you know it from; kept in the ledger.", limit=200),
        Column(
            "no_match",
            "text",
            "Why no document was found. A row that says so is blocked with these words, so that "
            "every line of a bank statement is accounted for.",
            limit=300,
        ),
    )
}
