"""Every shape of error body, and bodies of no shape at all."""

from __future__ import annotations

import json as stdlib_json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tupana_etl.api.failures import MESSAGE_CAP, error_of
from tupana_etl.api.retry import WAIT_CAP, WAIT_FLOOR, Budget, retry_after, wait_before
from tupana_etl.errors import (
    ApiError,
    AuthError,
    CompanyRefused,
    Invalid,
    NotFound,
    RateLimited,
    Refused,
    ServerError,
)

from .server import KEY

# Status, body; then what it must become: class, code, message, details.
Shape = tuple[int, Any, type[ApiError], str | None, str, dict[str, Any]]

SHAPES: list[Shape] = [
    (
        422,
        {"error": "Folio usado", "code": "FOLIO_USED", "details": {"folio": 7}},
        Invalid,
        "FOLIO_USED",
        "Folio usado",
        {"folio": 7},
    ),
    (400, {"error": "Falta el rut"}, Invalid, None, "Falta el rut", {}),
    (
        500,
        {"error": "INTERNAL_ERROR", "message": "Algo salió mal"},
        ServerError,
        "INTERNAL_ERROR",
        "Algo salió mal",
        {},
    ),
    (404, {"detail": "No encontrado."}, NotFound, None, "No encontrado.", {}),
    (
        409,
        {"error_code": "DUPLICATE", "message": "Ya existe"},
        Invalid,
        "DUPLICATE",
        "Ya existe",
        {},
    ),
    (
        400,
        {"success": False, "error": "SII no responde", "error_code": "SII_ERROR"},
        Invalid,
        "SII_ERROR",
        "SII no responde",
        {"success": False},
    ),
    (
        422,
        {"documents": {"0": {"header": {"x": ["no es válido"]}}}},
        Invalid,
        None,
        "documents.0.header.x: no es válido",
        {"documents": {"0": {"header": {"x": ["no es válido"]}}}},
    ),
    (
        422,
        {"credentials": [{}, {"user_rut": ["falta"]}]},
        Invalid,
        None,
        "credentials.1.user_rut: falta",
        {"credentials": [{}, {"user_rut": ["falta"]}]},
    ),
    (
        429,
        {"error": "Límite", "limit": 10, "window": "hora", "used": 10, "resets_at": "x"},
        RateLimited,
        None,
        "Límite",
        {"limit": 10, "window": "hora", "used": 10, "resets_at": "x"},
    ),
    (
        400,
        {
            "error": {
                "type": "invalid_request",
                "code": "parameter_missing",
                "message": "Missing page",
                "param": "page",
                "doc_url": "https://d",
                "request_id": "req_9",
            }
        },
        Invalid,
        "parameter_missing",
        "Missing page",
        {"type": "invalid_request", "param": "page", "doc_url": "https://d"},
    ),
    (
        502,
        b"<html><body>Bad Gateway from alb-secret</body></html>",
        ServerError,
        None,
        "The server answered HTTP 502 with an HTML page instead of JSON.",
        {},
    ),
    (
        400,
        ["uno", "dos"],
        Invalid,
        None,
        "uno; dos",
        {"errors": ["uno", "dos"]},
    ),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_becomes_one_typed_error(shape: Shape) -> None:
    status, body, kind, code, message, details = shape
    raw = body if isinstance(body, bytes) else stdlib_json.dumps(body).encode()
    error = error_of(status, {"x-request-id": "rid-1"}, raw, company="7", document="42")
    assert type(error) is kind
    assert (error.status, error.code, error.message) == (status, code, message)
    assert error.details == details
    assert error.request_id == ("req_9" if "req_9" in str(body) else "rid-1")
    assert (error.company, error.document) == ("7", "42")


@pytest.mark.parametrize(
    ("status", "company", "text", "kind"),
    [
        (401, "7", "Token inválido", AuthError),
        (401, None, "", AuthError),
        (403, None, "Prohibido", AuthError),
        (403, "7", "Prohibido", CompanyRefused),
        (403, "7", "Invalid API key", AuthError),
        (403, "7", "INVALID_API_KEY", AuthError),
        (403, "7", "Your API key lacks permission book_summary:access", CompanyRefused),
        (403, "7", "Sin credenciales activas", CompanyRefused),
        (413, None, "Too big", Invalid),
        (418, None, "Teapot", Refused),
        (408, None, "Slow", ServerError),
        (503, None, "Busy", ServerError),
        (304, None, "", ServerError),
    ],
)
def test_the_class_says_whose_problem_it_is(
    status: int, company: str | None, text: str, kind: type[ApiError]
) -> None:
    body = stdlib_json.dumps({"error": text}).encode()
    assert type(error_of(status, {}, body, company=company)) is kind


def test_secrets_and_long_texts_do_not_get_through() -> None:
    body = {"error": f"bad {KEY} " + "x" * 1000, "details": {"a": [f"<{KEY}>"], KEY: 1}}
    error = error_of(400, {}, stdlib_json.dumps(body).encode(), secrets=(KEY,))
    assert len(error.message) <= MESSAGE_CAP
    assert KEY not in f"{error!s} {error!r} {error.details}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "code", "message", "detail", "details", "error_code", "x"])
            | st.text(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@example(b'" "', 300)
@given(st.binary() | JSON.map(lambda v: stdlib_json.dumps(v).encode()), st.integers(300, 599))
def test_any_body_becomes_an_error_with_a_text(body: bytes, status: int) -> None:
    error = error_of(status, {}, body, secrets=(KEY,), company="1")
    assert isinstance(error, ApiError)
    assert error.message


def test_nesting_without_end_is_survived() -> None:
    deep = b'{"error":' * 900 + b"1" + b"}" * 900
    for body in (deep, b"[" * 100_000, b'{"a":' * 900 + b'"x"' + b"}" * 900):
        assert error_of(400, {}, body, secrets=(KEY,)).message


NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("5", 5.0),
        (" 2.5 ", 2.5),
        ("0", 0.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-3", None),
        ("", None),
        ("²", None),
        (".", None),
        ("inf", None),
    ],
)
def test_retry_after_is_read_in_both_forms(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text())
def test_any_retry_after_is_survived(header: str) -> None:
    seconds = retry_after(header, NOW)
    assert seconds is None or 0 <= wait_before(1, seconds) <= WAIT_CAP


def test_waits_stay_between_floor_and_cap() -> None:
    assert wait_before(1, 7) == 7
    assert wait_before(1, 0) >= WAIT_FLOOR
    assert wait_before(1, 3600) == WAIT_CAP
    assert all(0 <= wait_before(n, None) <= 0.5 * 2 ** (n - 1) for n in range(1, 6))
    assert max(wait_before(30, None) for _ in range(50)) <= 20


def test_a_budget_runs_out_and_is_earned_back_slowly() -> None:
    budget = Budget.of(2)
    assert [budget.spend() for _ in range(3)] == [True, True, False]
    for _ in range(11):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]
    for _ in range(1000):
        budget.earn()
    assert budget.left == 2
