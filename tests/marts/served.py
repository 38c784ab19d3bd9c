"""The same small world in the sandbox: every type and every trap, served over HTTP.

Two companies of the user, 76086428-5 and 77777777-7; what each document must come to is
written by hand in test_both_eras.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tupana_etl.sandbox import store
from tupana_etl.sandbox.model import (
    Cession,
    Content,
    Credential,
    Document,
    Entity,
    Event,
    Line,
    Party,
    Reference,
)

from .world import ACME, AS_OF, BETA, CLIENT, FACTOR, SUPPLIER

PERSON, FOREIGN, NOBODY, WRONG = "10000013-K", "55555555-5", "66666666-6", "76111111-1"
DAY, DUE = date(2026, 6, 1), date(2026, 7, 15)
RECEIVED = datetime(2026, 6, 2, 12, tzinfo=UTC)
_FIRST = 1001


@dataclass
class Served:
    """The world's records and, by the name of each document, its id."""

    content: Content = field(default_factory=lambda: Content(AS_OF))
    ids: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ruts = (ACME, BETA, CLIENT, SUPPLIER, FACTOR, PERSON, WRONG)
        for number, rut in enumerate(ruts, 1):
            self.content.entities.append(Entity(number, rut, f"Name {rut}", own=number <= 2))
        for number in (1, 2):
            self.content.credentials.append(
                Credential(number, ACME, number, 70, "SII", "VALID", RECEIVED)
            )

    def document(
        self,
        name: str,
        *,
        net: int = 0,
        exempt: object = 0,
        iva: int | None = None,
        total: object = None,
        sender: str = ACME,
        receiver: str = CLIENT,
        refs: tuple[tuple[str, str, str | None], ...] = (),
        events: tuple[tuple[str, datetime], ...] = (),
        **values: Any,
    ) -> None:
        """``name`` is the type and folio, ``33-1``; ``refs`` are folio, type and reason."""
        kind, folio = name.rstrip("bis ").split("-")
        number = _FIRST + len(self.content.documents)
        self.ids[name] = number
        taxed = (net * 19 + 50) // 100 if iva is None else iva
        parts = Decimal(net) + Decimal(str(exempt)) + taxed
        base = Decimal(net) + Decimal(str(exempt))
        settings: dict[str, Any] = {
            "payment_method": "2" if kind in {"33", "34", "43", "46"} else None,
            "due_date": DUE if kind in {"33", "34", "43"} else None,
            "received_at": RECEIVED,
            "date_issued": DAY,
        } | values
        self.content.documents.append(
            Document(
                id=number,
                dte_type=kind,
                folio=settings.pop("folio", folio),
                sender=self._party(sender),
                receiver=self._party(receiver),
                net=Decimal(net),
                exempt=Decimal(str(exempt)),
                iva=Decimal(taxed),
                total=parts if total is None else Decimal(str(total)),
                created_at=RECEIVED,
                updated_at=RECEIVED,
                references=[
                    Reference(f, DAY.isoformat(), None, reason, kind) for f, kind, reason in refs
                ],
                lines=[_line(base)] if base else [],
                events=[Event(code, at, *receiver.split("-")) for code, at in events],
                **settings,
            )
        )

    def cession(self, name: str, status: str, hour: int, **values: Any) -> None:
        document = next(d for d in self.content.documents if d.id == self.ids[name])
        at = datetime(2026, 6, 12, hour, tzinfo=UTC)
        if status == "success":
            document.events.append(Event("CED", at, *document.sender.rut.split("-")))
        given: dict[str, Any] = {
            "assignee_rut": FACTOR,
            "amount": document.total,
            "sent_at": at,
        } | values
        self.content.cessions.append(
            Cession(
                id=len(self.content.cessions) + 1,
                document_id=document.id,
                assignee_name="Factor",
                assignee_id=None,
                status=status,
                status_message=None,
                source="external",
                created_at=at,
                **given,
            )
        )

    def write(self, database: Path) -> None:
        """As the sandbox keeps its worlds."""
        meta = {"today": AS_OF.isoformat(), "seed": "1", "next_id": "5000", "url_secret": "0" * 64}
        store.create(database, self.content, meta)

    def _party(self, rut: str) -> Party:
        known = next((e.id for e in self.content.entities if e.rut == rut), None)
        return Party(known, rut, f"Name {rut}")


def _line(amount: Decimal) -> Line:
    text = str(amount)
    nothing: dict[str, Any] = dict.fromkeys(Line.__slots__)
    return Line(**nothing | {"item_name": "Item", "is_exempt": False, "item_total": text})


def world() -> Served:
    """One of everything."""
    w = Served()
    _sales(w)
    _notes(w)
    _other_types(w)
    _purchases(w)
    _cessions(w)
    _flawed(w)
    return w


def _sales(w: Served) -> None:
    w.document("33-1", net=100_000)
    w.document("34-1", exempt=50_000, payment_method=None)  # a folio is unique within a type
    w.document("33-2", net=100_000, payment_method="1", events=(("PAG", RECEIVED),))
    w.document("33-3", net=100_000, payment_method="3")
    w.document("33-4", net=100_000, is_paid=True)
    w.document("33-5", net=100_000, events=(("RCD", datetime(2026, 6, 4, tzinfo=UTC)),))
    w.document("33-6", net=100_000, received_at=datetime(2026, 6, 25, tzinfo=UTC))
    w.document("33-7", net=100_000, received_at=datetime(2026, 6, 25, tzinfo=UTC),
               events=(("ERM", datetime(2026, 6, 26, tzinfo=UTC)),))  # fmt: skip
    # 23:30 of 21 June in Santiago is the 22nd in UTC: eight days end on the 29th at 23:30
    w.document("33-8", net=100_000, due_date=None,
               received_at=datetime(2026, 6, 22, 3, 30, tzinfo=UTC))  # fmt: skip
    w.document("33-9", net=100_000, date_issued=date(2026, 3, 1), due_date=date(2026, 3, 20))
    w.document("33-10", net=150)  # IVA 28.5, half up
    w.document("33-12", net=100_000)  # paid between two syncs
    w.document("39-1", net=571, iva=109, payment_method="1", receiver=NOBODY)
    w.document("41-1", exempt=700, payment_method="1", receiver=NOBODY)
    w.document("52-1", net=100_000)
    w.document("33-11", net=100_000, receiver=BETA)
    w.document("43-1", net=100_000)


