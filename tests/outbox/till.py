"""A sandbox, the home that was synced from it, and rows about its documents."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tupana_etl.domain import today, utcnow
from tupana_etl.outbox import (
    approve,
    cession_contract,
    cession_plan,
    payment_contract,
    payment_plan,
    resolve,
    rows,
    schedule_plan,
    schedule_source,
    sources,
)
from tupana_etl.outbox.ledger import Clock, open_ledger
from tupana_etl.outbox.plan import Caps, Plan
from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.send import SendResult, Ways, send
from tupana_etl.outbox.states import State
from tupana_etl.pipeline import sync
from tupana_etl.sandbox.server import DEMO_KEY
from tupana_etl.settings import Settings
from tupana_etl.warehouse import source_rows

from .conftest import SHM
from .desk import Desk, open_desk

QUICK = Pace(settle=0.1, poll=0.05, poll_most=0.1)

Document = tuple[str, str, str, str]
"""Issuer, type, folio and id."""

FACTOR = {
    "assignee_rut": "76083507-2",
    "assignee_name": "Factoring Uno SpA",
    "assignee_address": "Av. Apoquindo 100",
    "assignee_email": "ops@factoring.example",
}


@dataclass
class Till:
    """Everything of one home; the same world for every test that resets it."""

    desk: Desk
    home: Path

    @property
    def settings(self) -> Settings:
        return Settings(api_key=DEMO_KEY, base_url=self.desk.url, home=self.home)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return source_rows.of_query(self.settings.analytics, sql)[1]

    def invoices(self, where: str) -> list[Document]:
        return self.ask(
            "SELECT issuer_rut, dte_type_code, folio, issued_document_id FROM marts.documents "
            "WHERE issued_document_id IS NOT NULL AND our_role = 'seller' AND dte_type_code IN "
            f"('33', '34') AND {where} ORDER BY date_issued, doc_key"
        )

    def received(self, where: str) -> list[Document]:
        """Received by one of the user's companies from a supplier."""
        return self.ask(
            "SELECT issuer_rut, dte_type_code, folio, received_document_id FROM marts.documents "
            "WHERE received_document_id IS NOT NULL AND our_role = 'buyer' AND dte_type_code IN "
            f"('33', '34') AND {where} ORDER BY accept_deadline DESC, doc_key"
        )

    def claim(self, row_key: str, document: Document, **other: str) -> dict[str, str]:
        asked = {"event": "RCD", "reason": "prices are not those of the order"}
        return self._about(row_key, document) | asked | other

    def payment(self, row_key: str, document: Document, **other: str) -> dict[str, str]:
        when = {"event": "PAID", "paid_on": today().isoformat(), "source": "bank"}
        return self._about(row_key, document) | when | other

    def cession(self, row_key: str, document: Document, **other: str) -> dict[str, str]:
        total = self.ask(
            f"SELECT total_clp FROM marts.documents WHERE doc_key = '{'|'.join(document[:3])}'"
        )
        amount = str(total[0][0]) if total else "1"
        return self._about(row_key, document) | {"amount": amount} | FACTOR | other

    def _about(self, row_key: str, document: Document) -> dict[str, str]:
        issuer, kind, folio, _ = document
        return {"row_key": row_key, "issuer_rut": issuer, "dte_type": kind, "folio": folio}

    def plan_payments(
        self,
        *wanted: Mapping[str, str],
        caps: Caps | None = None,
        allow_claims: bool = False,
        clock: Clock = utcnow,
    ) -> Plan:
        source = self._source(wanted, payment_contract.COLUMNS)
        with open_ledger(self.home, clock) as ledger:
            return payment_plan.make(
                ledger, source, self.settings.analytics, caps, allow_claims=allow_claims
            )

    def plan_claims(self, *wanted: Mapping[str, str], **other: Any) -> Plan:
        return self.plan_payments(*wanted, allow_claims=True, **other)

    def plan_cessions(self, *wanted: Mapping[str, str]) -> Plan:
        source = self._source(wanted, cession_contract.COLUMNS)
        with open_ledger(self.home) as ledger:
            return cession_plan.make(ledger, source, self.settings.analytics)

    def plan_schedules(self, *wanted: Mapping[str, Any], clock: Clock = utcnow) -> Plan:
        path = self.home / "schedules.json"
        path.write_text(json.dumps(wanted), encoding="utf-8")
        source = schedule_source.read(str(path), self.settings.analytics)
        with open_ledger(self.home, clock) as ledger:
            return schedule_plan.make(ledger, source)

    def _source(self, wanted: tuple[Mapping[str, str], ...], columns: Any) -> sources.Source:
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in wanted for name in row)))
        writer.writeheader()
        writer.writerows(wanted)
        path = self.home / "rows.csv"
        path.write_text(text.getvalue(), encoding="utf-8")
        return sources.read(str(path), self.settings.analytics, self.home, columns)

    def approve(self, plan: Plan) -> None:
        with open_ledger(self.home) as ledger:
            approve.approve(ledger, plan.plan_hash, "Ana")

    def send(self, wait: float = 5.0, only: str = "", **ways: Any) -> SendResult:
        made = Ways(**{"pace": QUICK, **ways})
        return asyncio.run(send(self.settings, wait=wait, only=only, ways=made))

    def entries(self) -> dict[str, int]:
        """How often each event of each document was booked: the oracle."""
        found: dict[str, int] = self.desk.api.get("/_admin/entries").json()["counts"]
        return found

    def ceded(self) -> dict[str, int]:
        """How often SII took the cession of each document: the oracle."""
        found: dict[str, int] = self.desk.api.get("/_admin/ceded").json()["counts"]
        return found

    def states(self) -> dict[str, State]:
        with open_ledger(self.home) as ledger:
            assert rows.first_broken_event(ledger) is None
            return {row.row_key: row.state for row in rows.everything(ledger)}

    def resolve(
        self, row_key: str, decision: str, also_by: str = "", document: str = "", **ways: Any
    ) -> rows.Intent:
        with open_ledger(self.home) as ledger:
            document = document or rows.generations(ledger, row_key)[-1].document_id or ""
        return asyncio.run(
            resolve.decide(
                self.settings,
                row_key,
                decision,
                by="Ana",
                also_by=also_by,
                reason="seen at the bank",
                document=document,
                ways=Ways(pace=QUICK, **ways),
            )
        )

    def reset(self) -> None:
        """Nothing was booked or ceded, and the home has no ledger."""
        self.desk.lever("/reset")
        for name in ("ledger.sqlite", "ledger.witness", "ledger.pepper"):
            (self.home / name).unlink(missing_ok=True)


@contextmanager
def open_till(*, synced: bool = True, **world: Any) -> Iterator[Till]:
    folder = Path(tempfile.mkdtemp(prefix="tupana-till-", dir=SHM if SHM.is_dir() else None))
    with open_desk(folder, **world) as desk:
        till = Till(desk, folder / "synced")
        if synced:
            sync(till.settings)
        till.home.mkdir(mode=0o700, exist_ok=True)
        yield till
    shutil.rmtree(folder)


def fault(kind: str, argument: Any = None, path: str = "/documents/") -> dict[str, Any]:
    told = {"kind": kind, "path": path, "method": "POST", "times": 1}
    return told if argument is None else told | {"argument": argument}
