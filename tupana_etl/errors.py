"""What can go wrong, told by what the person who meets it should do.

    TupanaError
    ├── Fatal                 change something first; nothing was written      (exit 2)
    │   ├── ConfigError       a setting, an argument or the platform
    │   ├── AuthError         the key is missing, wrong or not allowed
    │   ├── LedgerError       the ledger is missing, older, another's or damaged
    │   └── OriginError       this home belongs to another account or server
    ├── Retriable             run the same command again later                 (exit 1)
    │   ├── NetworkError      no answer came
    │   ├── ServerError       the server answered 5xx, or nonsense
    │   ├── RateLimited       429, or our own retry budget is used up
    │   ├── LockHeld          another run holds the home
    │   └── Incomplete        part of the data could not be read whole
    ├── Refused               the API answered 4xx about one thing             (exit 1)
    │   ├── CompanyRefused    403 for one company; the others go on
    │   ├── NotFound          404
    │   └── Invalid           400, 409, 413, 422
    ├── OutcomeUnknown        a write may or may not have happened             (exit 1)
    └── DataError             what came cannot be taken as it is               (exit 1)
        ├── HostileXml        an XML document with a DTD or entities
        ├── LakeCorrupt       a committed segment is missing or altered
        └── ModelError        a SQL model failed, with file, line and column

Errors that come from an answer of the API carry what support needs: HTTP status,
vendor code, message, details, request id, company and document. They never carry a
key, a header or a request body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class TupanaError(Exception):
    """Base of every error a person may see; its text is the whole message."""

    exit_code: ClassVar[int] = 1


class Fatal(TupanaError):
    exit_code = 2


class ConfigError(Fatal):
    """A setting or an argument is wrong. The message names it and the cure."""


class OriginError(Fatal):
    """TUPANA_HOME belongs to another account, company set or server."""


class LedgerError(Fatal):
    """The ledger cannot be trusted or written. Nothing is sent from it."""


class Retriable(TupanaError):
    """Nothing is broken for good: the same command may be run again."""


class LockHeld(Retriable):
    """Another run holds this home."""


class Incomplete(Retriable):
    """A window could not be read whole; the next run mends it."""


class DataError(TupanaError):
    """Something that came cannot be taken as it is."""


class HostileXml(DataError):
    """An XML document declares a DTD or entities; it was not expanded."""


class LakeCorrupt(DataError):
    """A committed segment is missing or its bytes changed."""


class ModelError(DataError):
    """A SQL model failed. The message names file, line and column."""


class ApiError(TupanaError):
    """An answer of the API that is not what was asked for.

    Attributes: ``status`` (HTTP, None when no answer came), ``code`` (the vendor's),
    ``message``, ``details`` (whatever else the body said), ``request_id``, ``company``
    and ``document`` (ids as text, when the call was about one), ``path`` (with its query,
    without the server; for raw.lineage, in no message).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        company: str | None = None,
        document: str | None = None,
        retry_after: float | None = None,
        path: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.details = dict(details or {})
        self.request_id = request_id
        self.company = company
        self.document = document
        self.retry_after = retry_after
        self.path = path

    def __str__(self) -> str:
        about = [
            f"{name} {value}"
            for name, value in (
                ("HTTP", self.status),
                ("code", self.code),
                ("company", self.company),
                ("document", self.document),
                ("request id", self.request_id),
            )
            if value is not None
        ]
        return f"{self.message} ({', '.join(about)})" if about else self.message


class AuthError(ApiError, Fatal):
    """401, or 403 for the key itself: no call with this key will work."""


class NetworkError(ApiError, Retriable):
    """No usable answer: DNS, connection, TLS, timeout, or a body cut short."""


class ServerError(ApiError, Retriable):
    """5xx, or a 2xx whose body is not what the API promises."""


class RateLimited(ApiError, Retriable):
    """429 until the retries for this call, or for the whole run, were used up."""


class Refused(ApiError):
    """4xx about one thing; asking again without a change would not help."""


class CompanyRefused(Refused):
    """403 for one company. The other companies go on."""


class NotFound(Refused):
    """404."""


class Invalid(Refused):
    """400, 409, 413 or 422."""


class OutcomeUnknown(ApiError):
    """A write was sent and its result is not known: look before sending again."""