def _notes(w: Served) -> None:
    annuls = "ANULA DOCUMENTO DE LA REFERENCIA"
    w.document("33-20", net=100_000, has_credit_note=True)
    w.document("61-1", net=20_000, refs=(("801", "801", None), ("20", "33", "DEVOLUCION")))
    w.document("33-21", net=100_000, has_credit_note=True, events=(("NCA", RECEIVED),))
    w.document("61-2", net=100_000, refs=(("21", "33", annuls),))
    w.document("33-22", net=100_000, has_credit_note=True)
    w.document("61-3", net=100_000, refs=(("22", "33", annuls),))
    w.document("56-1", net=100_000, refs=(("3", "61", annuls),))
    w.document("33-23", net=100_000)
    w.document("56-2", net=10_000, refs=(("23", "33", "INTERESES"),))
    w.document("33-24", net=100)
    w.document("33-25", net=200)
    w.document("61-4", net=30, refs=(("24", "33", "AJUSTE"), ("25", "33", "AJUSTE")))
    w.document("33-26", net=1_000, has_credit_note=True)
    w.document("61-5", net=3_000, refs=(("26", "33", "DEVOLUCION"),))  # more than the invoice
    w.document("33-27", net=100_000, has_credit_note=True)
    w.document("61-6", refs=(("27", "33", "CORRIGE GIRO DEL RECEPTOR"),))  # text: no money
    w.document("61-7", net=5_000, refs=(("9999", "33", "DEVOLUCION"),))
    w.document("33-28", net=100_000, has_credit_note=True)  # whose note nobody shows


def _other_types(w: Served) -> None:
    kept: dict[str, Any] = {"net": 100_000, "total": 100_000}  # the buyer keeps the IVA
    w.document("46-1", sender=CLIENT, receiver=ACME, **kept)
    w.document("61-8", sender=CLIENT, receiver=ACME, net=30_000, total=30_000,
               refs=(("1", "46", "DEVOLUCION"),))  # fmt: skip
    w.document("46-2", receiver=SUPPLIER, **kept)
    w.document("61-9", receiver=SUPPLIER, net=40_000, total=40_000,
               refs=(("2", "46", "DEVOLUCION"),))  # fmt: skip
    dollars: dict[str, Any] = {"receiver": FOREIGN, "currency": "USD"}
    w.document("110-1", exempt="1000.50", exchange_rate=Decimal("950.25"), **dollars)
    w.document("110-2", exempt="1000.50", **dollars)
    w.document("112-1", exempt="100.50", refs=(("2", "110", "DESCUENTO"),), **dollars)
    w.document("111-1", exempt="50", refs=(("2", "110", "FLETE"),), **dollars)
    fee: dict[str, Any] = {"exempt": 0, "iva": 0}
    w.document("80-1", sender=PERSON, receiver=ACME, net=500_000,
               retention_type="RETRECEPTOR", **fee)  # fmt: skip
    w.document("80-2", sender=PERSON, receiver=ACME, net=300_000,
               retention_type="RETCONTRIBUYENTE", **fee)  # fmt: skip
    w.document("80-3", sender=PERSON, receiver=ACME, net=500_000, retention_type="RETRECEPTOR",
               date_issued=date(2025, 12, 31), is_paid=True, **fee)  # fmt: skip
    w.document("90-1", receiver=PERSON, net=500_000, retention_type="RETRECEPTOR", **fee)


def _purchases(w: Served) -> None:
    bought: dict[str, Any] = {"sender": SUPPLIER, "receiver": ACME}
    w.document("33-1 bis", net=200_000, **bought)  # the supplier's own folio 1
    # of May, acknowledged in June
    w.document("33-30", net=300_000, date_issued=date(2026, 5, 28), **bought)
    w.document("33-31", net=100_000, **bought)
    w.document("34-30", exempt=7_000, date_issued=date(2026, 3, 1), due_date=None,
               received_at=datetime(2026, 3, 2, 12, tzinfo=UTC), **bought)  # fmt: skip


def _cessions(w: Served) -> None:
    for name in ("33-40", "33-41", "33-42", "33-43", "33-44"):
        w.document(name, net=100_000)
    w.cession("33-40", "success", 1)
    w.cession("33-41", "processing", 2)
    w.cession("33-42", "rejected", 3)
    w.cession("33-43", "success", 4)
    w.cession("33-43", "success", 5, assignee_rut=ACME)
    w.cession("33-44", "success", 6, amount=Decimal(100_000))
    w.cession("33-31", "success", 7)


def _flawed(w: Served) -> None:
    w.document("33-50", net=10, state="draft", folio=None, received_at=None)
    w.document("33-51", net=10, state="failed", folio=None, received_at=None)
    w.document("33-52", net=10, state="rejected", received_at=None)
    w.document("33-53", net=100_000, receiver=WRONG)
    w.document("33-54", net=100_000, iva=19_500)
    w.document("33-55", net=100_000, total=125_000)
    w.document("33-56", net=1_000)
    w.document("33-56 bis", net=1_000)
