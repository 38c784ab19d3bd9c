"""A document as the API shows it, in whatever spelling, and whether it is what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from tupana_etl.domain import canonical_rut
from tupana_etl.outbox.custody import TAG_PARAM
from tupana_etl.outbox.rows import Intent

SANDBOX_FOLIO = "SANDBOX-"

UNISSUED = frozenset({"draft", "failed", "error"})
"""States of a document that has no legal existence."""

ONE_PESO = Decimal(1)

_OBJECT = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
_ROWS = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)


@dataclass(frozen=True)
class Facts:
    """What one answer says of one document. None is what it did not say."""

    id: str
    folio: str | None
    dte_type: str | None
    issuer: str | None
    receiver: str | None
    """RUTs are canonical."""
    date: str | None
    """``YYYY-MM-DD``"""
    net: Decimal | None
    exempt: Decimal | None
    iva: Decimal | None
    total: Decimal | None
    base: Decimal | None
    """``amount_without_iva``: the net amount, with or without what is exempt."""
    tag: str | None
    """Our row key, as the API was told of it."""
    state: str | None
    is_sandbox: bool | None

    @property
    def issued(self) -> bool:
        """It has a folio: it exists."""
        return self.folio is not None and (self.state or "") not in UNISSUED

    @property
    def real(self) -> bool:
        """It is issued, and not in the sandbox."""
        return self.issued and not self.sandbox

    @property
    def sandbox(self) -> bool:
        return bool(self.is_sandbox) or (self.folio or "").startswith(SANDBOX_FOLIO)

    @property
    def amounts(self) -> dict[str, Any]:
        """The amounts as issued (Decimal or None), by the column the ledger keeps them in."""
        return {
            "issued_net": self.net if self.net is not None else self.base,
            "issued_exempt": self.exempt,
            "issued_iva": self.iva,
            "issued_total": self.total,
        }

    @property
    def comparable(self) -> bool:
        """It says enough to be held against what was asked."""
        told = (self.tag, self.dte_type, self.receiver, self.date, self.total)
        return None not in told and (self.net is not None or self.base is not None)


@dataclass(frozen=True)
class Comparison:
    """How an issued document differs from the row that asked for it."""

    differences: tuple[str, ...]
    """Any one of these needs a person. Names fields, and values of amounts only."""
    flags: tuple[str, ...]
    """Worth seeing, and no reason to stop."""


def of_body(body: bytes) -> Facts | None:
    """Facts of a detail's answer; None when it is no document."""
    try:
        return of(_OBJECT.decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def of_rows(rows: bytes) -> list[Facts] | None:
    """Facts of a page's rows; None when one of them is no document."""
    try:
        found = [of(row) for row in _ROWS.decode(rows)]
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return [each for each in found if each is not None] if None not in found else None


def of(row: Mapping[str, Any]) -> Facts | None:
    """Facts of a document in a list, a detail or a batch; None when it has no id."""
    if row.get("id") in (None, ""):
        return None
    totals = _inner(row, "document_total")
    params = _inner(row, "json_param")
    return Facts(
        id=str(row["id"]),
        folio=_text(row.get("folio")),
        dte_type=_text(row.get("dte_type_code")) or _text(_inner(row, "dte_type").get("code")),
        issuer=_rut(row, "sender_tax_id", "sender", "document_issuer"),
        receiver=_rut(row, "receiver_tax_id", "receiver", "document_receiver"),
        date=(_text(row.get("date_issued")) or "")[:10] or None,
        net=_first(_money(totals.get("net_amount")), _money(row.get("net_amount"))),
        exempt=_money(totals.get("exempt_amount")),
        iva=_first(
            _money(totals.get("iva_amount")),
            _money(row.get("amount_iva")),
            _money(row.get("iva_amount")),
        ),
        total=_first(_money(row.get("amount_with_iva")), _money(totals.get("total_amount"))),
        base=_money(row.get("amount_without_iva")),
        tag=_text(params.get(TAG_PARAM)),
        state=_text(row.get("state")),
        is_sandbox=row["is_sandbox"] if isinstance(row.get("is_sandbox"), bool) else None,
    )


def compare(intent: Intent, facts: Facts) -> Comparison:
    """Holds a document read back against its row: type, parties, date, amounts, row key.

    IVA that the API computed may differ by one peso, in the total too: it rounds lines or
    sums, the law allows either. That is a flag and no difference.
    """
    plain = {
        "row key": (intent.row_tag, facts.tag),
        "type": (intent.dte_type, facts.dte_type),
        "receiver": (canonical_rut(intent.receiver_rut), facts.receiver),
        "date": (intent.date_issued, facts.date),
    }
    wrong = [name for name, (asked, got) in plain.items() if got is None or asked != got]
    if facts.issuer is not None and facts.issuer != canonical_rut(intent.entity):
        wrong.append("issuer")
    off = _off(intent.iva, facts.iva)
    amounts = {
        "net": (_off_base(intent, facts), Decimal(0)),
        "exempt": (_off(intent.exempt, facts.exempt), Decimal(0)),
        "IVA": (off, ONE_PESO),
        "total": (
            _off(intent.total, facts.total),
            ONE_PESO if facts.iva is None or off else Decimal(0),
        ),
    }
    wrong += [f"{name} {by:+f}" for name, (by, most) in amounts.items() if abs(by) > most]
    if facts.total is None and intent.total is not None:
        wrong.append("total is not shown")
    flags = []
    if any(by for by, _ in amounts.values()) and not wrong:
        flags.append("iva_off_by_one")
    return Comparison(tuple(wrong), tuple(flags))


def _off(asked: Decimal | None, got: Decimal | None) -> Decimal:
    """By how much what the API says is more than what was asked; 0 where one is silent."""
    return Decimal(0) if asked is None or got is None else got - asked


def _off_base(intent: Intent, facts: Facts) -> Decimal:
    if facts.net is not None or facts.base is None or intent.net is None:
        return _off(intent.net, facts.net)
    both = intent.net + (intent.exempt or 0)
    return Decimal(0) if facts.base in (intent.net, both) else facts.base - intent.net


def _inner(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _rut(row: Mapping[str, Any], flat: str, *nested: str) -> str | None:
    texts = [row.get(flat)]
    for name in nested:
        inner = _inner(row, name)
        texts += [inner.get("tax_id"), inner.get("rut")]
    found = next((t for t in texts if isinstance(t, str) and t), None)
    return None if found is None else canonical_rut(found) or found


def _text(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def _first(*values: Decimal | None) -> Decimal | None:
    return next((value for value in values if value is not None), None)


def _money(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
