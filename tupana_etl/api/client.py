"""The one HTTP client: key, retries, concurrency, redirects, typed errors. Reads only.

This is the only place that retries, so a failing server sees the tries declared in
``retry.py`` and not their product with another layer's.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

import httpx

from tupana_etl.api import origin
from tupana_etl.api.body import json_of
from tupana_etl.api.failures import error_of, network_error, request_id_of, strike, what_is
from tupana_etl.api.limiter import Limiter, Sleep
from tupana_etl.api.retry import BUSY, RETRIED, TRIES, TRIES_BUSY, Budget, http_date, wait_before
from tupana_etl.api.wire import TIMEOUTS, Answer, Wire
from tupana_etl.domain import utcnow
from tupana_etl.errors import ApiError, NotFound, Refused, ServerError
from tupana_etl.settings import Settings

ONE_TRY = 600.0
"""Seconds for one try as a whole: a body that drips never trips the read timeout."""

_log = logging.getLogger("tupana_etl.api")


@dataclass(frozen=True)
class Reply:
    """A good answer: 2xx, whole, and JSON."""

    body: bytes = field(repr=False)
    status: int
    request_id: str | None
    path: str
    """Path and sorted query, without the origin: what lineage records."""
    fetched_at: datetime
    """UTC, when the last byte had come."""
    attempts: int
    """Tries it took; 1 is the first."""
    origin: str = ""
    """Base URL it was asked from; a ``next`` link is held against it."""
    date: datetime | None = None
    """When the server says that it answered."""


@dataclass(frozen=True)
class _Call:
    url: str = field(repr=False)
    is_file: bool = False
    company: str | None = None
    document: str | None = None


@dataclass(frozen=True)
class _Failure:
    error: ApiError
    tries: int
    """How many tries such a failure is worth; 1 is no second one."""
    busy: bool = False


@dataclass
class _Cost:
    retries: int = 0
    waited: float = 0.0


class Client:
    """Asks the API. Use it as ``async with Client(settings) as client``.

    ``retry_budget`` is the number of retries for all calls of the client together (see
    :class:`~tupana_etl.api.retry.Budget`). ``timeouts`` are in seconds; ``transport`` and
    ``sleep`` are for tests. Raises ConfigError when there is no usable key.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        retry_budget: int = 200,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        timeouts: httpx.Timeout = TIMEOUTS,
    ) -> None:
        self._wire = Wire(settings, transport, timeouts)
        self._settings = settings  # whose repr hides its secrets
        self.max_concurrency = settings.max_concurrency
        self._cost = _Cost()
        self._turn = 0
        self._sleep = sleep
        self._budget = Budget.of(retry_budget)
        self._limiter = Limiter(settings.max_concurrency, sleep)

    async def __aenter__(self) -> Self:
        await self._wire.http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._wire.http.__aexit__(kind, error, trace)

    def in_turn(self, turn: int) -> Self:
        """The same client, whose calls wait until none with a lower turn does; 0 is the first.

        Connections, limits and counts are shared, and it closes with the one it came from.
        """
        other = copy.copy(self)
        other._turn = turn
        return other

    @property
    def retries(self) -> int:
        """Calls asked again."""
        return self._cost.retries

    @property
    def waited(self) -> float:
        """Seconds that calls waited before they were asked again, added up."""
        return self._cost.waited

    @property
    def requests(self) -> int:
        """Requests sent so far, retries and redirects included."""
        return self._wire.requests

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        company: str | None = None,
        document: str | None = None,
    ) -> Reply:
        """GET of ``path`` (below the base URL, with its leading slash), retried as needed.

        ``company`` and ``document`` are what the call is about: errors carry them, and a
        403 then refuses that company and not the key. Raises AuthError, Refused and its
        kinds, RateLimited, ServerError, NetworkError.
        """
        if not path.startswith("/"):
            raise ValueError(f"path {path!r} must start with a slash")
        query = urlencode(sorted((params or {}).items()))
        url = f"{self._wire.base}{path}?{query}" if query else f"{self._wire.base}{path}"
        asked = url[len(self._wire.base) - len(urlsplit(self._wire.base).path) :]
        try:
            answer, tries = await self._persist(_Call(url, company=company, document=document))
        except ApiError as error:
            error.path = asked
            raise
        return Reply(
            body=answer.body,
            status=answer.status,
            request_id=self._request_id(answer),
            path=asked,
            fetched_at=utcnow(),
            attempts=tries,
            origin=self._wire.base,
            date=http_date(answer.headers.get("date")),
        )

    async def download(self, url: str) -> bytes:
        """Bytes of a file, at most 50 MB, by its presigned URL or a path of the API.

        The key goes along only to the API's own origin: the signature in the URL is all
        a file store needs. Raises Refused or NotFound when the URL has died, ServerError
        for an address that is not https (http only on this machine), and as ``get``.
        """
        answer, _ = await self._persist(
            _Call(origin.join(f"{self._wire.base}/", url), is_file=True)
        )
        return answer.body

    def stats(self) -> dict[str, float | int]:
        """What the calls so far cost: counts, seconds waited, concurrency now and lowest."""
        return {
            "requests": self.requests,
            "retries": self.retries,
            "waited": round(self.waited, 3),
            "concurrency": int(self._limiter.limit),
            "lowest_concurrency": self._limiter.lowest,
        }

    async def _persist(self, call: _Call) -> tuple[Answer, int]:
        """The answer and the tries it took; raises the last error when tries run out."""
        tries = 0
        while True:
            tries += 1
            entered = await self._limiter.enter(self._turn)
            try:
                outcome = await self._try(call, entered)
                if isinstance(outcome, Answer):
                    self._budget.earn()
                    return outcome, tries
                seconds = self._wait_or_raise(call, outcome, tries)
                for_all = outcome.busy and outcome.error.retry_after is not None
                if for_all:  # before the slot is free, or the next in line would slip in
                    await self._limiter.hold(seconds)
            finally:
                self._limiter.leave()
            if not for_all:
                await self._sleep(seconds)

    def _wait_or_raise(self, call: _Call, failure: _Failure, tries: int) -> float:
        """Seconds before the next try; raises the error when there is none."""
        error = failure.error
        if tries >= failure.tries:
            # A refusal is an answer, the last 404 of a listing too: no warning.
            level = logging.INFO if isinstance(error, Refused) else logging.WARNING
            _report(call, error, f"not asked again after try {tries}", level)
            raise error
        if not self._budget.spend():
            _report(call, error, "not asked again: the run has no retries left")
            raise error
        seconds = wait_before(tries, error.retry_after)
        _report(call, error, f"try {tries}, next in {seconds:.1f} s", logging.INFO)
        self._cost.retries += 1
        self._cost.waited += seconds
        return seconds

    async def _try(self, call: _Call, entered: int) -> Answer | _Failure:
        try:
            async with asyncio.timeout(ONE_TRY):
                answer = await self._wire.fetch(call.url, is_file=call.is_file)
        except ApiError as error:
            error.company, error.document = call.company, call.document
            return _Failure(error, 1)
        except (httpx.TransportError, httpx.DecodingError, TimeoutError) as exc:
            host = origin.host_of(call.url)
            about = {"company": call.company, "document": call.document}
            return _Failure(network_error(exc, host, **about), TRIES)
        return self._judge(call, answer, entered)

    def _judge(self, call: _Call, answer: Answer, entered: int) -> Answer | _Failure:
        if 200 <= answer.status < 300:
            body = answer.body if call.is_file else json_of(answer.body)
            if body is None:
                return _Failure(self._nonsense(call, answer), TRIES)
            self._limiter.speed_up()
            return answer if body is answer.body else replace(answer, body=body)
        error = self._file_error(call, answer) or self._error(call, answer)
        if answer.status in BUSY:
            self._limiter.slow_down(entered)
            return _Failure(error, TRIES_BUSY, busy=True)
        return _Failure(error, TRIES if answer.status in RETRIED else 1)

    def _error(self, call: _Call, answer: Answer) -> ApiError:
        return error_of(
            answer.status,
            answer.headers,
            answer.body,
            secrets=self._secrets(),
            company=call.company,
            document=call.document,
        )

    def _nonsense(self, call: _Call, answer: Answer) -> ServerError:
        return ServerError(
            f"The server said all is well, with {what_is(answer.body)}.",
            status=answer.status,
            request_id=self._request_id(answer),
            company=call.company,
            document=call.document,
        )

    def _file_error(self, call: _Call, answer: Answer) -> ApiError | None:
        """A 4xx of a file store says nothing about the key, whatever its number."""
        status = answer.status
        if not call.is_file or status in RETRIED or not 400 <= status < 500:
            return None
        if status == 401 and origin.origin_of(call.url) == self._wire.origin:
            return None
        kind = NotFound if status in (404, 410) else Refused
        return kind(
            "The link to the file no longer works (it lives about an hour): "
            "ask for the document again.",
            status=status,
            request_id=self._request_id(answer),
        )

    def _request_id(self, answer: Answer) -> str | None:
        request_id = request_id_of(answer.headers)
        return None if request_id is None else str(strike(request_id, self._secrets()))

    def _secrets(self) -> tuple[str, ...]:
        return self._settings.api_key, *self._settings.webhook_secrets


def _report(call: _Call, error: ApiError, fate: str, level: int = logging.WARNING) -> None:
    """One line a failed try. Path only: see :func:`tupana_etl.api.origin.path_of`."""
    _log.log(
        level,
        "GET %s: %s, request id %s, %s",
        origin.path_of(call.url),
        error.status or type(error).__name__,
        error.request_id or "none",
        fate,
    )
