"""The only place that POSTs. Bytes go out as they were frozen; nothing is ever repeated here.

A repeated POST may be a second invoice, so this never retries, never follows a redirect
and never guesses: it says what became of one request (see ``outcomes.py``), and whoever
keeps the ledger decides. The key goes to the configured origin only.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import httpx

from tupana_etl.api import origin
from tupana_etl.api.failures import chain, network_error
from tupana_etl.api.outcomes import Kind, Outcome, judge
from tupana_etl.api.wire import Answer, connections, headers_of, whole_body
from tupana_etl.domain import utcnow
from tupana_etl.errors import ServerError
from tupana_etl.settings import Settings

TIMEOUTS = httpx.Timeout(connect=10.0, read=90.0, write=30.0, pool=10.0)
"""Seconds, each for one step."""

DEADLINE = 120.0
"""Seconds for one POST as a whole: an answer that drips never trips the read timeout."""

_BEFORE_THE_REQUEST = (
    httpx.PoolTimeout,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ProxyError,
)

Watch = Callable[[str], None]
Transport = httpx.AsyncBaseTransport

_log = logging.getLogger("tupana_etl.api")


class Writer:
    """Sends POSTs, one request each. Use it as ``async with Writer(settings) as writer``.

    ``watch`` is told how far a request has come, by names such as ``send_request_body.complete``,
    in the task that sends and before the next byte moves. ``now`` is the clock (UTC) that
    the server's is compared with; ``transport``, ``timeouts`` and ``deadline`` (seconds)
    are for tests. Raises ConfigError when there is no usable key.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timeouts: httpx.Timeout = TIMEOUTS,
        deadline: float = DEADLINE,
        now: Callable[[], datetime] = utcnow,
        watch: Watch = lambda stage: None,
    ) -> None:
        self._base = settings.base_url.rstrip("/")
        self._settings = settings  # whose repr hides its secrets
        _, self._headers = headers_of(settings.need_key().api_key)
        self._http = connections(self._base, settings.max_concurrency, transport, timeouts)
        self._deadline, self._now, self._watch = deadline, now, watch
        self.requests = 0

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def post(
        self,
        path: str,
        body: bytes,
        *,
        company: str,
        idempotency_key: str = "",
        headers: dict[str, str] | None = None,
        expects_batch: bool = True,
        secrets: tuple[str, ...] = (),
        still: Callable[[], bool] = lambda: True,
    ) -> Outcome:
        """Sends ``body`` as it is to ``path`` below the base URL, once.

        ``company`` is whom it concerns: a 403 may refuse that company and not the key.
        ``secrets`` are in the body, and struck out of whatever the server says.
        ``still`` is asked at the last moment before the first byte: a process that was
        stopped for hours must not send what was decided before; False is NOT_SENT.
        Every end is an Outcome, except that a cancelled task and an error of ours are
        raised: then it is not known whether the request went out.
        """
        if not path.startswith("/"):
            raise ValueError(f"path {path!r} must start with a slash")
        url = f"{self._base}{path}"
        own = {"Content-Type": "application/json"} | (headers or {})
        if idempotency_key:
            own["Idempotency-Key"] = idempotency_key
        if not still():
            return _STALE
        progress = _Progress(self._watch, still)
        request = self._http.build_request(
            "POST",
            url,
            content=body,
            headers=httpx.Headers([*self._headers.multi_items(), *own.items()]),
            extensions={"trace": progress},
        )
        self.requests += 1
        outcome = await self._outcome(request, progress, company, expects_batch, secrets)
        _log.log(
            logging.INFO if outcome.kind is Kind.ACCEPTED else logging.WARNING,
            "POST %s: %s, %s, request id %s",
            origin.path_of(url),
            outcome.status or "no answer",
            outcome.kind,
            outcome.request_id or "none",
        )
        return outcome

    async def _outcome(
        self,
        request: httpx.Request,
        progress: _Progress,
        company: str,
        expects_batch: bool,
        secrets: tuple[str, ...],
    ) -> Outcome:
        try:
            async with asyncio.timeout(self._deadline):
                answer, arrived = await self._send(request)
        except _Stale:
            return _STALE
        except ServerError as error:  # larger than anything we read
            return Outcome(Kind.AMBIGUOUS, error.message, status=error.status)
        except (httpx.RequestError, TimeoutError) as error:
            return self._broken(error, progress, str(request.url))
        return judge(
            answer,
            arrived,
            secrets=(self._settings.api_key, *self._settings.webhook_secrets, *secrets),
            company=company,
            expects_batch=expects_batch,
        )

    async def _send(self, request: httpx.Request) -> tuple[Answer, datetime]:
        """The whole answer, and when its first line came."""
        response = await self._http.send(request, stream=True, auth=None, follow_redirects=False)
        arrived = self._now()
        try:
            body = await whole_body(response)
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, body), arrived

    def _broken(self, error: Exception, progress: _Progress, url: str) -> Outcome:
        told = network_error(error, origin.host_of(url)).message
        # By what was seen on the wire, and by the kind of error where nobody watched.
        unsent = progress.watched or isinstance(error, _BEFORE_THE_REQUEST)
        if progress.begun or not unsent:
            return Outcome(Kind.AMBIGUOUS, told)
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in chain(error)):
            return Outcome(Kind.HALT, f"{told} Certificates are never ignored.")
        return Outcome(Kind.NOT_SENT, told)


class _Stale(Exception):
    """Too much time went by between the decision to send and the first byte."""


_STALE = Outcome(Kind.NOT_SENT, "This process stood still for too long; nothing was sent.")


class _Progress:
    """How far a request has come, by httpcore's trace: begun is when its first byte may go."""

    def __init__(self, watch: Watch, still: Callable[[], bool]) -> None:
        self._watch, self._still = watch, still
        self.watched = False
        self.begun = False

    async def __call__(self, event: str, info: dict[str, Any]) -> None:
        self.watched = True
        _, _, stage = event.partition(".")
        if stage == "send_request_headers.started" and _is_post(info):
            if not self._still():
                raise _Stale
            self.begun = True
        self._watch(stage)


def _is_post(info: dict[str, Any]) -> bool:
    """A CONNECT to a proxy comes this way too, and says nothing of the documents yet."""
    method = getattr(info.get("request"), "method", b"POST")
    return bool(method != b"CONNECT")
