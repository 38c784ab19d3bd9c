"""The JSON objects of a row: export, transport, the user's own texts."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from tupana_etl.outbox import cells
from tupana_etl.outbox.contract import EXPORT_FIELDS, TRANSPORT_FIELDS, Column
from tupana_etl.outbox.custody import TAG_PARAM
from tupana_etl.outbox.reasons import Unfit

PESO = frozenset({"200", "CLP"})
"""Customs' and ISO's code of the peso."""
_CURRENCY = {"13": "USD", "142": "EUR", "200": "CLP"}
_RATE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,4})?")
_PARAM = re.compile(r"[A-Za-z0-9_]{1,64}")


def export_data(given: dict[str, Any]) -> dict[str, Any]:
    """As it is sent: every value as text. Raises Unfit."""
    made = _texts("export_data", given, EXPORT_FIELDS)
    currency = made.get("currency_code", "")
    if not currency:
        raise Unfit("missing", "export_data lacks currency_code.")
    rate = made.get("exchange_rate", "")
    if currency not in PESO and (not _RATE.fullmatch(rate) or not Decimal(rate)):
        raise Unfit(
            "missing" if not rate else "bad_number",
            f"export_data.exchange_rate is {cells.shown(rate)}; it must be the pesos for one unit, "
            "with at most 4 decimals, such as 950.5.",
        )
    return made


def currency(export: dict[str, Any] | None) -> str:
    """ISO code of the document's currency where we know it, else the customs' code."""
    if export is None:
        return "CLP"
    code = str(export["currency_code"])
    return _CURRENCY.get(code, code)


def exchange_rate(export: dict[str, Any] | None) -> Decimal:
    """Pesos for one unit of the document's currency."""
    rate = (export or {}).get("exchange_rate")
    return Decimal(rate) if rate and currency(export) != "CLP" else Decimal(1)


def transport_data(given: dict[str, Any]) -> dict[str, Any]:
    """As it is sent. Raises Unfit."""
    timber = given.get("timber_enabled")
    if not isinstance(timber, bool | None):
        raise Unfit("bad_value", "transport_data.timber_enabled may be true or false.")
    rest = {k: v for k, v in given.items() if k != "timber_enabled"}
    made: dict[str, Any] = _texts("transport_data", rest, TRANSPORT_FIELDS)
    if made.get("transport_type") not in {*"123456789"}:
        raise Unfit("missing", "transport_data needs transport_type, from 1 to 9.")
    for name in ("transport_rut", "driver_rut"):
        if name in made:
            made[name] = cells.read(Column(f"transport_data.{name}", "rut", ""), made[name])
    return made if timber is None else {**made, "timber_enabled": timber}


def json_param(given: dict[str, Any] | None, tag: str) -> dict[str, Any]:
    """The user's texts and our tag: how the document is found again. Raises Unfit."""
    for name, value in (given or {}).items():
        if name == TAG_PARAM:
            raise Unfit("not_for_type", f"json_param.{TAG_PARAM} is ours; take it out.")
        if not _PARAM.fullmatch(name):
            raise Unfit(
                "bad_value",
                f"json_param has a key {cells.shown(name)}; the API takes letters, digits and _, "
                "at most 64.",
            )
        if not isinstance(value, str) or len(value) > 1000:
            raise Unfit(
                "bad_value",
                f"json_param.{name} is {cells.shown(value)}; it must be text of at most 1000 "
                "characters (the API finds documents by text only).",
            )
    return {**(given or {}), TAG_PARAM: tag}


def _texts(name: str, given: dict[str, Any], fields: frozenset[str]) -> dict[str, str]:
    unknown = sorted(set(given) - fields)
    if unknown:
        raise Unfit("bad_value", f"{name} has no field {', '.join(unknown)}.")
    made = {}
    for key, value in given.items():
        said = format(value, "f") if isinstance(value, Decimal) else value
        if isinstance(said, int) and not isinstance(said, bool):
            said = str(said)
        if not cells.is_empty(said):
            made[key] = cells.text(Column(f"{name}.{key}", "text", "", limit=100), said)
    return made
