"""Acceptances and claims at SII: what a receiver may still say of a document, and until when.

They are legal acts: a claim stops the debt, an acceptance makes it final (Ley 19.983 art. 3).
So each has a reason, is approved by a named person whatever the environment, and is asked for
on the command line (``--allow-claims``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from tupana_etl.domain import SANTIAGO
from tupana_etl.outbox.drafts import canonical
from tupana_etl.outbox.known import Received
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.payment_contract import ACCEPTANCES, ACT_TYPES, CLAIMS
from tupana_etl.outbox.reasons import Problem
from tupana_etl.outbox.rows import Intent

APPROVAL = "acceptances and claims at SII are always approved by a named person"

_NO_TERM = {"1": "paid in cash", "3": "free of charge"}
"""Payment methods whose documents SII's register takes no event of."""


class Act(msgspec.Struct, frozen=True):
    """What was approved: which act on which document, why, and until when it may be sent."""

    document_id: str
    event_code: str
    reason: str
    issuer_rut: str
    until: str | None
    """End of the eight days, ISO 8601; None of what was there already when it was planned."""

    @property
    def body(self) -> bytes:
        """What is sent. Only a claim has room for its reason (API reference)."""
        told = {"event_code": self.event_code}
        if self.event_code in CLAIMS:
            told["rejection_reason"] = self.reason
        return canonical(told)

    @property
    def deadline(self) -> datetime | None:
        return None if self.until is None else datetime.fromisoformat(self.until)


def check(values: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with a row by itself."""
    code = values["event"]
    if values["dte_type"] not in ACT_TYPES:
        kinds = ", ".join(ACT_TYPES)
        said = f"SII's register knows {kinds} only; a {values['dte_type']} is never claimed there."
        yield Problem("bad_value", said)
    if "reason" not in values:
        yield Problem("missing", f"reason is empty; {code} is a legal act and has one.")
    if "paid_on" in values:
        yield Problem("not_for_type", f"paid_on is filled, and {code} is no payment.")


def of_the_document(code: str, found: Received, now: datetime) -> Iterator[Problem]:
    """What stands against an act, by what was published of its document.

    ``now`` is aware. Source: SII, Registro de Reclamo de DTE, web service v1.2.
    """
    if found.payment_method in _NO_TERM:
        how = _NO_TERM[found.payment_method]
        yield Problem("not_claimable", f"The document is {how}: SII takes no {code} of it.")
    elif code in found.events:
        return  # there already: adopted, however late it is
    elif over := out_of_time(code, found.deadline, now):
        yield Problem("claim_window", over)
    else:
        standing = set(found.events)
        # Which events they are is not always published; that there are some is.
        if not standing & {*CLAIMS, *ACCEPTANCES}:
            standing |= {"claimed": {"a claim"}, "accepted_express": {"an acceptance"}}.get(
                found.acceptance or "", set()
            )
        against = said_against(code, standing)
        if against:
            yield Problem("not_claimable", against)


def said_against(code: str, standing: Collection[str]) -> str:
    """Why SII would refuse an act beside those that stand; '' when it would not.

    After a claim nothing is accepted, but claimed for another cause; after an acceptance or
    a receipt nothing is claimed.
    """
    claims = sorted({*standing} & {*CLAIMS, "a claim"})
    receipts = sorted({*standing} & {*ACCEPTANCES, "an acceptance"})
    if code in ACCEPTANCES and claims:
        return f"It was claimed already ({', '.join(claims)}): SII takes no {code} after that."
    if code in CLAIMS and receipts:
        return f"It was accepted already ({', '.join(receipts)}): SII takes no {code} after that."
    return ""


def out_of_time(code: str, deadline: datetime | None, now: datetime) -> str:
    """Why an act cannot be sent at this moment; '' while it can."""
    if deadline is None:
        return "Nobody says when SII received the document, so its eight days cannot be counted."
    if now < deadline:
        return ""
    return (
        f"The eight days to accept or claim ended on {told(deadline)}: SII takes no {code} any "
        "more (Ley 19.983 art. 3)."
    )


def told(deadline: datetime) -> str:
    """A moment on Santiago's clock."""
    return f"{deadline.astimezone(SANTIAGO):%Y-%m-%d %H:%M}"


def is_approved_by_a_person(ledger: Ledger, intent: Intent) -> bool:
    """Whether a person let this very row be sent; a proven sandbox is no person."""
    found = ledger.con.execute(
        "SELECT kind FROM approvals WHERE id = ?", [intent.approval_id]
    ).fetchone()
    return found is not None and found[0] in ("plan", "release")
