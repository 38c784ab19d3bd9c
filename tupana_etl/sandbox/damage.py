"""What a fault makes of an answer: another one in its place, or its body spoiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any

from tupana_etl.sandbox import answers, batch_damage, desk
from tupana_etl.sandbox.answers import Answer
from tupana_etl.sandbox.faults import Fault
from tupana_etl.sandbox.shape import FOREIGN

_HTML = "text/html; charset=utf-8"
_PAGE = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
_SPOILED = ("amount_with_iva", "date_issued", "updated_at", "assignment_amount", "amount")

_BODIES: dict[str, tuple[int, object]] = {
    "401": (401, {"error_code": "INVALID_API_KEY", "message": "API Key inválida o faltante"}),
    "403_company": (403, {"detail": "No tienes acceso a esta entidad."}),
    "hide_company": (403, {"detail": "No tienes acceso a esta entidad."}),
    "429": (429, {"error": "Demasiadas solicitudes", "code": "rate_limited"}),
    "500": (500, {"error": "INTERNAL_ERROR", "message": "Error interno del servidor"}),
    "502_html": (502, _PAGE.format("502 Bad Gateway")),
    "503": (503, {"error": "Servidor ocupado", "code": "server_busy"}),
    "not_json": (200, _PAGE.format("Estamos en mantención")),
}


def ready(fault: Fault, path: str, now: datetime) -> Answer | None:
    """The answer of a fault that needs no routes, None for the other kinds."""
    if fault.kind in {"status", "422_named", "redirect"}:
        return _written(fault, path)
    if fault.kind not in _BODIES or (fault.kind == "hide_company" and path == "/credentials"):
        return None
    status, body = _BODIES[fault.kind]
    if isinstance(body, str):
        return answers.made(status, body, kind=_HTML)
    return answers.made(status, body, **_retry_after(fault, now))


def done(fault: Fault, answer: Answer) -> Answer:
    """The answer with its body cut or changed; the same when there is nothing to spoil."""
    if fault.kind in _BYTES:
        return _BYTES[fault.kind](fault, answer)
    return answers.changed(answer, lambda body: _CHANGES[fault.kind](body, fault))


def _written(fault: Fault, path: str) -> Answer:
    """An answer that the argument says."""
    if fault.kind == "redirect":
        status = int(fault.argument or 307)
        return answers.made(status, "", kind=_HTML, location=f"{FOREIGN}/v1{path}")
    if fault.kind == "422_named":
        named = str(fault.argument or "0").split(",")
        error = {"details": {"0": {"item_name": ["Este campo no es válido."]}}}
        return answers.made(422, {"documents": {n.strip(): error for n in named}})
    status = int(fault.argument or 500)
    return answers.made(status, _STATUSES.get(status, {"error": f"Error {status}"}))


def _gateway(fault: Fault, _: Answer) -> Answer:
    status = int(fault.argument or 502)
    return answers.made(status, _PAGE.format(f"{status} {HTTPStatus(status).phrase}"), kind=_HTML)


def _page(_: Fault, answer: Answer) -> Answer:
    return answers.made(answer.status, _PAGE.format("Estamos en mantención"), kind=_HTML)


def _halved(_: Fault, answer: Answer) -> Answer:
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def _emptied_body(_: Fault, answer: Answer) -> Answer:
    return replace(answer, body=b"")


def _latin(_: Fault, answer: Answer) -> Answer:
    """One character of the body in the wrong encoding, inside its first text."""
    return replace(answer, body=answer.body.replace(b'"', b'"\xe9', 1))


_BYTES: dict[str, Callable[[Fault, Answer], Answer]] = {
    "truncated": _halved,
    "done_status": _gateway,
    "html": _page,
    "no_body": _emptied_body,
    "not_utf8": _latin,
}
_STATUSES: dict[int, object] = {
    400: {"error": "Esta entidad no tiene credenciales SII válidas configuradas"},
    403: {"error": "La API Key no tiene el permiso 'document:create'."},
    404: {"detail": "No encontrado."},
    409: desk.IN_PROGRESS,
    413: {"error": "El lote supera el máximo de documentos.", "code": "too_many_documents"},
    422: {"error": "VALIDATION_ERROR", "message": "Lote no procesable."},
}


def _retry_after(fault: Fault, now: datetime) -> dict[str, str]:
    if fault.argument is None or fault.kind not in {"429", "503"}:
        return {}
    if fault.argument == "date":
        soon = now + timedelta(seconds=1)
        return {"retry_after": format_datetime(soon, usegmt=True)}
    return {"retry_after": str(fault.argument)}


def _without_company(body: Any, fault: Fault) -> Any:
    """/credentials without those of a company, whichever envelope it comes in."""
    gone = str(fault.company)
    rows = answers.rows_of(body)
    kept = [r for r in rows if gone not in {str(e["id"]) for e in r["master_entities"]}]
    return kept if isinstance(body, list) else {**body, "count": len(kept), "results": kept}


def _emptied(body: Any, _: Fault) -> Any:
    if isinstance(body, list):
        return []
    if "results" not in body:
        return {**body, "types": []}
    none: dict[str, Any] = {
        "count": 0,
        "total_pages": 1,
        "next": None,
        "previous": None,
        "results": [],
    }
    return {key: none.get(key, value) for key, value in body.items()}


def _with_unknown(body: Any, _: Fault) -> Any:
    for row in answers.rows_of(body)[::2]:
        row["campo_nuevo"] = {"desde": "2026-11", "valor": 1}
    return body


def _with_wrong_type(body: Any, fault: Fault) -> Any:
    rows = answers.rows_of(body)
    names = [str(fault.argument)] if fault.argument else list(_SPOILED)
    row = rows[len(rows) // 2] if rows else {}
    name = next((n for n in names if n in row), None)
    if name is not None:
        row[name] = {"unexpected": row[name]}
    return body


_CHANGES: dict[str, Callable[[Any, Fault], Any]] = {
    "hide_company": _without_company,
    "empty": _emptied,
    "unknown_fields": _with_unknown,
    "wrong_types": _with_wrong_type,
    **batch_damage.CHANGES,
}
