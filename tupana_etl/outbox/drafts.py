"""From the rows of one row key to the document that would be sent, or to what is wrong.

The document's JSON is canonical: the same rows give the same bytes, on any machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from tupana_etl.outbox import amounts, cells, parts, references
from tupana_etl.outbox.contract import COLUMNS, MAX_LINES, TYPE_RULES, Column, TypeRule, carries
from tupana_etl.outbox.reasons import Problem, Unfit

MAX_BYTES = 200_000
"""Of one document: sixty lines with all their texts fit."""

HEADER = (
    *("payment_method", "due_date", "purchase_transaction_type"),
    *("sale_transaction_type", "vat_withheld", "retention_type"),
)
DETAIL = (
    *("item_name", "item_description", "item_code", "unit", "quantity"),
    *("unit_price", "gross_unit_price", "discount_percent"),
)

canonical = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode

Row = Mapping[str, Any]
Values = dict[str, Any]


@dataclass(frozen=True)
class Draft:
    """One row key of a source, read."""

    row_key: str
    place: str
    """Where its first line stands: ``line 7`` of a file, ``row 7`` of a query."""
    dte_type: str = ""
    issuer_rut: str = ""
    receiver_rut: str = ""
    date_issued: str = ""
    currency: str = "CLP"
    totals: amounts.Totals | None = None
    clp: Decimal = Decimal(0)
    """The total in whole pesos, by the document's own rate."""
    payload: bytes | None = None
    said_sha256: str = ""
    """Of the values of the row, whatever JSON this version makes of them."""
    problems: tuple[Problem, ...] = ()
    document_id: str | None = None
    """Of what is about a document that exists, its id at Tu Pana."""
    folio: str | None = None
    event: str = ""
    """What is said of a document that exists, as the API calls it."""
    company: str = ""
    """RUT of the user's company that says it, where that is not the issuer."""
    until: str = ""
    """Until when it may be said, on Santiago's clock, where the law sets a term."""
    remark: str = ""
    """Worth knowing, and no reason to stop."""

    @property
    def total(self) -> Decimal | None:
        """In the currency of the document; None while it cannot be told."""
        if self.totals is not None:
            return self.totals.total
        return self.clp if self.document_id else None

    @property
    def sha256(self) -> str:
        return "" if self.payload is None else hashlib.sha256(self.payload).hexdigest()

    @property
    def reason(self) -> str:
        return " ".join(p.sentence for p in self.problems[:3]) or self.remark


def drafts(rows: Sequence[tuple[str, Row]], tag: Callable[[str], str]) -> Iterator[Draft]:
    """One draft a row key, in the order in which the keys first stand.

    ``rows`` are (place, columns); ``tag`` gives what the API is told of a row key.
    """
    groups: dict[str, list[tuple[str, Row]]] = {}
    for place, row in rows:
        try:
            key = cells.read(COLUMNS["row_key"], key_of(row))
        except Unfit as unfit:
            yield Draft("", place, problems=(unfit.problem,))
            continue
        groups.setdefault(key, []).append((place, row))
    for key, lines in groups.items():
        yield _draft(key, lines, tag)


def key_of(row: Row) -> Any:
    """The row key as it was given. Raises Unfit when there is none."""
    value = row.get("row_key")
    if cells.is_empty(value):
        raise Unfit("missing", "row_key is empty: without it nobody can tell issued from not.")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _draft(key: str, lines: list[tuple[str, Row]], tag: Callable[[str], str]) -> Draft:
    draft = Draft(key, lines[0][0])
    problems: list[Problem] = []
    head = head_of(lines, COLUMNS, problems)
    draft = replace(
        draft,
        dte_type=head.get("dte_type") or "",
        issuer_rut=head.get("issuer_rut") or "",
        receiver_rut=head.get("receiver_rut") or "",
        date_issued=str(head.get("date_issued") or ""),
    )
    problems += ordered(key, lines)
    read = [line_of(place, row, COLUMNS, problems) for place, row in in_order(lines)]
    rule = TYPE_RULES.get(draft.dte_type)
    if rule is None:
        if draft.dte_type:
            known = ", ".join(TYPE_RULES)
            sentence = f"dte_type is {cells.shown(draft.dte_type)}; there are {known}."
            problems.append(Problem("unknown_type", sentence))
        elif "dte_type" not in head:
            problems.append(Problem("missing", "dte_type is empty."))
        return replace(draft, problems=tuple(problems))
    problems += _fitting(rule, head, read)
    if problems:
        return replace(draft, problems=tuple(problems))
    try:
        return _complete(draft, rule, head, read, tag(key))
    except Unfit as unfit:
        return replace(draft, problems=(unfit.problem,))


