"""One request on the wire: headers, connections, redirects. No retries here.

Redirects are followed by hand, since the key may go to one origin only.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from urllib.parse import urlsplit

import httpx

from tupana_etl.api import origin
from tupana_etl.api.transport import reading_transport
from tupana_etl.errors import ConfigError, ServerError
from tupana_etl.settings import Settings

TIMEOUTS = httpx.Timeout(connect=10.0, read=60.0, write=30.0, pool=None)
"""Seconds. Some reads make Tu Pana ask SII first, which takes tens of seconds. Waiting
for a connection has no limit of its own: the limiter never lets in more than there are."""

BODY_CAP = 50 * 1024 * 1024
"""Bytes of one answer or file."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 3


# httpx logs whole URLs at INFO, with names, RUTs and signatures in their queries.
for _noisy in ("httpx", "httpcore"):
    logging.getLogger(_noisy).setLevel(logging.WARNING)


@dataclass(frozen=True)
class Answer:
    """Whatever the server answered, whole."""

    status: int
    headers: httpx.Headers
    body: bytes = field(repr=False)


class Wire:
    """Connections to one API. ``requests`` counts what was sent, redirects included."""

    def __init__(
        self,
        settings: Settings,
        transport: httpx.AsyncBaseTransport | None,
        timeouts: httpx.Timeout,
    ) -> None:
        self.base = settings.base_url.rstrip("/")
        self.origin = origin.origin_of(self.base)
        self.requests = 0
        self._plain, self._keyed = headers_of(settings.need_key().api_key)
        most = settings.max_concurrency
        transport = transport or reading_transport(most, trust_env=not is_local(self.base))
        self.http = connections(self.base, most, transport, timeouts)

    async def fetch(self, url: str, *, is_file: bool = False) -> Answer:
        """One answer, after at most three redirects: inside the origin, files anywhere.

        Raises ServerError for a place that may not be asked, and what httpx raises.
        """
        for _ in range(MAX_REDIRECTS + 1):
            if is_file:
                self._refuse_open_line(url)
            answer = await self._send(url)
            location = answer.headers.get("location")
            if answer.status not in REDIRECTS:
                return answer
            if not location:
                raise ServerError("The server redirects to nowhere.", status=answer.status)
            target = origin.join(url, location)
            foreign_file = is_file and origin.origin_of(target) != self.origin
            url = target if foreign_file else origin.inside(self.base, target)
        raise ServerError(f"More than {MAX_REDIRECTS} redirects.", status=answer.status)

    def _refuse_open_line(self, url: str) -> None:
        place = origin.origin_of(url)
        secure = place is not None and (
            place[0] == "https" or place == self.origin or self._is_local(place)
        )
        if not secure:
            raise ServerError(
                f"A file is said to be at {origin.host_of(url)}, but not by https: not fetched."
            )

    def _is_local(self, place: origin.Origin) -> bool:
        """A file store of a sandbox on this machine; a real API never points here."""
        here = self.origin is not None and self.origin[1] in origin.LOOPBACK
        return here and place[1] in origin.LOOPBACK

    async def _send(self, url: str) -> Answer:
        """One request on the wire. The key goes along only to our own origin."""
        headers = self._keyed if origin.origin_of(url) == self.origin else self._plain
        try:
            request = self.http.build_request("GET", url, headers=headers)
        except (httpx.InvalidURL, UnicodeError):
            raise ServerError(f"{origin.host_of(url)} comes with an address no URL has.") from None
        self.requests += 1
        response = await self.http.send(request, stream=True, auth=None)
        try:
            return Answer(response.status_code, response.headers, await whole_body(response))
        finally:
            await response.aclose()


def headers_of(key: str) -> tuple[httpx.Headers, httpx.Headers]:
    """Headers without and with the key; httpx.Headers hides it in its repr."""
    if any(not 32 < ord(c) < 127 for c in key):
        raise ConfigError("TUPANA_API_KEY holds a character that no key has; copy it again.")
    plain = {
        "Accept": "application/json",
        "Accept-Encoding": "gzip",
        "User-Agent": "tupana-etl",
    }
    return httpx.Headers(plain), httpx.Headers(plain | {"Authorization": f"Api-Key {key}"})


def connections(
    base: str, most: int, transport: httpx.AsyncBaseTransport | None, timeouts: httpx.Timeout
) -> httpx.AsyncClient:
    """At most ``most`` connections towards ``base``: no redirects, no cookies, no .netrc."""
    return httpx.AsyncClient(
        transport=transport,
        timeout=timeouts,
        limits=httpx.Limits(
            max_connections=most, max_keepalive_connections=most, keepalive_expiry=30.0
        ),
        follow_redirects=False,
        # A cookie would be a second identity beside the key, and sent to file stores.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        # Companies have proxies and certificates of their own: HTTPS_PROXY, NO_PROXY and
        # SSL_CERT_FILE count, except towards this machine. A .netrc never does (httpx
        # reads one only through NetRCAuth): its entry would replace our Authorization.
        trust_env=not is_local(base),
    )


def is_local(base: str) -> bool:
    """Whether the API is on this machine: no proxy and no certificate of a company counts."""
    return urlsplit(base).hostname in origin.LOOPBACK


async def whole_body(response: httpx.Response) -> bytes:
    """All of an answer. Raises ServerError above ``BODY_CAP``, and what httpx raises."""
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > BODY_CAP:
            raise ServerError(
                f"The answer is larger than {BODY_CAP // 1024**2} MB; the rest was not read.",
                status=response.status_code,
            )
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
