"""Delivers webhooks on the documented schedule, by the sandbox's clock.

Source: the vendor's webhook page: 2xx is success, anything else is tried again after 1 min,
5 min, 15 min, 1 h and 6 h. Only addresses on this machine are ever written to. Deliveries
are in memory: what is still to be delivered when the sandbox ends is lost, as events may be.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import threading
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from tupana_etl.sandbox import clock, store

RETRY_AFTER = (60.0, 300.0, 900.0, 3600.0, 21_600.0)
"""Seconds from one attempt to the next."""
TIMEOUT_SECONDS = 10.0
LOOK_SECONDS = 0.05
PREFIX = {"hex": "", "sha256": "sha256=", "hmac-sha256": "hmac-sha256="}


@dataclass
class Delivery:
    """One event on its way to one webhook."""

    number: int
    webhook_id: int
    url: str
    secret: str = field(repr=False)
    event: str
    body: bytes = field(repr=False)
    due: float
    spelling: str = "hex"
    type_header: str = "X-Pana-Event-Type"
    signature: str | None = None
    """Given instead of the true one; '' for none at all."""
    event_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    delivery_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    statuses: list[int] = field(default_factory=list)
    """What each attempt was answered; 0 for no answer."""

    @property
    def state(self) -> str:
        if self.statuses and 200 <= self.statuses[-1] < 300:
            return "delivered"
        return "failed" if len(self.statuses) > len(RETRY_AFTER) else "waiting"

    def headers(self, now: float) -> dict[str, str]:
        found = {
            "Content-Type": "application/json",
            "User-Agent": "Pana-Webhook/1.0",
            "X-Pana-Delivery": self.delivery_id,
            "X-Pana-Event-Id": self.event_id,
            self.type_header: self.event,
            "X-Pana-Timestamp": str(int(now)),
        }
        signed = sign(self.body, self.secret) if self.secret else ""
        signature = PREFIX[self.spelling] + signed if self.signature is None else self.signature
        return {**found, "X-Pana-Signature": signature} if signature else found

    def told(self) -> dict[str, Any]:
        names = ("number", "webhook_id", "event", "event_id", "delivery_id", "due", "statuses")
        return {**{n: getattr(self, n) for n in names}, "state": self.state}


def sign(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_local(url: str) -> bool:
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


class Postman:
    """Keeps deliveries and a thread that makes them; the thread begins with the first one."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, connection: sqlite3.Connection, new: list[Delivery]) -> list[Delivery]:
        """Accepts deliveries, numbering them."""
        with self._lock:
            for delivery in new:
                delivery.number = len(self.deliveries)
                self.deliveries.append(delivery)
        if new and self._thread is None:
            (path,) = (r["file"] for r in connection.execute("PRAGMA database_list"))
            self._thread = threading.Thread(
                target=self._run, args=(Path(path),), name="postman", daemon=True
            )
            self._thread.start()
        return new

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(TIMEOUT_SECONDS + 1)

    def _run(self, database: Path) -> None:
        with closing(store.connect(database)) as connection, httpx.Client() as http:
            while not self._stop.wait(LOOK_SECONDS):
                now = clock.now(connection)
                with self._lock:
                    due = [d for d in self.deliveries if d.state == "waiting" and d.due <= now]
                for delivery in due:
                    self._deliver(connection, http, delivery, now)

    def _deliver(
        self, connection: sqlite3.Connection, http: httpx.Client, it: Delivery, now: float
    ) -> None:
        try:
            answer = http.post(
                it.url, content=it.body, headers=it.headers(now), timeout=TIMEOUT_SECONDS
            )
            status = answer.status_code
        except httpx.HTTPError:
            status = 0
        if len(it.statuses) < len(RETRY_AFTER):
            it.due = now + RETRY_AFTER[len(it.statuses)]
        it.statuses.append(status)
        connection.execute(
            "UPDATE webhook SET last_status_code = ?, last_sent_at = ? WHERE id = ?",
            (status or None, clock.at(now).isoformat(), it.webhook_id),
        )
