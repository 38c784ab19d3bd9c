"""The small lists beside the documents: credentials, schedules, webhooks, sync status."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from tupana_etl.domain import SANTIAGO
from tupana_etl.sandbox import dates
from tupana_etl.sandbox.model import Content, Credential, Entity, Schedule, Sync, Webhook

SCRAPE_TYPES = (
    "ISSUED_DOCS",
    "RECEIVED_DOCS",
    "RECEIVED_HONORARY_BILLS",
    "THIRD_PARTY_HONORARY",
    "PURCHASE_BOOK",
    "SALE_BOOK",
    "BOOK_SUMMARY",
)


def add(rng: Random, content: Content) -> None:
    """Fills everything that is not a document, for each of the user's companies."""
    opened = dates.end_of(content.today) - timedelta(days=900)
    others = [e for e in content.entities if not e.own]
    for company in [e for e in content.entities if e.own]:
        content.credentials.append(_credential(len(content.credentials), company, opened))
        if len(content.credentials) == 1:
            # People enrol a certificate beside the SII password: one company, seen twice.
            content.credentials.append(_credential(1, company, opened))
        content.webhooks.append(_webhook(rng, len(content.webhooks), company, opened))
        content.syncs += _syncs(rng, company, content.today)
        for _ in range(rng.randint(2, 4) if others else 0):
            number = len(content.schedules)
            content.schedules.append(
                _schedule(rng, number, company, rng.choice(others), content.today)
            )


def read_until(content: Content, now: datetime) -> None:
    """Moves the last readings of SII from the morning the world ends with to ``now``."""
    later = now.replace(microsecond=0) - dates.end_of(content.today)
    for sync in content.syncs:
        if sync.last_success_at is not None:
            sync.last_success_at += later


def _credential(number: int, company: Entity, opened: datetime) -> Credential:
    kinds = ((70, "SII"), (75, "Certificado digital"))
    type_id, name = kinds[number == 1]
    made = opened + timedelta(days=number, microseconds=120_000 + number)
    return Credential(311 + number, company.rut, company.id, type_id, name, "VALID", made)


def _webhook(rng: Random, number: int, company: Entity, opened: datetime) -> Webhook:
    sent = opened + timedelta(days=rng.randint(1, 800))
    return Webhook(
        id=41 + number,
        entity_id=company.id,
        url=f"https://hooks.example/{company.id}/tupana",
        secret=f"whsec_{rng.getrandbits(128):032x}",
        events='["document.issued", "document.paid"]',
        is_active=True,
        last_status_code=rng.choice((200, 200, 204, 500)),
        last_sent_at=sent,
        success_rate=Decimal(rng.randint(800, 1000)) / 10,
        created_at=opened,
        updated_at=opened + timedelta(hours=2),
    )


def _syncs(rng: Random, company: Entity, today: date) -> list[Sync]:
    frequency = rng.choice((24, 24, 12, 3))
    last = dates.end_of(today)
    return [
        Sync(
            company.id,
            kind,
            frequency,
            last - timedelta(minutes=rng.randint(5, frequency * 60)),
            rng.choices(("completed", "failed", "in_progress"), (90, 6, 4))[0],
        )
        for kind in SCRAPE_TYPES
    ]


def _schedule(rng: Random, number: int, company: Entity, receiver: Entity, today: date) -> Schedule:
    frequency = rng.choice(("monthly", "monthly", "weekly", "quarterly", "yearly"))
    weekly = frequency == "weekly"
    done, status = rng.randint(0, 20), rng.choice(("active", "active", "inactive", "completed"))
    started = today - timedelta(days=rng.randint(30, 600))
    made = datetime.combine(started, time(10, 15), SANTIAGO)
    in_uf = rng.random() < 0.3
    return Schedule(
        id=701 + number,
        sender_id=company.id,
        receiver_id=receiver.id,
        dte_type=rng.choice(("33", "33", "34")),
        frequency=frequency,
        day_of_month=None if weekly else rng.choice((1, 5, 15, 31)),
        day_of_week=rng.randint(1, 7) if weekly else None,
        next_execution=dates.end_of(today) + timedelta(days=rng.randint(1, 28)),
        status=status,
        amount=Decimal("12.5") if in_uf else Decimal(rng.randint(20, 900) * 1000),
        currency="UF" if in_uf else "CLP",
        currency_day=1 if in_uf else None,
        completed_occurrences=done,
        max_occurrences=done if status == "completed" else None,
        start_date=started,
        end_date=None,
        end_type="after_occurrences" if status == "completed" else "never",
        item_name="Mantención mensual",
        created_at=made,
        updated_at=made + timedelta(days=done),
    )
