"""What went wrong, from whatever the server or the network said.

Nine shapes of error body are met:

    1 {error, code?, details?}      2 {error}               3 {error: CODE, message}
    4 {detail}                      5 {error_code, message or error}
    6 a map of fields to messages   7 {error, and lists or quota figures beside it}
    8 {error: {type, code, message, param, resource, doc_url, request_id}}
    9 no JSON at all

A body is never quoted whole, HTML never at all, and secrets are struck out.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from tupana_etl.api.retry import retry_after
from tupana_etl.errors import (
    ApiError,
    AuthError,
    CompanyRefused,
    Invalid,
    NetworkError,
    NotFound,
    RateLimited,
    Refused,
    ServerError,
)

MESSAGE_CAP = 300
DEPTH_CAP = 12
"""Levels of details kept: deeper ones are no help to anybody."""

_CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_OF_THE_KEY = re.compile(r"api[ _-]?key|(clave|llave)( de)?( la)? api", re.IGNORECASE)
_OF_A_PERMISSION = re.compile(r"permi[st]|scope|\w+:(access|create|\*)", re.IGNORECASE)
_SENTENCES: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (socket.gaierror,),
        "The name {host} is not known (DNS). Is the network up, and TUPANA_BASE_URL right?",
    ),
    ((httpx.ConnectTimeout,), "{host} did not take the connection in time. Is the network up?"),
    (
        (httpx.TimeoutException, TimeoutError),
        "{host} took the request but did not answer in time.",
    ),
    ((httpx.ProxyError,), "The proxy of this network did not let the call to {host} through."),
    (
        (ssl.SSLError,),
        "No secure connection (TLS) to {host}: its certificate or protocol is not accepted.",
    ),
    (
        (ConnectionRefusedError,),
        "{host} refused the connection: nothing is listening there.",
    ),
    ((httpx.ConnectError,), "No connection to {host}. Is the network up?"),
    ((httpx.DecodingError,), "The answer of {host} came damaged (compression)."),
)
"""What to say for a failure or a cause of it; the first that fits."""

SECRET_FROM = 6
"""Characters: nothing shorter is a secret, and striking it out would garble every word."""

_REQUEST_ID = ("x-request-id", "x-amzn-requestid")


@dataclass
class Told:
    """What an error body said, whatever its shape."""

    message: str = ""
    code: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    request_id: str | None = None


def request_id_of(headers: Mapping[str, str]) -> str | None:
    return next((headers[name] for name in _REQUEST_ID if name in headers), None)


def error_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    secrets: tuple[str, ...] = (),
    company: str | None = None,
    document: str | None = None,
) -> ApiError:
    """The typed error of an answer that is not 2xx. Never raises, whatever the body."""
    told = told_by(status, body)
    kind = _kind(status, told, about_something=company is not None or document is not None)
    message = capped(strike(told.message, secrets))
    if kind is AuthError:
        message = f"{message.rstrip('.')}. Check TUPANA_API_KEY: the API does not take this key."
    request_id = told.request_id or request_id_of(headers)
    return kind(
        message,
        status=status,
        code=None if told.code is None else capped(strike(told.code, secrets)),
        details=strike(told.details, secrets),
        request_id=None if request_id is None else capped(strike(request_id, secrets)),
        company=company,
        document=document,
        retry_after=retry_after(headers.get("retry-after")),
    )


def told_by(status: int, body: bytes) -> Told:
    """Message, code and details of an error body of any shape, or of none."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        hint = " Is TUPANA_BASE_URL right?" if status == 404 else ""
        return Told(f"The server answered HTTP {status} with {what_is(body)}.{hint}")
    told = _of_object(data) if isinstance(data, dict) else _of_fields(data)
    told.message = told.message.strip() or f"The server answered HTTP {status} without saying why."
    return told


def what_is(body: bytes) -> str:
    """A few words for a body that is not JSON, with none of its text."""
    start = body[:200].lstrip().lower()
    if not start:
        return "an empty body instead of JSON"
    if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "an HTML page instead of JSON"
    if start.startswith(b"<"):
        return "markup instead of JSON"
    if start.startswith((b"{", b"[")):
        return "broken or truncated JSON"
    return "text that is not JSON"


