"""What the sandbox's world is made of: plain records, exact amounts, UTC times."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

from tupana_etl.sandbox.faults import Fault

ZERO = Decimal(0)
UNDATED = date.max
"""Issue date of a draft that has none: sorts first when newest come first, as nulls do
in the vendor's database. No answer ever shows it."""
EPOCH = datetime.fromtimestamp(0, UTC)
"""A time not set yet."""

CLAIM_CODES = frozenset({"RCD", "RFP", "RFT"})
ACKNOWLEDGE_CODES = frozenset({"ACD", "ERM"})
TRACED_TYPES = frozenset({"33", "34", "43"})
"""Types SII's claim register knows (Ley 19.983)."""

EVENT_NAMES = {
    "ACD": "Acepta Contenido del Documento",
    "ERM": "Otorga Recibo de Mercaderías o Servicios",
    "RCD": "Reclamo al Contenido del Documento",
    "RFP": "Reclamo por Falta Parcial de Mercaderías",
    "RFT": "Reclamo por Falta Total de Mercaderías",
    "NCA": "Recepción de NC de anulación que referencia documento",
    "ENC": "Recepción de NC, distinta de anulación, que referencia documento",
    "PAG": "DTE Pagado al Contado",
    "CED": "DTE Cedido",
}


@dataclass(frozen=True)
class World:
    """Which world to build, and how to serve it.

    ``documents`` to ``load`` make the world and are read once, when its file is made;
    the rest only change how it is served (the deviation ``null_dates`` apart, which adds
    drafts to the world the first time it is served so).
    """

    documents: int = 1500
    companies: int = 3
    months: int = 24
    seed: int = 7
    today: date | None = None
    """Santiago's date in the world; None is the day it is built."""
    list_rows: Literal["lean", "rich"] = "rich"
    load: Path | None = None
    """Directory of DTE XML files that become documents of their own companies."""
    latency_ms: int = 0
    contract: Literal["2026-04", "2026-08"] = "2026-08"
    deviations: frozenset[str] = frozenset()
    """Names of ``deviations.SWITCHES``."""
    faults: int | tuple[Fault, ...] | None = None
    """Faults to start with, or the seed of a script for readers; None is a server that
    works."""


@dataclass(slots=True)
class Entity:
    """A company or a person, as /master-entities shows it."""

    id: int
    rut: str
    name: str
    own: bool = False
    email: str | None = None
    address: str = "Avenida Sin Nombre 100"
    district: str = "Santiago"
    city: str = "Santiago"
    phone: str | None = None
    activity_code: str = "620900"
    activity_name: str = "OTRAS ACTIVIDADES DE SERVICIOS"
    looked_up: bool = False
    """Made by a look-up of an unknown RUT, never by the world's own generation."""


@dataclass(slots=True)
class Party:
    """One side of a document. ``id`` is None for buyers Tu Pana has no entity of."""

    id: int | None
    rut: str
    name: str | None


@dataclass(slots=True)
class Line:
    """A line; numbers are exact text, amounts in the document's currency."""

    line_number: str | None
    item_name: str | None
    item_description: str | None
    item_code: str | None
    item_type_code: str | None
    quantity: str | None
    unit: str | None
    unit_price: str | None
    discount_percent: str | None
    is_exempt: bool
    item_total: str | None


@dataclass(slots=True)
class Reference:
    reference_folio: str | None
    reference_date: str | None
    reference_code: str | None
    """SII CodRef; the API's JSON does not carry it, only a DTE's XML does."""
    reference_reason: str | None
    dte_type_code: str | None


@dataclass(slots=True)
class Event:
    """An event of SII's claim register."""

    code: str
    at: datetime
    responsable_rut: str
    """RUT body"""
    responsable_dv: str