def head_of(
    lines: list[tuple[str, Row]], columns: Mapping[str, Column], problems: list[Problem]
) -> Values:
    """The columns of the document: the same on every line, or empty on some."""
    head: Values = {}
    for column in columns.values():
        if column.of_line or column.name == "row_key":
            continue
        given = [row[column.name] for _, row in lines if not cells.is_empty(row.get(column.name))]
        if not given:
            continue
        if any(value != given[0] for value in given[1:]):
            sentence = f"The lines differ in {column.name}; it belongs to the whole document."
            problems.append(Problem("lines_disagree", sentence))
            continue
        _take(column, given[0], head, problems)
    return head


def line_of(place: str, row: Row, columns: Mapping[str, Column], problems: list[Problem]) -> Values:
    """The columns of one line."""
    line: Values = {}
    found: list[Problem] = []
    for column in columns.values():
        if column.of_line and not cells.is_empty(row.get(column.name)):
            _take(column, row[column.name], line, found)
    problems += [Problem(p.code, f"{place}: {p.sentence}") for p in found]
    return line


def _take(column: Column, value: Any, into: Values, problems: list[Problem]) -> None:
    try:
        into[column.name] = cells.read(column, value)
    except Unfit as unfit:
        into[column.name] = None  # filled, though not usable: nobody calls it empty
        problems.append(unfit.problem)


def ordered(key: str, lines: list[tuple[str, Row]]) -> Iterator[Problem]:
    """What is wrong with the lines of one row key beside each other."""
    if len(lines) == 1:
        return
    numbers = [row.get("line_number") for _, row in lines]
    places = ", ".join(place for place, _ in lines[:4])
    if any(cells.is_empty(n) for n in numbers):
        yield Problem(
            "duplicate_row_key",
            f"The row key {key} stands {len(lines)} times ({places}). Give each document a key "
            "of its own, or each of its lines a line_number.",
        )
    elif len({str(n).strip() for n in numbers}) < len(numbers):
        yield Problem(
            "duplicate_row_key",
            f"A line_number of {key} stands twice ({places}).",
        )
    if len(lines) > MAX_LINES:
        yield Problem("too_many_lines", f"{len(lines)} lines; a DTE holds {MAX_LINES}.")


def in_order(lines: list[tuple[str, Row]]) -> list[tuple[str, Row]]:
    """By ``line_number``."""

    def number(item: tuple[str, Row]) -> Decimal:
        try:
            return cells.number(COLUMNS["line_number"], item[1].get("line_number"))
        except Unfit:
            return Decimal(0)  # line_of names it

    return sorted(lines, key=number) if len(lines) > 1 else lines


def _fitting(rule: TypeRule, head: Values, lines: list[Values]) -> Iterator[Problem]:
    """What the type needs and is empty, or cannot carry and is filled."""
    filled = set(head) | {name for line in lines for name in line}
    for name in sorted(filled):
        if not carries(rule, name):
            sentence = f"A {rule.code} ({rule.name}) has no {name}; leave it empty."
            yield Problem("not_for_type", sentence)
    for column in COLUMNS.values():
        if column.name == "row_key" or not (column.always or column.name in rule.needs):
            continue
        empty = (
            any(column.name not in line for line in lines)
            if column.of_line
            else column.name not in head
        )
        if empty:
            where = "" if column.always else f" for a {rule.code} ({rule.name})"
            yield Problem("missing", f"{column.name} is empty{where}.")
    prices = [{"unit_price", "gross_unit_price"} & set(line) for line in lines]
    if rule.priced_gross and (len(prices[0]) != 1 or any(p != prices[0] for p in prices)):
        yield Problem("missing", "Every line has a unit_price, or every line a gross_unit_price.")
    if not rule.payment_default and head.get("payment_method") == "2" and "due_date" not in head:
        yield Problem("missing", "due_date is empty; a credit sale has one.")


def _complete(draft: Draft, rule: TypeRule, head: Values, lines: list[Values], tag: str) -> Draft:
    """The document and its totals. Raises Unfit."""
    day: date = head["date_issued"]
    if rule.code in ("80", "90") and day.year < 2019:
        raise Unfit("out_of_range", "Fees before 2019 had another retention; issue them at SII.")
    refs, wrong = references.read(rule, head.get("references"))
    if wrong:
        raise Unfit(wrong[0].code, wrong[0].sentence)
    said = hashlib.sha256(canonical([head, lines])).hexdigest()
    head = _explicit(rule, head, refs)
    if head["due_date"] < day:
        raise Unfit("out_of_range", f"due_date {head['due_date']} is before the date, {day}.")
    export = parts.export_data(head["export_data"]) if "export_data" in head else None
    for line in lines:
        _check_line(line)
    made = _totals(rule, head, lines, refs, parts.currency(export))
    _check_totals(rule, head, made, lines)
    body = _body(rule, head, lines, refs)
    if export is not None:
        body["export_data"] = export
    if "transport_data" in head:
        body["transport_data"] = parts.transport_data(head["transport_data"])
    body["json_param"] = parts.json_param(head.get("json_param"), tag)
    payload = canonical(body)
    if len(payload) > MAX_BYTES:
        raise Unfit("too_large", f"The document has {len(payload)} bytes; {MAX_BYTES} fit.")
    rate = parts.exchange_rate(export)
    clp = (made.total * rate).quantize(Decimal(1), rounding="ROUND_HALF_UP")
    return replace(
        draft,
        currency=parts.currency(export),
        totals=made,
        clp=clp,
        payload=payload,
        said_sha256=said,
    )


