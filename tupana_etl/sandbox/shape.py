"""Answers as the live API is known or feared to give them: the switches at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from tupana_etl.sandbox import answers
from tupana_etl.sandbox.deviations import SANDBOX

Row = dict[str, Any]

FOREIGN = "https://evil.example"
_UNPAGED = frozenset({"/credentials", "/webhooks"})
_PAGED = frozenset({"/documents", "/cessions", "/scheduled-documents"})
_IDS = (
    *("id", "document_id", "master_entity_id", "sender_id", "receiver_id"),
    *("supplier_id", "assignee_entity_id"),
)
_PRICES = frozenset({"item_total", "unit_price"})


def path_of(scope: Scope) -> str:
    """``/documents`` of ``/v1/documents/``."""
    path: str = scope["path"]
    return path.removeprefix("/v1").rstrip("/")


def shaped(inner: ASGIApp, names: frozenset[str]) -> ASGIApp:
    """The application with its answers taking the named shapes."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        path = path_of(scope)
        if "/files/" in path:
            await inner(scope, receive, send)
            return
        request = Request(scope)
        if "slash_redirects" in names and not scope["path"].endswith("/"):
            await answers.give(_redirect(request), send)
            return
        answer = await answers.held(inner, scope, receive)
        page = request.query_params.get("page", "1")
        if "bare_arrays" in names and path in _UNPAGED and answer.is_json and page != "1":
            answer = _past_the_end(names)
        else:
            answer = answers.changed(answer, lambda body: reshaped(body, path, names))
        await answers.give(answer, send)

    return app


def reshaped(body: Any, path: str, names: frozenset[str]) -> Any:
    """The JSON of an answer to ``path`` in the named shapes."""
    for row in answers.rows_of(body):
        for name, change in _ROWS.items():
            if name in names:
                change(row)
    if "bare_arrays" in names:
        body = _opposite(body, path)
    if not isinstance(body, dict) or "results" not in body:
        return body
    dropped = {key for name, keys in _DROPPED.items() if name in names for key in keys}
    if "foreign_next" in names and body.get("next"):
        body["next"] = FOREIGN + urlsplit(body["next"])._replace(scheme="", netloc="").geturl()
    return {key: value for key, value in body.items() if key not in dropped}


_DROPPED = {
    "no_total_pages": ("total_pages",),
    "no_next": ("next", "previous"),
    "no_count": ("count",),
}


def _opposite(body: Any, path: str) -> Any:
    if path in _PAGED:
        return body["results"]
    if path in _UNPAGED:
        links = {"next": None, "previous": None}
        return {"count": len(body), "total_pages": 1, **links, "results": body}
    return body


def _redirect(request: Request) -> answers.Answer:
    """To the same origin; a list for good (301), a detail with its method kept (308)."""
    parts = urlsplit(str(request.url))
    status = 308 if parts.path.rsplit("/", 1)[-1].isdigit() else 301
    target = parts._replace(path=f"{parts.path}/").geturl()
    return answers.made(status, "", kind="text/html; charset=utf-8", location=target)


def _past_the_end(names: frozenset[str]) -> answers.Answer:
    if "past_end_empty" in names:
        return answers.made(200, {"results": []})
    return answers.made(404, {"detail": "Invalid page."})


def _objects(value: Any) -> Iterator[Row]:
    """Every object inside a value, itself first."""
    if isinstance(value, dict):
        yield value
        for inside in list(value.values()):
            yield from _objects(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _objects(inside)


def _new_names(row: Row) -> None:
    for old, new in (
        ("amount_without_iva", "net_amount"),
        ("amount_iva", "iva_amount"),
        ("pdf", "pdf_url"),
    ):
        if old in row:
            row[new] = row.pop(old)
    if "dte_type_code" in row and "amount_with_iva" in row:
        kind = {"code": row.pop("dte_type_code")}
        if "dte_type_description" in row:
            kind["description"] = row.pop("dte_type_description")
        row["dte_type"] = kind


def _mixed_ids(row: Row) -> None:
    """A string or an integer by the id and by which of a row's ids it is."""
    for inside in _objects(row):
        for place, name in enumerate(_IDS):
            value = inside.get(name)
            if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
                number = int(value)
                inside[name] = str(number) if (number // 2 + place) % 2 else number


def _sandbox_folios(row: Row) -> None:
    for inside in _objects(row):
        number = inside.get("document_id", inside.get("id"))
        if number is not None and inside.get("folio") is not None:
            inside["folio"] = f"{SANDBOX}{number}"
        if "document_folio" in inside:
            inside["document_folio"] = f"{SANDBOX}{inside['document_id']}"
    if "is_paid" in row:
        row["is_sandbox"] = True


def _decimal_strings(row: Row) -> None:
    for inside in _objects(row):
        for name, value in inside.items():
            is_amount = "amount" in name or name in _PRICES
            if is_amount and isinstance(value, int | float):
                inside[name] = _two_places(value)


def _two_places(value: float) -> str:
    exact = Decimal(repr(value))
    rounded = exact.quantize(Decimal("0.01"))
    return str(rounded) if rounded == exact else str(exact)


def _unknown_fields(row: Row) -> None:
    if isinstance(row.get("id"), int) and row["id"] % 3 == 0:
        row["risk_score"] = 0.25
        row["nueva_clave"] = {"origen": "sii", "etiquetas": ["a", "b"]}


_ROWS: dict[str, Callable[[Row], None]] = {
    # Ids and folios are looked at before ids change their type.
    "sandbox_folios": _sandbox_folios,
    "unknown_fields": _unknown_fields,
    "mixed_ids": _mixed_ids,
    "decimal_strings": _decimal_strings,
    "new_names": _new_names,
}
