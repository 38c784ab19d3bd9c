"""A small world written by hand: rows of ``history.*``, then the marts they must give."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from tupana_etl.warehouse.mirror import create_missing
from tupana_etl.warehouse.models import run_models
from tupana_etl.warehouse.tables import create_tables

ACME, BETA = "76086428-5", "77777777-7"
"""The user's companies; their ids are 1 and 2."""
CLIENT, SUPPLIER, FACTOR = "96790240-3", "11111111-1", "76543210-3"
AS_OF = date(2026, 6, 30)
CORE = ("marts.receivables_aging", "marts.data_quality")
"""Marts that a world builds unless ``only`` says others; None is all."""
_IDS = {ACME: "1", BETA: "2"}
_FIRST_SEEN = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def _empty_warehouse() -> Path:
    """Every table, made once for all worlds: copying them costs a tenth of making them."""
    folder = Path(tempfile.mkdtemp(prefix="tupana-world-"))
    atexit.register(shutil.rmtree, folder)
    with duckdb.connect(str(folder / "empty.duckdb")) as con:
        create_tables(con)
        create_missing(con)
    return folder / "empty.duckdb"


class World:
    """Collects rows; ``run`` loads them in a given order and builds the marts."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any]]] = []
        self.mirrored: list[tuple[str, dict[str, Any]]] = []
        self._next = 0
        for rut, key in _IDS.items():
            self.add("master_entities", id=key, master_entity_id=key, tax_id=rut, name=rut)

    def add(self, stream: str, **values: Any) -> None:
        self.rows.append((stream, {"valid_from": _FIRST_SEEN} | values))

    def document(
        self, dte_type: str, folio: str | None, total: object, *, refs: Any = (), **values: Any
    ) -> str:
        """A document as one of our companies sees it (``side``, default issued by ACME)."""
        self._next += 1
        side = values.pop("side", "issued")
        company = values.pop("company", ACME)
        other = values.pop("other", CLIENT)
        sender, receiver = (company, other) if side == "issued" else (other, company)
        key = str(values.pop("id", self._next))
        owner = {"master_entity_id": _IDS[company], "document_type": side}
        self.add(
            "documents",
            **{
                **owner,
                "id": key,
                "dte_type_code": dte_type,
                "folio": folio,
                "amount_with_iva": total,
                "date_issued": date(2026, 6, 1),
                "sender_tax_id": sender,
                "sender_name": f"Name {sender}",
                "receiver_tax_id": receiver,
                "receiver_name": f"Name {receiver}",
                "state": "issued",
                **values,
            },
        )
        for position, (kind, target, code) in enumerate(refs, 1):
            self.add(
                "document_references",
                **owner,
                document_id=key,
                position=position,
                dte_type_code=kind,
                reference_folio=target,
                reference_code=code,
            )
        return key

    def booked(
        self, document: str, paid_on: date | None, verified: datetime, **values: Any
    ) -> None:
        """A payment sent from here, a second before it was read back; UNPAID without a day."""
        event = "PAID" if paid_on else "UNPAID"
        sent = verified - timedelta(seconds=1)
        told = {"document_id": document, "event": event, "paid_on": paid_on, "sent_at": sent}
        self.mirrored.append(("outbox.payments", told | {"verified_at": verified} | values))

    def announced(self, document: str, at: datetime, event: str = "document.paid") -> None:
        told = {"event_type": event, "document_id": document, "announced_at": at}
        self.mirrored.append(("inbox.events", told))

    def event(self, document: str, code: str, at: datetime, side: str = "issued") -> None:
        self.add(
            "document_states",
            master_entity_id="1",
            document_type=side,
            document_id=document,
            event_code=code,
            event_date=at,
        )

    def cession(self, document: str | None, key: str, status: str, **values: Any) -> None:
        self.add(
            "cessions",
            **{
                "master_entity_id": "1",
                "document_type": "issued",
                "id": key,
                "document_id": document,
                "supplier_rut": ACME,
                "assignee_rut": FACTOR,
                "status": status,
                "created_at": datetime(2026, 6, 10, int(key), tzinfo=UTC),
                **values,
            },
        )

    def run(self, order: list[int] | None = None, **options: Any) -> duckdb.DuckDBPyConnection:
        con = duckdb.connect()
        con.execute(f"ATTACH '{_empty_warehouse()}' AS made (READ_ONLY)")
        con.execute("COPY FROM DATABASE made TO memory; DETACH made")
        rows = [(f"history.{stream}", row) for stream, row in self.rows]
        for table, row in [rows[i] for i in order or range(len(rows))] + self.mirrored:
            names = ", ".join(f'"{c}"' for c in row)
            marks = ", ".join("?" for _ in row)
            con.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))
        return self.rerun(con, **options)

    @staticmethod
    def rerun(con: duckdb.DuckDBPyConnection, **options: Any) -> duckdb.DuckDBPyConnection:
        """Builds the marts again on the rows that are there."""
        given: dict[str, Any] = {"as_of": AS_OF, "only": CORE} | options
        run_models(con, **given)
        return con


def balances(con: duckdb.DuckDBPyConnection) -> dict[str, tuple[Any, Any]]:
    """Type and folio → open balance and unapplied credit, pesos."""
    rows = con.execute(
        """SELECT dte_type_code || '-' || folio, open_balance_clp, unapplied_credit_clp
        FROM marts.receivables"""
    ).fetchall()
    assert len(rows) == len({r[0] for r in rows})
    return {name: (balance, credit) for name, balance, credit in rows}


def column(con: duckdb.DuckDBPyConnection, name: str) -> dict[str, Any]:
    """Type and folio → one column of marts.documents."""
    return dict(
        con.execute(f"SELECT dte_type_code || '-' || folio, {name} FROM marts.documents").fetchall()
    )


def findings(con: duckdb.DuckDBPyConnection) -> set[tuple[str, str | None, str | None]]:
    """Check, type, folio."""
    rows = con.execute("SELECT check_name, dte_type_code, folio FROM marts.data_quality").fetchall()
    return {(r[0], r[1], r[2]) for r in rows}