def _explicit(rule: TypeRule, head: Values, refs: list[references.Reference]) -> Values:
    """With everything said that the API would otherwise fill in by itself."""
    said = dict(head)
    said.setdefault("payment_method", rule.payment_default)
    said.setdefault("due_date", head["date_issued"])
    about_purchase = any(r["dte_type_code"] == "46" for r in refs)
    if rule.code == "46" or (about_purchase and "vat_withheld" in rule.may):
        said.setdefault("vat_withheld", True)
    elif said.get("vat_withheld"):
        raise Unfit("not_for_type", "vat_withheld is only for a 46 and for notes about one.")
    return said


def _check_line(line: Values) -> None:
    price = line["gross_unit_price"] if "gross_unit_price" in line else line["unit_price"]
    discount = line.get("discount_percent", Decimal(0))
    if line["quantity"] <= 0:
        raise Unfit("out_of_range", f"quantity is {line['quantity']}; it must be above 0.")
    if price < 0:
        raise Unfit(
            "out_of_range",
            f"The price {price} is negative. A discount goes into discount_percent, money back "
            "into a nota de crédito (61).",
        )
    if not 0 <= discount <= 100 or discount != discount.quantize(Decimal("0.01")):
        raise Unfit(
            "out_of_range",
            f"discount_percent is {discount}; it must be 0 to 100 with at most 2 decimals.",
        )


def _totals(
    rule: TypeRule,
    head: Values,
    lines: list[Values],
    refs: list[references.Reference],
    currency: str,
) -> amounts.Totals:
    gross = any("gross_unit_price" in line for line in lines)
    return amounts.totals(
        rule.code,
        [
            amounts.Line(
                line["quantity"],
                line["gross_unit_price" if gross else "unit_price"],
                line.get("discount_percent", amounts.ZERO),
                bool(line.get("is_exempt")),
            )
            for line in lines
        ],
        head["date_issued"],
        gross=gross,
        all_exempt=any(r["dte_type_code"] in references.EXEMPT_TYPES for r in refs)
        and rule.references == "needed",
        vat_withheld=bool(head.get("vat_withheld")),
        places="1" if currency == "CLP" else "0.01",
    )


def _check_totals(rule: TypeRule, head: Values, made: amounts.Totals, lines: list[Values]) -> None:
    if max(made.net, made.exempt, made.total) > cells.EXACT_JSON:
        raise Unfit("overflow", f"The total {made.total} is beyond what JSON keeps exactly.")
    if not made.total and not rule.may_total_zero:
        raise Unfit("arithmetic", "The document is worth nothing.")
    if rule.code == "33" and all(line.get("is_exempt") for line in lines):
        raise Unfit("arithmetic", "Every line is exempt: that is a factura exenta (34).")
    expected = head.get("expected_total")
    if expected is not None and expected != made.total:
        raise Unfit(
            "arithmetic",
            f"The lines make {made.total:f}, expected_total is {expected:f}.",
        )


def _body(
    rule: TypeRule, head: Values, lines: list[Values], refs: list[references.Reference]
) -> Values:
    receiver = {"rut": head["receiver_rut"]}
    if "receiver_name" in head:
        receiver["business_name"] = head["receiver_name"]
    body: Values = {
        "dte_type": {"code": rule.code},
        "date_issued": head["date_issued"],
        "document_issuer": {"rut": head["issuer_rut"]},
        "document_receiver": receiver,
        "details": [_detail(rule, line) for line in lines],
        "header": {name: head[name] for name in HEADER if name in head},
    }
    if refs:
        body["references"] = refs
    if "additional_info" in head:
        body["additional_info"] = head["additional_info"]
    return body


def _detail(rule: TypeRule, line: Values) -> Values:
    detail = {name: line[name] for name in DETAIL if name in line}
    if rule.mixes_exempt and line.get("is_exempt"):
        detail["is_exempt"] = True
    return detail
