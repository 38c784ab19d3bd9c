"""The answers: what a sync asks for, as bytes. No framework stands between file and socket."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any
from urllib.parse import parse_qsl

from bench.load.rows import COMPANY_ID, COMPANY_RUT, events, moment, trace
from bench.load.world import World

Query = dict[str, str]
Answer = tuple[int, bytes]

KEY = "bench-key"
PAGE_CAP = 100

_COMPANY = {"id": COMPANY_ID, "tax_id": COMPANY_RUT, "name": "Distribuidora del Maipo Ltda"}
_CREDENTIAL = {
    "id": 1,
    "user": "12345678-5",
    "credential_type": {"id": 70, "name": "SII"},
    "created_at": "2024-01-01T00:00:00Z",
    "status": "VALID",
    "master_entities": [_COMPANY],
}
_ENTITY = {**_COMPANY, "email": None, "addresses": [], "activities": []}
_EMPTY: dict[str, Any] = {
    "count": 0,
    "total_pages": 1,
    "next": None,
    "previous": None,
    "results": [],
}
_SYNC = {"master_entity_id": COMPANY_ID, "sync_frequency_hours": 24, "types": []}

FIXED: dict[str, bytes] = {
    path: json.dumps(body, separators=(",", ":")).encode()
    for path, body in {
        "/credentials": [_CREDENTIAL],
        "/master-entities": _ENTITY,
        "/webhooks": [],
        "/scheduled-documents": _EMPTY,
        "/cessions": _EMPTY,
        "/book-summaries": {"count": 0, "is_enabled": True, "results": []},
        "/sync-status": _SYNC,
    }.items()
}


@dataclass
class Mood:
    """How the server behaves, and what changes once ``after`` pages of documents were given."""

    latency_ms: float = 0
    busy_every: int = 0
    """Every so many requests is answered 429, with Retry-After: 1."""
    fail_every: int = 0
    """Every so many requests is answered 500."""
    after: int = 0
    then_first: int = -1
    then_last: int = -1


@dataclass
class Counts:
    """What the server saw since it was last told how to behave."""

    requests: int = 0
    pages: int = 0
    """Requests for the list of documents that were answered with rows."""
    refused: int = 0
    bytes: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    cpu: float = 0
    """Processor seconds of the server since it started."""


@dataclass
class App:
    world: World
    mood: Mood = field(default_factory=Mood)
    counts: Counts = field(default_factory=Counts)

    def answer(self, target: str) -> Answer:
        """Status and body for a path with its query."""
        path, _, query = target.partition("?")
        version, _, rest = path[1:].partition("/")
        asked = dict(parse_qsl(query))
        name = "/" + rest.rstrip("/")
        if version == "bench":
            return self._told(name, asked)
        self.counts.requests += 1
        if self._strikes(self.mood.busy_every):
            return 429, b'{"error":"busy","code":"rate_limited"}'
        if self._strikes(self.mood.fail_every):
            return 500, b'{"error":"internal"}'
        if name == "/documents":
            return 200, self._page(asked, is_v2=version == "v2")
        return self._one(name) if name.startswith("/documents/") else self._fixed(name)

    def _strikes(self, every: int) -> bool:
        strikes = every > 0 and self.counts.requests % every == 0
        self.counts.refused += strikes
        return strikes

    def _page(self, asked: Query, *, is_v2: bool) -> bytes:
        size = min(int(asked.get("page_size", "20")), PAGE_CAP)
        page = int(asked.get("page", "1"))
        found = self._found(asked)
        total = max(1, -(-len(found) // size))
        rows = found[(page - 1) * size : page * size]
        self.counts.pages += bool(rows) and size > 1
        if is_v2:
            about = f'"page":{page},"page_size":{size},"total":{len(found)},"total_pages":{total}'
            body = b'{"data":[%b],"meta":{%b},"links":{"next":null,"prev":null}}'
            body %= self.world.cut(rows), about.encode()
        else:
            after = f'"/v1/documents?page={page + 1}"' if page < total else "null"
            about = f'"count":{len(found)},"total_pages":{total},"next":{after},"previous":null'
            body = b'{%b,"results":[%b]}' % (about.encode(), self.world.cut(rows))
        self._move_on()
        return body

    def _found(self, asked: Query) -> range:
        if asked.get("document_type", "issued") != "issued":
            return range(0)
        oldest, newest = asked.get("issue_date_gte"), asked.get("issue_date_lte")
        return self.world.between(
            date.fromisoformat(oldest) if oldest else None,
            date.fromisoformat(newest) if newest else None,
        )

    def _move_on(self) -> None:
        mood = self.mood
        if mood.after and self.counts.pages == mood.after:
            self.world.first = mood.then_first if mood.then_first >= 0 else self.world.first
            self.world.last = mood.then_last if mood.then_last >= 0 else self.world.last
            mood.after = 0

    def _one(self, name: str) -> Answer:
        """``/documents/{id}`` and ``/documents/{id}/states``."""
        text, _, what = name.removeprefix("/documents/").partition("/")
        number = self.world.number(int(text.removeprefix("docu_")))
        if number is None:
            return 404, b'{"detail":"No encontrado."}'
        at = moment(number, self.world.documents, self.world.today)
        if what == "states":
            told = {"success": True, "document_id": int(text), "states": events(at)}
            return 200, json.dumps(told, separators=(",", ":")).encode()
        row = self.world.cut(range(number, number + 1))
        if self.world.traces:
            return 200, row
        return 200, row.rstrip()[:-1] + b',"traces":%b}' % json.dumps([trace(at)]).encode()

    def _fixed(self, name: str) -> Answer:
        body = FIXED.get(name)
        return (404, b'{"detail":"No encontrado."}') if body is None else (200, body)

    def _told(self, name: str, asked: Query) -> Answer:
        """The bench's own words: ``/bench/counts``, ``/bench/set``, ``/bench/flip``."""
        told: dict[str, Callable[[Query], None]] = {"/set": self._set, "/flip": self._flip}
        if name in told:
            told[name](asked)
        self.counts.cpu = time.process_time()
        return 200, json.dumps(asdict(self.counts)).encode()

    def _set(self, asked: Query) -> None:
        values = {key: float(value) for key, value in asked.items()}
        self.world.first = int(values.pop("first", self.world.first))
        self.world.last = int(values.pop("last", self.world.last))
        latency = values.pop("latency_ms", self.mood.latency_ms)
        self.mood = Mood(latency, **{key: int(value) for key, value in values.items()})
        self.counts = Counts(in_flight=self.counts.in_flight)

    def _flip(self, asked: Query) -> None:
        for number in asked["numbers"].split(","):
            self.world.flip(int(number))
