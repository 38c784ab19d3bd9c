"""Kinds of faults and what their argument says."""

from __future__ import annotations

READING = {
    "429": "Too many requests; argument: Retry-After (seconds, 'date', any text), null for none.",
    "500": "An error of the server, as JSON.",
    "502_html": "A gateway's HTML page.",
    "503": "Busy; argument as of 429.",
    "401": "The key is refused.",
    "not_json": "200 with an HTML page; nothing is done.",
    "reset": "The connection is reset before an answer; nothing is done.",
    "reset_body": "Done; the connection closes halfway through the answer.",
    "truncated": "Done; half the answer's body: the length is right, the JSON is cut.",
    "slow": "Done; the answer drips over argument milliseconds (1000).",
    "403_company": "A company's lists answer 403.",
    "hide_company": "A company is gone from /credentials and everything of it answers 403.",
    "empty": "A list of a company that has rows answers none.",
    "insert_while_paging": "A document appears in the list just asked for; argument: its date.",
    "delete_while_paging": "A document of the list just asked for is deleted; argument: its id.",
    "unknown_fields": "Keys nobody documented on every second row of a page.",
    "wrong_types": "One row of a page has an object in a field; argument: which field.",
}
"""Drawn for readers."""

UNDONE = {
    "status": "Argument: 400, 403, 404, 408, 409 (key in progress), 413, 422 (naming nothing), "
    "502 or 504, as JSON; nothing is done.",
    "422_named": "Refused, naming the documents of argument ('3,9').",
    "redirect": "Sent to another host; argument: status (307).",
    "reset_request": "Reset once argument bytes (0) of the request's body are there.",
    "close": "The connection is closed without an answer.",
    "hang": "No answer until the client leaves.",
}
"""Nothing is done, and the client cannot always know."""

DONE = {
    "lost": "Done; then closed without an answer, or argument: 'reset', 'hang'.",
    "done_status": "Done; then the answer is a gateway's of argument (502).",
    "later": "Closed without an answer; done argument seconds later (60), by the sandbox's clock.",
    "later_hang": "No answer until the client leaves; done argument seconds later (60).",
    "html": "Done; the right status with an HTML page.",
    "no_body": "Done; the right status with no body.",
    "not_utf8": "Done; the answer has a byte that is no UTF-8.",
    "slow_loris": "Done; the answer comes a byte every argument milliseconds (200).",
    "skewed_date": "Done; the answer's Date is off by argument seconds (3600).",
    "fewer_entries": "Done; the last entry of a batch's answer is missing.",
    "more_entries": "Done; a batch's answer has an entry of a document nobody asked for.",
    "reordered_entries": "Done; entries come last first, each with its index.",
    "shifted_indexes": "Done; each entry has the index of the next.",
    "other_batch_id": "Done; the answer names a batch that is not.",
    "foreign_answer": "Done; the answer is somebody else's batch.",
}
"""The request is done, whatever the client hears of it."""

ORDERS = {
    "forget_key": "A known Idempotency-Key is taken for a new one.",
    "outcome": "Statuses that documents take instead of success: '[INDEX:]STATUS[>STATUS…]'.",
    "duplicate": "A document is issued twice; argument: its index, null for every one.",
    "drop_json_param": "json_param is lost; argument: of which index, null for every one.",
    "other_totals": "Issued with another total; argument: how many pesos more (1000).",
    "sii_reject": "Issued, then refused by SII; argument: seconds later (0).",
    "intake_failed": "Accepted, then the batch fails whole and issues nothing.",
    "cession_fails": "SII refuses a cession; argument: of which index, null for every one.",
}
"""Take hold of a batch that was accepted; the first aside, several at once and with one of
the other kinds. They strike POST /documents/batch alone (the last: POST /cessions/batch),
and count a hit when they do."""

ALL = {**READING, **UNDONE, **DONE, **ORDERS}

OF_COMPANY = frozenset({"403_company", "hide_company", "empty"})
"""Need a company."""

OF_A_NUMBER = frozenset(
    {
        *("slow", "status", "redirect", "reset_request", "done_status", "later", "later_hang"),
        *("slow_loris", "skewed_date", "other_totals", "sii_reject"),
    }
)
"""Their argument is a number or null."""


def outcome(argument: object) -> tuple[int | None, tuple[str, ...]]:
    """Index (None for every document) and statuses. ValueError when it says neither."""
    where, colon, what = str(argument or "").rpartition(":")
    if (colon and not where.isdigit()) or not all(what.split(">")):
        raise ValueError(f"outcome needs '[INDEX:]STATUS[>STATUS…]', not {argument!r}")
    return (int(where) if colon else None), tuple(what.split(">"))
