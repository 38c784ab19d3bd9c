"""The one place the key may go: scheme, host and port of the configured base URL."""

from __future__ import annotations

from urllib.parse import SplitResult, urljoin, urlsplit

from tupana_etl.errors import ServerError

Origin = tuple[str, str, int]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_PORTS = {"http": 80, "https": 443}


def split(url: str) -> SplitResult | None:
    """Parts of an http(s) URL, or None for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    web = parts.scheme in _PORTS and parts.hostname and port != 0
    return parts if web else None


def origin_of(url: str) -> Origin | None:
    """Scheme, host and port; None when the text is no http(s) URL."""
    parts = split(url)
    if parts is None:
        return None
    return parts.scheme, parts.hostname or "", parts.port or _PORTS[parts.scheme]


def host_of(url: str) -> str:
    """Host and port for a message, without user, path or query."""
    parts = split(url)
    if parts is None:
        return "an address that is no http(s) URL"
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""


def path_of(url: str) -> str:
    """Path alone: a query may hold names, RUTs or a signature, and goes in no log."""
    parts = split(url)
    return parts.path if parts else ""


def join(here: str, link: str) -> str:
    """A link, relative or not, as a whole URL; ServerError when it cannot be one."""
    try:
        return urljoin(here, link)
    except ValueError:
        raise ServerError(f"{host_of(here)} comes with a link that is no URL.") from None


def inside(base: str, target: str) -> str:
    """Where a redirect inside the origin of ``base`` leads.

    Only path and query of ``target`` are used, so that no user or fragment written
    there takes part. Raises ServerError, which names the host, when it leads elsewhere.
    """
    if origin_of(target) != origin_of(base):
        raise ServerError(
            f"The server redirects to {host_of(target)}, outside {host_of(base)}: "
            "not followed, the key stays here."
        )
    parts, root = urlsplit(target), urlsplit(base)
    query = f"?{parts.query}" if parts.query else ""
    return f"{root.scheme}://{root.netloc}{parts.path or '/'}{query}"


def refuse_foreign_next(base: str, link: str) -> None:
    """ServerError, which names the host, when a ``next`` link leads to another host.

    The link is never followed (page numbers are counted here), so http for https on the
    same host, which servers behind a TLS proxy write, does no harm and is let through.
    """
    target = join(base, link)
    if _place(target) != _place(base):
        raise ServerError(
            f"The next page is said to be at {host_of(target)}, not at {host_of(base)}: "
            "this answer is not trusted."
        )


def _place(url: str) -> tuple[str, int | None] | None:
    origin = origin_of(url)
    if origin is None:
        return None
    scheme, host, port = origin
    return host, None if port == _PORTS[scheme] else port
