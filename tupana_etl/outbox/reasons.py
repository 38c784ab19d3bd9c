"""Why a row is blocked: every code there is, and what each asks of the person who reads it."""

from __future__ import annotations

from dataclasses import dataclass

REASONS: dict[str, str] = {
    "missing": "A column that this type of document needs is empty.",
    "unknown_type": "`dte_type` is not a type that can be issued.",
    "bad_value": "A value is not what its column holds (a date, a whole number, a list …).",
    "bad_number": "A number is not finite, has a comma, or has more decimals than SII takes.",
    "ambiguous_number": "`1.234` in a CSV price: with Chilean habits it reads as 1234.",
    "out_of_range": "A number, date or length is outside what the format of SII or the API takes.",
    "overflow": "An amount is beyond 9,007,199,254,740,991, where JSON numbers lose pesos.",
    "bad_rut": "A RUT has not the shape of one, or its check digit is wrong.",
    "characters": "A text holds control, direction or non-Latin-1 characters: no DTE can.",
    "not_for_type": "A column is filled that this type of document cannot carry.",
    "references": "The references are not what this type of document needs.",
    "arithmetic": "The lines do not make a document: nothing affected, a total of zero, or not "
    "the `expected_total` that the row gives.",
    "duplicate_row_key": "The same row key stands twice and the lines are not told apart.",
    "lines_disagree": "The lines of one row key disagree about the document they belong to.",
    "too_many_lines": "A DTE holds 60 lines.",
    "too_large": "The document is larger than a batch can carry.",
    "row_key_taken": "The row key is that of a row of another kind.",
    "unknown_document": "The warehouse knows no such document of yours.",
    "no_match": "The source says that it found no document, and why.",
    "same_document": "Several rows of the source are about one document.",
    "same_schedule": "Another row asks for the very same schedule.",
    "not_cedible": "`marts.factoring_candidates` says that the invoice may not be ceded.",
    "several_assignees": "A plan of cessions is for one assignee.",
    "legal_act": "An acceptance or a claim at SII, without `--allow-claims` or beside payments.",
    "not_claimable": "SII takes no such event of the document: cash, free, or said otherwise.",
    "claim_window": "The eight days to accept or claim are over, or cannot be counted.",
    "conflict": "The row changed after its document was frozen or issued. It is never sent again.",
}
"""Code → what it means. The sentence shown with a row says which column and what to do."""


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a row from being issued."""

    code: str
    sentence: str

    def __post_init__(self) -> None:
        if self.code not in REASONS:
            raise ValueError(self.code)


class Unfit(Exception):
    """A value that cannot be taken; carries the problem."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.problem = Problem(code, sentence)