def _of_object(data: dict[str, Any]) -> Told:
    error = data.get("error")
    if isinstance(error, dict):  # 8
        told = _of_object(_rest(error, "error"))
        told.code = told.code or _text(error.get("type"))
        told.details |= _rest(data, "error")
        return told
    message, code = _text(data.get("message")), _text(data.get("code"))
    code = code or _text(data.get("error_code"))
    if isinstance(error, str) and error:
        if message and code is None and _CODE.fullmatch(error):  # 3
            return Told(message, error, _details(data, "error", "message"))
        return Told(error, code, _details(data, "error", "code", "error_code"))  # 1, 2, 5, 7
    if message:  # 5, and the inside of 8
        details = _details(data, "error", "message", "code", "error_code", "request_id")
        return Told(message, code, details, _text(data.get("request_id")))
    if isinstance(data.get("detail"), str):  # 4
        return Told(data["detail"], code, _details(data, "detail", "code"))
    told = _of_fields(data)  # 6
    told.code = code
    return told


def _of_fields(data: Any) -> Told:
    shown = []
    for path, text in leaves(data):
        shown.append(f"{path}: {text}" if path else text)
        if len(shown) == 5:
            break
    details = data if isinstance(data, dict) else {"errors": data} if data else {}
    return Told("; ".join(shown), None, dict(details))


def leaves(data: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Texts of a nested field map, each with its dotted path."""
    if depth > DEPTH_CAP:
        return
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(data, list):
        for place, value in enumerate(data):
            deeper = f"{path}.{place}" if isinstance(value, dict | list) else path
            yield from leaves(value, deeper, depth + 1)
    elif data not in (None, ""):
        yield path, str(data)


def _details(data: dict[str, Any], *spent: str) -> dict[str, Any]:
    """What the body says beyond what was read, with ``details`` unwrapped."""
    inner = data.get("details")
    rest = _rest(data, "details", *spent)
    if isinstance(inner, dict):
        return {**rest, **inner}
    return {**rest, "details": inner} if inner else rest


def _rest(data: dict[str, Any], *spent: str) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k not in spent}


def _text(value: object) -> str | None:
    """Text or a number as text; None for anything else and for nothing."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value) or None


def _kind(status: int, told: Told, *, about_something: bool) -> type[ApiError]:
    if status == 401:
        return AuthError
    if status == 403:
        return CompanyRefused if about_something and not _blames_key(told) else AuthError
    if status == 404:
        return NotFound
    if status in (400, 409, 413, 422):
        return Invalid
    if status == 429:
        return RateLimited
    return Refused if 400 <= status < 500 and status != 408 else ServerError


def _blames_key(told: Told) -> bool:
    """A key that lacks one permission is still a key: only that call is refused."""
    text = f"{told.code or ''} {told.message}"
    return bool(_OF_THE_KEY.search(text)) and not _OF_A_PERMISSION.search(text)


def strike(value: Any, secrets: tuple[str, ...], depth: int = 0) -> Any:
    """The value with every secret in its texts struck out, and cut at ``DEPTH_CAP``."""
    if isinstance(value, str):
        for secret in secrets:
            if len(secret) >= SECRET_FROM:
                value = value.replace(secret, "[redacted]")
        return value
    if depth > DEPTH_CAP:
        return "…"
    if isinstance(value, dict):
        return {strike(str(k), secrets): strike(v, secrets, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [strike(v, secrets, depth + 1) for v in value]
    return value


def capped(text: str) -> str:
    """One line of at most ``MESSAGE_CAP`` characters."""
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE_CAP else f"{line[: MESSAGE_CAP - 1]}…"


def network_error(
    exc: Exception, host: str, *, company: str | None = None, document: str | None = None
) -> NetworkError:
    """A sentence for a call that got no usable answer."""
    error = NetworkError(_sentence(exc, host), company=company, document=document)
    error.__cause__ = exc
    return error


def _sentence(exc: Exception, host: str) -> str:
    for kinds, sentence in _SENTENCES:
        if any(isinstance(cause, kinds) for cause in chain(exc)):
            return sentence.format(host=host)
    return f"The connection to {host} broke before the whole answer had come."


def chain(exc: BaseException) -> Iterator[BaseException]:
    """The exception, what caused it, and the members of any group among them."""
    todo: list[BaseException | None] = [exc]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions
