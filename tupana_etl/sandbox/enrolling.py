"""POST /credentials and GET /credentials/enrollments/{id}: SII tries a password.

No password is kept: only what SII would say of it. One that holds ``wrong`` is refused and
one that holds ``down`` finds SII closed; every other opens. A refusal repeats the password,
since nobody promises that the live API's does not.
"""

from __future__ import annotations

import re
import sqlite3
import uuid
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from tupana_etl.sandbox import admin, clock, lists, store, switches, web
from tupana_etl.sandbox.model import Credential

_TYPES = {70: "SII", 73: "SII empresa", 75: "Certificado digital"}
_NAMES = {"sii": 70, "sii_company": 73, "certificate": 75}
_RUT = re.compile(r"[0-9]+-[0-9kK]")
_SECRETS = {
    70: ("password", "digital_certificate_password"),
    73: ("password",),
    75: ("digital_certificate_password", "digital_certificate_base64"),
}
_REFUSED = "El SII rechazó las credenciales"


@dataclass(frozen=True)
class _Asked:
    entity_id: int
    user_rut: str
    type_id: int
    verdict: str
    """``valid``, ``invalid`` or ``error``."""


async def create(request: Request) -> Response:
    """POST /credentials"""
    ctx, body = web.context(request), await admin.body_of(request)
    key, connection = web.find_key(request, ctx), ctx.connection
    if key is None or not key.can_issue:
        raise web.Refusal(403, {"error": "La API Key no tiene permiso para crear credenciales."})
    asked, how, now = _read(connection, body), switches.of(connection), clock.now(connection)
    if how.enrollment == "created":
        if asked.verdict == "error":
            raise web.Refusal(502, {"error": "El SII no responde", "code": "SII_UNAVAILABLE"})
        if asked.verdict == "invalid":
            told = f"{_REFUSED}: {body.get('password') or body['digital_certificate_password']}"
            raise web.Refusal(422, {"error": told, "code": "SII_ERROR"})
        made = _open(connection, asked, now)
        return web.as_json(_created(connection, made), 201)
    number = f"cenr_{uuid.uuid4().hex[:16]}"
    connection.execute(
        "INSERT INTO enrollment VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
        (
            *(number, asked.entity_id, asked.user_rut, asked.type_id, asked.verdict),
            *(now, now + how.enrollment_seconds),
        ),
    )
    return web.as_json({"enrollment_id": number, "status": "pending"}, 202)


async def poll(request: Request) -> Response:
    """GET /credentials/enrollments/{id}"""
    connection = web.context(request).connection
    row = _enrollment(connection, request.path_params["enrollment_id"])
    if row is None:
        raise web.not_found()
    now = clock.now(connection)
    ended, credential_id = now >= row["due"], row["credential_id"]
    if ended and row["verdict"] == "valid" and credential_id is None:
        asked = _Asked(row["entity_id"], row["user_rut"], row["type_id"], row["verdict"])
        credential_id = _open(connection, asked, row["due"])
        connection.execute(
            "UPDATE enrollment SET credential_id = ? WHERE id = ?", (credential_id, row["id"])
        )
    errors = {"invalid": _REFUSED, "error": "El SII no responde"}
    made = {"id": credential_id, "user": row["user_rut"], "status": "VALID"}
    return web.as_json(
        {
            "enrollment_id": row["id"],
            "status": row["verdict"] if ended else "pending",
            "user_rut": row["user_rut"],
            "error": errors.get(row["verdict"]) if ended else None,
            "credential": made if credential_id is not None else None,
            "created_at": clock.at(row["created_at"]).isoformat(),
            "finished_at": clock.at(row["due"]).isoformat() if ended else None,
        }
    )


def _read(connection: sqlite3.Connection, body: dict[str, Any]) -> _Asked:
    type_id = body.get("credential_type_id", _NAMES.get(body.get("credential_type", "sii")))
    if type_id not in _TYPES:
        raise web.Refusal(400, {"error": "VALIDATION_ERROR", "message": "credential_type_id"})
    needed = ("user_rut", "master_entity_id", *_SECRETS[type_id])
    missing = {name: ["Este campo es requerido."] for name in needed if not body.get(name)}
    if missing:
        raise web.Refusal(400, missing)
    if not _RUT.fullmatch(str(body["user_rut"])):
        raise web.Refusal(400, {"user_rut": ["RUT inválido."]})
    found = connection.execute(
        "SELECT id FROM entity WHERE id = ?", (body["master_entity_id"],)
    ).fetchone()
    if found is None:
        raise web.Refusal(404, {"error": "NOT_FOUND", "message": "Entidad no encontrada"})
    secret = f"{body.get('password', '')} {body.get('digital_certificate_password', '')}"
    verdict = next(
        (v for w, v in (("wrong", "invalid"), ("down", "error")) if w in secret), "valid"
    )
    return _Asked(found["id"], str(body["user_rut"]).upper(), type_id, verdict)


def _open(connection: sqlite3.Connection, asked: _Asked, now: float) -> int:
    """SII takes it: the company is the user's from now on. Id of the credential."""
    (last,) = connection.execute("SELECT max(id) FROM credential").fetchone()
    made = Credential(
        id=(last or 310) + 1,
        user_rut=asked.user_rut,
        entity_id=asked.entity_id,
        type_id=asked.type_id,
        type_name=_TYPES[asked.type_id],
        status="VALID",
        created_at=clock.at(now),
    )
    store.insert_records(connection, "credential", [made])
    connection.execute("UPDATE entity SET own = 1 WHERE id = ?", (asked.entity_id,))
    return made.id


def _created(connection: sqlite3.Connection, credential_id: int) -> dict[str, Any]:
    row = connection.execute(
        "SELECT c.*, e.name, e.rut FROM credential c JOIN entity e ON e.id = c.entity_id "
        "WHERE c.id = ?",
        (credential_id,),
    ).fetchone()
    told = lists.credential(row)
    (company,) = told.pop("master_entities")
    return {**told, "user": row["user_rut"], "master_entity": company}


def _enrollment(connection: sqlite3.Connection, number: str) -> sqlite3.Row | None:
    found: sqlite3.Row | None = connection.execute(
        "SELECT * FROM enrollment WHERE id = ?", (number,)
    ).fetchone()
    return found
