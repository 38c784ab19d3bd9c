"""A home with approved rows, a vendor in this process, and runs that never really wait."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from tupana_etl.domain import iva
from tupana_etl.errors import TupanaError
from tupana_etl.inbox import event
from tupana_etl.inbox.drain import Drained, drain
from tupana_etl.inbox.store import open_inbox
from tupana_etl.outbox import hints, rows
from tupana_etl.outbox.custody import TAG_PARAM
from tupana_etl.outbox.ledger import Ledger, open_ledger
from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.send import SendResult, Ways, send
from tupana_etl.outbox.states import State
from tupana_etl.settings import Settings

from .vendor import Vendor

ISSUER, BUYER = "76086428-5", "96790240-3"
START = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class Office:
    """Everything of one home. Time passes only by ``clock`` and by sleeping."""

    home: Path
    at: datetime = START
    base_url: str = "http://127.0.0.1:9/v1"
    environment: str = ""
    key: str = "sk-test-0123456789"

    def __post_init__(self) -> None:
        self.vendor = Vendor(lambda: self.at)
        self.pace = Pace()

    def clock(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)

    @property
    def settings(self) -> Settings:
        return Settings(
            api_key=self.key,
            base_url=self.base_url,
            home=self.home,
            environment=self.environment,
        )

    @property
    def ways(self) -> Ways:
        return Ways(self.clock, self.sleep, self.vendor.transport, self.pace)

    def send(self, wait: float = 120.0) -> SendResult:
        return asyncio.run(send(self.settings, wait=wait, ways=self.ways))

    def arrives(self, what: str, subject: object) -> None:
        """A verified event, kept as the receiver keeps it."""
        name = "batch_id" if what.startswith("batch.") else "id"
        body = json.dumps({"event": what, "data": {name: subject}, "n": self.at.isoformat()})
        with open_inbox(self.home) as inbox:
            inbox.keep(event.read(body.encode(), {}), self.at)

    def vendor_announces(self) -> None:
        """An event of every batch and document there is by now, newest batch first."""
        for batch in reversed(self.vendor.batches):
            self.arrives("batch.intake_failed", batch)
        for document in self.vendor.issued:
            self.arrives("document.issued", document.id)

    def drained(self) -> Drained:
        """What is kept and due is followed; documents themselves are not read into anything."""

        def follow(batches: Sequence[str]) -> dict[str, TupanaError]:
            return asyncio.run(hints.follow(self.settings, batches, self.ways))

        return drain(self.home, lambda documents: {}, follow, self.clock)

    def approve(self, *row_keys: str, **document: Any) -> None:
        with open_ledger(self.home, self.clock) as ledger:
            put_ready(ledger, dict.fromkeys(row_keys, document), self.at)

    def states(self) -> dict[str, State]:
        with open_ledger(self.home, self.clock) as ledger:
            return {key: row.state for key, row in rows.newest(ledger).items()}

    def row(self, row_key: str) -> rows.Intent:
        with open_ledger(self.home, self.clock) as ledger:
            return rows.newest(ledger)[row_key]

    def check(self) -> set[str]:
        """What must hold whatever happened: at most one live document a row, none missing.

        Returns the row keys of the ledger.
        """
        copies, totals = self.vendor.copies(), self.vendor.totals()
        assert not copies or max(copies.values()) == 1, copies
        with open_ledger(self.home, self.clock) as ledger:
            found = rows.newest(ledger)
            approved = {r[0] for r in ledger.con.execute("SELECT payload_sha256 FROM intents")}
        for row in found.values():
            assert_agrees(row, copies[row.row_tag])
            if row.state is State.VERIFIED and "differs" not in row.flags:
                assert row.total is not None
                assert abs(totals[row.row_tag] - row.total) <= 1, row.row_key
        for body in {body for _, body in self.vendor.posts}:
            for sent in json.loads(body)["documents"]:
                sha256 = hashlib.sha256(json.dumps(sent).encode()).hexdigest()
                assert sha256 in approved, "these bytes nobody approved"
        return set(found)


def assert_agrees(row: rows.Intent, copies: int) -> None:
    """The ledger agrees with the oracle, or says that it does not know."""
    if row.state in (State.VERIFIED, State.ISSUED):
        assert copies == 1, (row.row_key, row.state, copies)
    if row.state in (State.PLANNED, State.READY, State.BOUND, State.REJECTED):
        assert copies == 0, (row.row_key, row.state, copies)


def document(
    row_tag: str,
    *,
    issuer: str = ISSUER,
    price: int = 1000,
    item: str = "Servicio",
    date: str = "2026-11-24",
    receiver: str = BUYER,
) -> dict[str, Any]:
    return {
        "dte_type": {"code": "33"},
        "document_issuer": {"rut": issuer},
        "document_receiver": {"rut": receiver, "business_name": "Comprador"},
        "date_issued": date,
        "header": {"payment_method": "2", "due_date": date},
        "details": [{"item_name": item, "quantity": 1, "unit_price": price}],
        "json_param": {TAG_PARAM: row_tag},
    }


def put_ready(ledger: Ledger, wanted: dict[str, dict[str, Any]], at: datetime) -> None:
    """Approved rows, each with its document, in one commit."""
    with ledger.transaction():
        ledger.con.execute(
            "INSERT OR IGNORE INTO plans (id, plan_hash, source, op, made_at, documents, clp, "
            "needs_approval) VALUES (1, 'hash', 'test', 'issue', ?, 1, '0', '')",
            [at.isoformat()],
        )
        ledger.con.execute(
            "INSERT OR IGNORE INTO approvals (id, kind, plan_hash, by, at, note) "
            "VALUES (1, 'plan', 'hash', 'Ana', ?, '')",
            [at.isoformat()],
        )
        for row_key, options in wanted.items():
            tag = ledger.pepper.tag("issue", row_key)
            made = document(tag, **options)
            payload = json.dumps(made).encode()
            net = made["details"][0]["unit_price"]
            before = rows.generations(ledger, row_key)
            row = {
                "op": "issue",
                "row_key": row_key,
                "generation": len(before) + 1,
                "row_tag": tag,
                "source": "test",
                "plan_id": 1,
                "entity": made["document_issuer"]["rut"],
                "dte_type": "33",
                "receiver_rut": made["document_receiver"]["rut"],
                "date_issued": made["date_issued"],
                "currency": "CLP",
                "net": Decimal(net),
                "exempt": Decimal(0),
                "iva": Decimal(iva(net)),
                "total": Decimal(net + iva(net)),
                "payload": payload,
                "payload_sha256": hashlib.sha256(payload).hexdigest(),
                "state": State.READY,
                "approval_id": 1,
            }
            rows.insert(ledger, row, actor="Ana", reason="approved")
