"""From the rows of a source to the invoices that would be ceded, or to what is wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tupana_etl.outbox import about, known
from tupana_etl.outbox.about import Asked
from tupana_etl.outbox.cession_contract import COLUMNS
from tupana_etl.outbox.drafts import Draft, Row, canonical
from tupana_etl.outbox.known import Candidate, Known
from tupana_etl.outbox.reasons import Problem

_EMAIL = re.compile(r"[^@\s,;]+@[^@\s,;]+\.[^@\s,;]+")


class Assignee(msgspec.Struct, frozen=True):
    """Who buys the credit, as the API is told."""

    rut: str
    name: str
    address: str
    email: str
    assignor_email: str | None = None


class Ceding(msgspec.Struct, frozen=True):
    """What was approved: which invoice, how many pesos, to whom. The ledger keeps it as JSON."""

    document_id: str
    amount: Decimal
    assignee: Assignee


def ceding_of(payload: bytes | None) -> Ceding:
    """The cession a row asks for."""
    return msgspec.json.decode(payload or b"", type=Ceding)


def cession_drafts(
    rows: Sequence[tuple[str, Row]], analytics: Path, under_way: Collection[str]
) -> list[Draft]:
    """One draft a row, in the order of the source.

    ``rows`` are (place, columns); ``analytics`` is the published database; ``under_way`` are
    row keys that were sent: whether they may be ceded is no question any more. Raises
    ConfigError when nothing was published yet.
    """
    asked = [about.read(place, row, COLUMNS, _check) for place, row in rows]
    documents = known.documents(analytics, about.documents_of(asked))
    candidates = known.candidates(analytics, about.documents_of(asked))
    assignees = {e.values["assignee_rut"] for e in asked if "assignee_rut" in e.values}
    drafts = []
    for each in about.sound(asked, lambda e: documents.get(e.document) if e.document else None):
        found = documents.get(each.document) if each.document else None
        problems = [*each.problems]
        if found is not None and each.document is not None and not problems:
            problems += _of_the_invoice(each, found)
            if each.key not in under_way:
                problems += _of_the_market(candidates.get(each.document))
        if len(assignees) > 1 and not problems:
            problems.append(_several(assignees))
        drafts.append(_draft(replace(each, problems=tuple(problems)), found))
    return about.once(drafts)


def _check(values: Mapping[str, Any]) -> Iterator[Problem]:
    for name in ("assignee_email", "assignor_email"):
        if name in values and not _EMAIL.fullmatch(values[name]):
            yield Problem("bad_value", f"{name} is no e-mail address.")
    if values["assignee_rut"] == values["issuer_rut"]:
        yield Problem("bad_value", "assignee_rut is the issuer's own.")


def _of_the_invoice(asked: Asked, found: Known) -> Iterator[Problem]:
    if asked.values["amount"] != found.total:
        yield Problem(
            "arithmetic",
            f"amount is {asked.values['amount']:f} and the invoice is of {found.total:f} pesos. An "
            "invoice is ceded whole.",
        )


def _of_the_market(candidate: Candidate | None) -> Iterator[Problem]:
    if candidate is None or not candidate.eligible:
        why = ", ".join(candidate.reasons) if candidate else "it is no open receivable"
        yield Problem(
            "not_cedible",
            f"marts.factoring_candidates says that it may not be ceded: {why}.",
        )


def _several(assignees: Collection[str]) -> Problem:
    return Problem(
        "several_assignees",
        f"The source has {len(assignees)} assignees. A plan is for one: one approval, one buyer.",
    )


def _draft(asked: Asked, found: Known | None) -> Draft:
    draft, values = asked.draft(found), asked.values
    if found is None or asked.problems:
        return draft
    assignee = Assignee(
        rut=values["assignee_rut"],
        name=values["assignee_name"],
        address=values["assignee_address"],
        email=values["assignee_email"],
        assignor_email=values.get("assignor_email"),
    )
    return replace(
        draft,
        payload=canonical(Ceding(found.document_id, found.total, assignee)),
        remark=f"To {assignee.rut} {assignee.name}.",
    )
