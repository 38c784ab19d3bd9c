"""From the rows of a source to the schedules that would be made, or to what is wrong."""

from __future__ import annotations

import calendar
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tupana_etl.outbox import amounts, cells, drafts, references
from tupana_etl.outbox.contract import TYPE_RULES
from tupana_etl.outbox.drafts import Draft, Row, Values, canonical
from tupana_etl.outbox.reasons import Problem, Unfit
from tupana_etl.outbox.schedule_contract import BY_MONTHS, COLUMNS, LINE, MAX_REFERENCES

_OBJECT = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)


@dataclass(frozen=True)
class Terms:
    """Under which a source is planned."""

    today: date
    under_way: Collection[str] = ()
    """Row keys that were sent: whether they may be sent is no question any more."""
    taken: Collection[tuple[str, str]] = ()
    """(row key, SHA-256) of every schedule that the ledger asks for."""


def schedule_of(payload: bytes | None) -> dict[str, Any]:
    """The schedule a row asks for: the body of the call, with ``issuer_rut`` for ``sender``."""
    return _OBJECT.decode(payload or b"")


def body_of(payload: bytes | None, company_id: str) -> bytes:
    """What is sent: the API knows the issuer by its own id."""
    asked = schedule_of(payload)
    del asked["issuer_rut"]
    sender = int(company_id) if company_id.isdigit() else company_id
    return canonical({"sender": sender, **asked})


def schedule_drafts(rows: Sequence[tuple[str, Row]], terms: Terms) -> list[Draft]:
    """One draft a row key, in the order in which the keys first stand."""
    groups: dict[str, list[tuple[str, Row]]] = {}
    made: list[Draft] = []
    for place, row in rows:
        try:
            key = cells.read(COLUMNS["row_key"], drafts.key_of(row))
        except Unfit as unfit:
            made.append(Draft("", place, problems=(unfit.problem,)))
            continue
        groups.setdefault(key, []).append((place, row))
    made += [_draft(key, lines, terms) for key, lines in groups.items()]
    same = Counter(draft.sha256 for draft in made if draft.payload)
    elsewhere = {sha256: key for key, sha256 in terms.taken}
    return [_alone(draft, same[draft.sha256], elsewhere, terms) for draft in made]


def _draft(key: str, lines: list[tuple[str, Row]], terms: Terms) -> Draft:
    problems: list[Problem] = []
    head = drafts.head_of(lines, COLUMNS, problems)
    problems += drafts.ordered(key, lines)
    read = [drafts.line_of(p, row, COLUMNS, problems) for p, row in drafts.in_order(lines)]
    draft = Draft(
        key,
        lines[0][0],
        dte_type=head.get("dte_type") or "",
        issuer_rut=head.get("issuer_rut") or "",
        receiver_rut=head.get("receiver_rut") or "",
        date_issued=str(head.get("start_date") or ""),
        currency=head.get("currency") or "CLP",
    )
    problems = problems or [*_missing(head, read)]
    problems = problems or [*_wrong(head, read)]
    if not problems and key not in terms.under_way and head["start_date"] < terms.today:
        day = head["start_date"]
        problems.append(Problem("out_of_range", f"start_date is {day}, a day that is past."))
    refs, bad = references.read(TYPE_RULES["33"], head.get("references"))
    problems += bad
    if len(refs) > MAX_REFERENCES:
        problems.append(Problem("references", f"A schedule has {MAX_REFERENCES} references."))
    if problems:
        return replace(draft, problems=tuple(problems))
    return _complete(draft, head, read, refs)


def _missing(head: Values, lines: list[Values]) -> Iterator[Problem]:
    for column in COLUMNS.values():
        needed = column.always or column.name == "unit_price"
        empty = (
            any(column.name not in line for line in lines)
            if column.of_line
            else column.name not in head
        )
        if needed and empty and column.name != "row_key":
            yield Problem("missing", f"{column.name} is empty.")


