"""What one run of sending works with, and how patient it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from tupana_etl.api.client import Client
from tupana_etl.api.limiter import Limiter
from tupana_etl.api.retry import Budget
from tupana_etl.api.writes import Writer
from tupana_etl.outbox import rows
from tupana_etl.outbox.envelopes import Envelope
from tupana_etl.outbox.facts import Facts
from tupana_etl.outbox.ledger import Ledger
from tupana_etl.outbox.proof import Proof
from tupana_etl.outbox.states import State

T = TypeVar("T")

Tell = Callable[[Mapping[State, int]], None]
"""Told how many rows stand in each state, whenever some moved."""

Sleep = Callable[[float], Awaitable[object]]

INCIDENTS = frozenset({"duplicate", "foreign_batch", "tag_missing", "environment"})
"""Why a row is QUARANTINED that nothing more may be sent for its company meanwhile."""


@dataclass(frozen=True)
class Pace:
    """How long to wait for what. Seconds, unless said."""

    settle: float = 30.0
    """After a doubtful attempt, before a look-up that finds nothing is believed."""
    poll: float = 1.0
    """Before results are asked for again; grows by half each time, to ``poll_most``."""
    poll_most: float = 10.0
    overdue: timedelta = timedelta(minutes=15)
    """After acceptance, when a row without result is STUCK."""
    misses: int = 3
    """Completed look-ups that found nothing, before a person may release a row …"""
    misses_over: timedelta = timedelta(hours=24)
    """… and the time they must span since the last doubtful attempt."""


@dataclass
class Run:
    """One run: the ledger, the way to the API, and what was learned so far."""

    ledger: Ledger
    client: Client
    writer: Writer
    companies: Mapping[str, str]
    """Tu Pana's id by the company's RUT, of every company the key sees."""
    proof: Proof
    key: str
    """Fingerprint of the API key."""
    pace: Pace
    sleep: Sleep
    limiter: Limiter
    budget: Budget
    deadline: datetime
    """When waiting ends, by the ledger's clock."""
    patience: float
    """Seconds to wait for results after the last batch was taken in."""
    stopped: str = ""
    """Why nothing more is sent by this run."""
    held: dict[str, str] = field(default_factory=dict)
    """Companies for which nothing more is sent by this run, and why."""
    has_batches: bool | None = None
    """Whether the API answers GET /documents/batch/{id}; None until it was seen."""
    filters: dict[str, bool] = field(default_factory=dict)
    """By company, whether the search by row key was seen to work."""
    seen: dict[str, Facts] = field(default_factory=dict, repr=False)
    """Documents read whole by this run, by id."""
    most_documents: int = 200
    """Documents of an envelope; less once the API found one too large."""
    notices: list[str] = field(default_factory=list)
    """What a person should be told, once each."""
    queue: list[Envelope] = field(default_factory=list, repr=False)
    """Envelopes to send next: what was refused whole, bound anew."""
    refusals: dict[str, tuple[str, int]] = field(default_factory=dict, repr=False)
    """By company, the words of the last refusal of a whole envelope, and how often in a row."""
    tell: Tell = lambda counts: None
    sent: int = 0
    """POSTs of this run."""
    strangers: set[str] = field(default_factory=set, repr=False)
    """Companies of which it was said that another ledger issues for them."""
    sought: set[int] = field(default_factory=set, repr=False)
    """READY rows that a look-up after a rebuild did not find."""
    looked: set[int] = field(default_factory=set, repr=False)
    """Quarantined rows that this run has looked up: once is enough."""

    def notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    def stop(self, why: str) -> None:
        """Nothing more is sent; what was sent is still followed."""
        self.stopped = self.stopped or why
        self.notice(why)

    def hold(self, entity: str, why: str) -> None:
        """Nothing more is sent for one company."""
        self.held.setdefault(entity, why)
        self.notice(f"Company {entity}: {why}")

    def may_send(self, entity: str) -> bool:
        return not self.stopped and entity not in self.held

    @property
    def time_left(self) -> float:
        """Seconds until the run stops waiting."""
        return (self.deadline - self.ledger.clock()).total_seconds()

    def extend(self) -> None:
        """Something was taken in: its results are waited for anew."""
        self.deadline = max(self.deadline, self.ledger.clock() + timedelta(seconds=self.patience))


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results of reads made at once, in order; the first error ends the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


def incidents(ledger: Ledger) -> dict[str, str]:
    """Companies that are halted until a person resolves a quarantined row, and why."""
    return {
        row.entity: f"halted by row {row.row_key} ({row.reason_code}); resolve it first"
        for row in rows.in_state(ledger, {State.QUARANTINED, State.VERIFIED})
        if is_incident(row)
    }


def is_incident(row: rows.Intent) -> bool:
    """Whether a row halts its company until a person has decided about it."""
    return row.reason_code in INCIDENTS and not row.acknowledged_by


def by_company(intents: Iterable[rows.Intent]) -> dict[str, list[rows.Intent]]:
    """Rows by their issuer, in order."""
    found: dict[str, list[rows.Intent]] = {}
    for intent in intents:
        found.setdefault(intent.entity, []).append(intent)
    return found
