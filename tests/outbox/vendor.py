"""The API in this process, with its own memory of what it issued and its own clock.

It is more hostile than any server may be: it executes what it said it lost, at once or
hours later, and answers what the test tells it to. ``issued`` is the oracle.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx

from tupana_etl.domain import iva
from tupana_etl.outbox.custody import TAG_PARAM

COMPANIES = {"76086428-5": 501, "77777777-7": 502}
KEY_LIFE = timedelta(hours=24)

Answer = httpx.Response


@dataclass
class Document:
    id: int
    company: str
    asked: dict[str, Any]
    at: datetime
    sandbox: bool | None = None
    """None: as the vendor is now."""

    @property
    def tag(self) -> str | None:
        return (self.asked.get("json_param") or {}).get(TAG_PARAM)


@dataclass
class Batch:
    id: str
    key: str
    body: bytes
    at: datetime
    documents: list[dict[str, Any]]
    statuses: list[str]
    ids: list[int | None]


@dataclass
class Vendor:
    """Set ``mood`` before a POST; every mood but ``ok`` holds for one POST."""

    clock: Callable[[], datetime]
    moods: list[str] = field(default_factory=list)
    batch_get: bool = True
    filter: str = "on"
    """``on``, ``ignored`` or ``empty``."""
    lists: str = "rich"
    """``rich``, ``lean`` or ``down``."""
    processing: timedelta = timedelta(0)
    search_delay: timedelta = timedelta(0)
    statuses: dict[str, str] = field(default_factory=dict)
    """By row tag, the final status instead of ``success``."""
    idempotent: bool = True
    keeps_params: bool = True
    poison: str = ""
    most: int = 200
    iva_off: int = 0
    net_off: int = 0
    skew: timedelta = timedelta(0)
    real: bool = False
    issued: list[Document] = field(default_factory=list)
    batches: dict[str, Batch] = field(default_factory=dict)
    late: list[tuple[datetime, str, bytes]] = field(default_factory=list)
    """Requests that the server will execute yet, whatever it answered."""
    posts: list[tuple[str, bytes]] = field(default_factory=list)
    reads: int = 0
    down: bool = False
    on_post: Callable[[], None] | None = None
    """Called once, while a POST is on its way and nothing of it is executed."""
    state: str = "issued"
    tells_time: bool = True

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        return httpx.MockTransport(self.handle)

    def now(self) -> datetime:
        return self.clock() + self.skew

    def copies(self) -> Counter[str]:
        """Live documents by row tag; one without tag counts under its body."""
        self.proceed()
        return Counter(
            (d.asked.get("json_param") or {}).get(TAG_PARAM) or str(d.asked) for d in self.issued
        )

    def totals(self) -> dict[str, int]:
        """What each document comes to, by row tag."""
        return {d.tag or str(d.asked): self._amounts(d.asked)[2] for d in self.issued}

    def handle(self, request: httpx.Request) -> Answer:
        self.proceed()
        if request.method == "POST":
            return self._dated(self._post(request))
        self.reads += 1
        if self.down:
            raise httpx.ConnectError("down", request=request)
        return self._dated(self._get(request))

    def _dated(self, answer: Answer) -> Answer:
        if self.tells_time:
            answer.headers["date"] = format_datetime(self.now(), usegmt=True)
        answer.headers["x-request-id"] = f"r{self.reads}p{len(self.posts)}"
        return answer

    # Writes

    def _post(self, request: httpx.Request) -> Answer:
        key, body = request.headers["idempotency-key"], request.content
        mood = self.moods.pop(0) if self.moods else "ok"
        if mood == "no_connection":
            raise httpx.ConnectError("refused", request=request)
        self.posts.append((key, body))
        if self.on_post is not None:
            hook, self.on_post = self.on_post, None
            hook()
        simple: dict[str, Answer] = {
            "429": httpx.Response(429, headers={"retry-after": "2"}),
            "503": httpx.Response(503),
            "401": httpx.Response(401, json={"error": "bad key"}),
            "403": httpx.Response(403, json={"error": "sin acceso a la empresa"}),
            "500": httpx.Response(500),
            "409": httpx.Response(409, json={"error": "in progress"}),
            "garbage_unexecuted": httpx.Response(202, text="<html>"),
        }
        if mood in simple:
            return simple[mood]
        if mood == "cut":
            raise httpx.WriteError("reset", request=request)
        if mood.startswith("late"):  # late:HOURS
            self.late.append((self.now() + timedelta(hours=float(mood[5:])), key, body))
            raise httpx.ReadTimeout("no answer", request=request)
        answer = self._execute(key, body, self.now())
        if mood == "lost":
            raise httpx.ReadError("reset", request=request)
        if mood == "502_executed":
            return httpx.Response(502, text="<html>bad gateway</html>")
        if mood == "garbage":
            return httpx.Response(202, text="")
        return answer

    def _execute(self, key: str, body: bytes, at: datetime) -> Answer:
        known = next(
            (b for b in self.batches.values() if b.key == key and at < b.at + KEY_LIFE),
            None,
        )
        if known is not None and self.idempotent:
            if known.body != body:
                return httpx.Response(409, json={"code": "idempotency_key_reused", "error": "x"})
            return httpx.Response(202, json=self._told(known, "batch_id"))
        documents = json.loads(body)["documents"]
        if len(documents) > self.most:
            return httpx.Response(413, json={"error": "too many", "code": "too_many_documents"})
        if self.poison and self.poison.encode() in body:
            return httpx.Response(422, json={"error": "malformed"})
        bad = {
            str(i): {"details": ["mal"]}
            for i, d in enumerate(documents)
            if d["details"][0]["item_name"] == "REFUSE"
        }
        if bad:
            return httpx.Response(422, json={"documents": bad})
        count = len(documents)
        batch = Batch(
            f"b{len(self.batches) + 1}",
            key,
            body,
            at,
            documents,
            ["created"] * count,
            [None] * count,
        )
        self.batches[batch.id] = batch
        self.proceed()
        return httpx.Response(202, json=self._told(batch, "batch_id"))

    def proceed(self) -> None:
        """What is due happens: late requests first, then results."""
        due = sorted(x for x in self.late if x[0] <= self.now())
        self.late = [x for x in self.late if x[0] > self.now()]
        for at, key, body in due:
            self._execute(key, body, at)
        for batch in self.batches.values():
            if self.now() < batch.at + self.processing:
                continue
            for i, asked in enumerate(batch.documents):
                if batch.statuses[i] != "created":
                    continue
                tag = (asked.get("json_param") or {}).get(TAG_PARAM, "")
                batch.statuses[i] = self.statuses.get(tag, "success")
                if batch.statuses[i] == "success":
                    batch.ids[i] = self.issue(asked)

    def issue(self, asked: dict[str, Any]) -> int:
        document = Document(
            1000 + len(self.issued), asked["document_issuer"]["rut"], asked, self.now()
        )
        self.issued.append(document)
        return document.id

    # Reads

    def _get(self, request: httpx.Request) -> Answer:
        path, params = request.url.path.removeprefix("/v1"), request.url.params
        if path == "/credentials":
            entities = [{"id": i, "tax_id": rut, "name": rut} for rut, i in COMPANIES.items()]
            return httpx.Response(200, json=[{"master_entities": entities, "status": "VALID"}])
        if path.startswith("/documents/batch/"):
            batch = self.batches.get(path.rsplit("/", 1)[1])
            if batch is None or not self.batch_get:
                return httpx.Response(404, json={"detail": "No encontrado."})
            return httpx.Response(200, json=self._told(batch, "id"))
        if path == "/documents":
            return self._listing(params)
        wanted = path.rsplit("/", 1)[1]
        found = next((d for d in self.issued if str(d.id) == wanted), None)
        if found is None:
            return httpx.Response(404, json={"detail": "No encontrado."})
        return httpx.Response(200, json=self._shown(found, rich=True))

    def _listing(self, params: httpx.QueryParams) -> Answer:
        company = next(r for r, i in COMPANIES.items() if str(i) == params["master_entity_id"])
        if self.lists == "down":
            return httpx.Response(500)
        found = [d for d in self.issued if d.company == company]
        asked = params.get(f"json_param__{TAG_PARAM}")
        if asked is not None and self.filter != "ignored":
            found = [
                d
                for d in found
                if self.filter == "on"
                and self.keeps_params
                and d.tag == asked
                and d.at + self.search_delay <= self.now()
            ]
        found.sort(key=lambda d: (d.asked["date_issued"], d.id), reverse=True)
        size, page = int(params.get("page_size", 20)), int(params.get("page", 1))
        part = found[(page - 1) * size : page * size]
        pages = max(1, -(-len(found) // size))
        rows = [self._shown(d, rich=self.lists == "rich") for d in part]
        return httpx.Response(
            200, json={"count": len(found), "total_pages": pages, "results": rows}
        )

    def _shown(self, document: Document, *, rich: bool) -> dict[str, Any]:
        asked = document.asked
        net, tax, total = self._amounts(asked)
        sandbox = (not self.real) if document.sandbox is None else document.sandbox
        prefix = "SANDBOX-" if sandbox else ""
        lean = {
            "id": document.id,
            "folio": f"{prefix}{document.id}",
            "date_issued": asked["date_issued"],
            "amount_with_iva": float(total),
            "dte_type_code": asked["dte_type"]["code"],
        }
        if not rich:
            return lean
        return lean | {
            "sender_tax_id": document.company,
            "receiver_tax_id": asked["document_receiver"]["rut"],
            "amount_without_iva": float(net),
            "amount_iva": float(tax),
            "json_param": asked.get("json_param") if self.keeps_params else None,
            "state": self.state,
            "is_sandbox": sandbox,
        }

    def _amounts(self, asked: dict[str, Any]) -> tuple[int, int, int]:
        net = sum(line["quantity"] * line["unit_price"] for line in asked["details"])
        net += self.net_off
        tax = iva(net) + self.iva_off
        return net, tax, net + tax

    def _told(self, batch: Batch, name: str) -> dict[str, Any]:
        by_id = {d.id: d for d in self.issued}
        entries = []
        for i, status in enumerate(batch.statuses):
            found = by_id.get(batch.ids[i] or 0)
            entries.append(
                {
                    "index": i,
                    "status": status,
                    "document": self._shown(found, rich=False) if found else None,
                    "errors": {"x": ["mal"]} if status in ("invalid", "permanent_error") else None,
                }
            )
        final = all(s not in ("created", "processing") for s in batch.statuses)
        told = {"status": "completed" if final else "processing", "documents": entries}
        return {name: batch.id, "idempotency_key": batch.key, **told}
