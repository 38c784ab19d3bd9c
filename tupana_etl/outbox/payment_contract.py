"""The row contract of payments: one row books, or undoes, one payment on one document, or
says one thing about a document that was received.

The API takes neither an amount nor a date (POST /documents/{id}/states, API reference): a
document is paid whole or it is not.
"""

from __future__ import annotations

from tupana_etl.outbox.contract import Column

PAYABLE = ("33", "34", "39", "41")
"""Types that the issuer may mark as paid (API reference, POST /documents/{id}/states)."""

EVENTS = ("PAID", "UNPAID")

ACCEPTANCES = ("ERM", "ACD")
"""The goods were received; the content is accepted (Ley 19.983)."""

CLAIMS = ("RCD", "RFP", "RFT")
"""The content is claimed; goods are missing in part; they are missing all (Ley 19.983)."""

LEGAL_ACTS = (*ACCEPTANCES, *CLAIMS)
"""What a receiver says at SII, which the same address takes."""

ACT_TYPES = ("33", "34", "43")
"""Types of SII's register of claims (SII, Registro de Reclamo de DTE, web service v1.2)."""

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
        Column(
            "issuer_rut",
            "rut",
            "Who issued the document: your company, who is paid; of an acceptance or a claim, "
            "your supplier.",
            always=True,
        ),
        Column(
            "dte_type",
            "code",
            "SII document type: 33, 34, 39 or 41 to be paid, 33, 34 or 43 to be accepted or "
            "claimed.",
            choices=tuple(sorted({*PAYABLE, *ACT_TYPES})),
            always=True,
        ),
        Column("folio", "code", "Folio of the document.", limit=30, always=True),
        Column(
            "event",
            "code",
            "`PAID`, or `UNPAID` to undo a payment; with `--allow-claims` also `ERM`, `ACD`, "
            "`RCD`, `RFP` or `RFT`. A document that reads so already is adopted: nothing is sent.",
            choices=(*EVENTS, *LEGAL_ACTS),
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
            "reason",
            "text",
            "Why it is accepted or claimed; needed for that. Kept in the ledger, and sent with a "
            "claim.",
            limit=250,
        ),
        Column(
            "no_match",
            "text",
            "Why no document was found. A row that says so is blocked with these words, so that "
            "every line of a bank statement is accounted for.",
            limit=300,
        ),
    )
}