@dataclass(slots=True)
class Document:
    """A tax document. ``total`` follows SII: net + exempt + IVA, without IVA for a 46
    whose IVA the buyer withholds, and the gross fee for honorarios (80, 90)."""

    id: int
    dte_type: str
    folio: str | None
    date_issued: date
    sender: Party
    receiver: Party
    net: Decimal = ZERO
    exempt: Decimal = ZERO
    iva: Decimal = ZERO
    total: Decimal = ZERO
    currency: str = "CLP"
    exchange_rate: Decimal | None = None
    retention: Decimal | None = None
    state: str = "issued"
    is_paid: bool = False
    has_credit_note: bool = False
    payment_method: str | None = None
    due_date: date | None = None
    retention_type: str | None = None
    received_at: datetime | None = None
    """When SII received it: opens the 8 days, and sets the purchase book's month."""
    created_at: datetime = EPOCH
    updated_at: datetime = EPOCH
    json_param: str | None = None
    xml: str | None = None
    """Full DTE of a loaded document; its lines and references are told by it alone."""
    vat_withheld: bool | None = None
    """Whether the buyer keeps a purchase invoice's IVA; None for the other types."""
    is_sandbox: bool = False
    """Issued with a key of the sandbox: never went to SII."""
    lines: list[Line] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.dte_type == "46" and self.vat_withheld is None:
            self.vat_withheld = True

    @property
    def issued_on(self) -> str | None:
        return None if self.date_issued == UNDATED else self.date_issued.isoformat()

    @property
    def is_issued(self) -> bool:
        return self.state == "issued"

    @property
    def has_trace(self) -> bool:
        return self.is_issued and self.dte_type in TRACED_TYPES and self.received_at is not None

    @property
    def has_claims(self) -> bool:
        return any(e.code in CLAIM_CODES for e in self.events)

    @property
    def has_acknowledgments(self) -> bool:
        return any(e.code in ACKNOWLEDGE_CODES for e in self.events)

    @property
    def is_paid_cash(self) -> bool:
        return self.payment_method == "1"


@dataclass(slots=True)
class Cession:
    """A cession; the supplier is always the invoice's issuer, whoever ceded it."""

    id: int
    document_id: int
    assignee_rut: str
    assignee_name: str
    assignee_id: int | None
    amount: Decimal
    status: str
    status_message: str | None
    source: str
    sent_at: datetime | None
    created_at: datetime


@dataclass(slots=True)
class Schedule:
    id: int
    sender_id: int
    receiver_id: int | None
    dte_type: str
    frequency: str
    day_of_month: int | None
    day_of_week: int | None
    next_execution: datetime
    status: str
    amount: Decimal
    currency: str
    currency_day: int | None
    completed_occurrences: int
    max_occurrences: int | None
    start_date: date
    end_date: date | None
    end_type: str
    item_name: str
    created_at: datetime
    updated_at: datetime
    details: str | None = None
    """Its lines as they were asked for, JSON; None of one line of ``item_name``."""
    refs: str = "[]"
    adjustment: str = "none"


@dataclass(slots=True)
class Credential:
    id: int
    user_rut: str
    entity_id: int
    type_id: int
    type_name: str
    status: str
    created_at: datetime


@dataclass(slots=True)
class Webhook:
    id: int
    entity_id: int
    url: str
    secret: str
    events: str
    """A JSON list."""
    is_active: bool
    last_status_code: int | None
    last_sent_at: datetime | None
    success_rate: Decimal
    created_at: datetime
    updated_at: datetime


@dataclass(slots=True)
class Sync:
    entity_id: int
    scrape_type: str
    frequency_hours: int
    last_success_at: datetime | None
    last_status: str


@dataclass(slots=True)
class Content:
    """A whole world, ready to be stored."""

    today: date
    entities: list[Entity] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    cessions: list[Cession] = field(default_factory=list)
    schedules: list[Schedule] = field(default_factory=list)
    credentials: list[Credential] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)
    syncs: list[Sync] = field(default_factory=list)
