"""Rows about documents that exist, payments and cessions alike: read, and found by what names
a document: issuer, type and folio."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tupana_etl import domain
from tupana_etl.outbox import cells, known
from tupana_etl.outbox.contract import Column
from tupana_etl.outbox.drafts import Draft, Row, key_of
from tupana_etl.outbox.known import Key, Known
from tupana_etl.outbox.payment_contract import LEGAL_ACTS
from tupana_etl.outbox.reasons import Problem, Unfit

Check = Callable[[Mapping[str, Any]], Iterable[Problem]]
"""What is wrong with values that were read, beyond each by itself."""


@dataclass(frozen=True)
class Asked:
    """One row of a source, read."""

    place: str
    key: str
    values: dict[str, Any]
    problems: tuple[Problem, ...]

    @property
    def document(self) -> Key | None:
        """Which document it is about; None when it does not say."""
        issuer, kind, folio = (self.values.get(n) for n in ("issuer_rut", "dte_type", "folio"))
        if not (issuer and kind and folio):
            return None
        return domain.canonical_rut(issuer) or "", kind, folio

    def draft(self, found: Known | None) -> Draft:
        """What can be said of it without what it asks for."""
        draft = Draft(
            self.key,
            self.place,
            dte_type=self.values.get("dte_type", ""),
            issuer_rut=self.values.get("issuer_rut", ""),
            folio=self.values.get("folio"),
            event=self.values.get("event", ""),
            problems=self.problems,
        )
        if found is None:
            return draft
        return replace(
            draft,
            receiver_rut=found.receiver_rut,
            date_issued=found.date_issued,
            clp=found.total,
            document_id=found.document_id,
        )


Find = Callable[[Asked], Known | None]
"""The document that a row is about, as it was published."""


def read(
    place: str,
    row: Row,
    columns: Mapping[str, Column],
    check: Check,
    problems: Sequence[Problem] = (),
) -> Asked:
    """A row by its contract. ``problems`` are those that are known already."""
    values: dict[str, Any] = {}
    wrong = list(problems)
    try:
        key = str(cells.read(columns["row_key"], key_of(row)))
    except Unfit as unfit:
        return Asked(place, "", values, (unfit.problem,))
    for column in columns.values():
        if column.name == "row_key" or cells.is_empty(row.get(column.name)):
            continue
        try:
            values[column.name] = cells.read(column, row[column.name])
        except Unfit as unfit:
            wrong.append(unfit.problem)
    if not wrong:
        wrong += [
            Problem("missing", f"{column.name} is empty.")
            for column in columns.values()
            if column.always and column.name not in ("row_key", *values)
        ]
    if not wrong:
        wrong += check(values)
    return Asked(place, key, values, tuple(wrong))


def sound(
    asked: Sequence[Asked],
    find: Find,
    subject: Callable[[Asked], Hashable] = lambda each: each.document,
) -> Iterator[Asked]:
    """The rows, with what is wrong with them beside the others and the documents.

    ``subject`` is what only one row of a source may be about.
    """
    keys = Counter(each.key for each in asked if each.key)
    about = Counter(subject(each) for each in asked)
    for each in asked:
        problems = [*_repeated(each, keys[each.key], about[subject(each)]), *each.problems]
        if not problems and find(each) is None:
            problems = [_unknown(each)]
        yield replace(each, problems=tuple(problems))


def once(drafts: Sequence[Draft]) -> list[Draft]:
    """A row key once: of those that stand several times, the first speaks for all."""
    first = {draft.row_key: draft for draft in reversed(drafts)}
    return [d for d in drafts if not d.row_key or first[d.row_key] is d]


def documents_of(asked: Iterable[Asked]) -> set[known.Key]:
    """Every document that the rows name."""
    return {each.document for each in asked if each.document}


def _repeated(asked: Asked, same_key: int, same_subject: int) -> Iterator[Problem]:
    if same_key > 1:
        yield Problem(
            "duplicate_row_key",
            f"The row key {asked.key} stands {same_key} times. Each row has its own.",
        )
    elif asked.document and same_subject > 1:
        yield Problem(
            "same_document",
            f"{same_subject} rows of the source are about this document; keep the one that is "
            "right.",
        )


def _unknown(asked: Asked) -> Problem:
    issuer, kind, folio = asked.document or ("", "", "")
    whose = f"issued by your company {issuer}"
    if asked.values.get("event") in LEGAL_ACTS:
        whose = f"of {issuer} that one of your companies received"
    return Problem(
        "unknown_document",
        f"The warehouse knows no {kind} folio {folio} {whose}. Is the folio right? What is "
        "newer than the last sync is known after `tupana sync`.",
    )