def _wrong(head: Values, lines: list[Values]) -> Iterator[Problem]:
    often = head["frequency"]
    for name, fits, last in (
        ("day_of_month", often in BY_MONTHS, 31),
        ("day_of_week", often == "weekly", 7),
    ):
        if fits and name not in head:
            yield Problem("missing", f"{name} is empty; a {often} schedule has one.")
        elif name in head and not fits:
            yield Problem("not_for_type", f"A {often} schedule has no {name}; leave it empty.")
        elif fits and not 1 <= head[name] <= last:
            yield Problem("out_of_range", f"{name} is {head[name]}; it may be 1 to {last}.")
    if not 1 <= head.get("currency_day", 1) <= 31:
        yield Problem("out_of_range", "currency_day may be 1 to 31.")
    if "currency_day" in head and head.get("currency", "CLP") == "CLP":
        yield Problem("not_for_type", "currency_day is filled; pesos have no rate.")
    if "end_date" in head and "max_occurrences" in head:
        yield Problem("not_for_type", "It ends by end_date or by max_occurrences, not by both.")
    if "end_date" in head and head["end_date"] < head["start_date"]:
        yield Problem("out_of_range", f"end_date {head['end_date']} is before start_date.")
    if any(line["quantity"] < Decimal("0.01") or line["unit_price"] < 0 for line in lines):
        yield Problem("out_of_range", "A quantity is at least 0.01 and a price at least 0.")
    elif not any(line["quantity"] * line["unit_price"] for line in lines):
        yield Problem("arithmetic", "The documents would be worth nothing.")


def _complete(
    draft: Draft, head: Values, lines: list[Values], refs: list[references.Reference]
) -> Draft:
    ends = "on_date" if "end_date" in head else "never"
    ends = "after_occurrences" if "max_occurrences" in head else ends
    copied = ("day_of_month", "day_of_week", "end_date", "max_occurrences", "currency_day")
    body: Values = {
        "issuer_rut": head["issuer_rut"],
        "dte_type": head["dte_type"],
        "receiver_tax_id": head["receiver_rut"],
        "frequency": head["frequency"],
        "start_date": head["start_date"],
        "end_type": ends,
        "currency": draft.currency,
        "emission_day_adjustment": head.get("emission_day_adjustment", "none"),
        "status": "active",
        "details": [{name: line[name] for name in LINE if name in line} for line in lines],
        **{name: head[name] for name in copied if name in head},
        **({"references": refs} if refs else {}),
    }
    payload = canonical(body)
    in_pesos = draft.currency == "CLP"
    priced = [amounts.Line(e["quantity"], e["unit_price"], amounts.ZERO, False) for e in lines]
    day, places = head["start_date"], "1" if in_pesos else "0.01"
    made = amounts.totals(draft.dte_type, priced, day, places=places)
    return replace(
        draft,
        payload=payload,
        totals=made,
        clp=made.total if in_pesos else Decimal(0),
        remark=told(schedule_of(payload)),
    )


def told(schedule: dict[str, Any]) -> str:
    """When and how often, in words."""
    often = schedule["frequency"]
    if "day_of_week" in schedule:
        often += f" on {calendar.day_name[schedule['day_of_week'] - 1]}"
    elif "day_of_month" in schedule:
        often += f" on day {schedule['day_of_month']}"
    end = f"to {schedule['end_date']}" if "end_date" in schedule else "without end"
    if "max_occurrences" in schedule:
        end = f"{schedule['max_occurrences']} times"
    return f"{often}, from {schedule['start_date']}, {end}"


def _alone(draft: Draft, same: int, elsewhere: dict[str, str], terms: Terms) -> Draft:
    """Two rows that ask for the same cannot be told apart when they are looked for."""
    other = elsewhere.get(draft.sha256, draft.row_key)
    if draft.payload is None or draft.row_key in terms.under_way:
        return draft
    if same > 1:
        text = f"{same} rows of the source ask for this very schedule; keep one."
    elif other != draft.row_key:
        text = f"Row {other} asks for this very schedule; another one would invoice it twice."
    else:
        return draft
    return replace(draft, payload=None, problems=(Problem("same_schedule", text),))
