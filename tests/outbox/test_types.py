"""Every type from a planned row to a document read back, through the sandbox over HTTP."""

from __future__ import annotations

import asyncio
import csv
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tupana_etl.domain import today
from tupana_etl.outbox import plan, sources
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.run import Pace
from tupana_etl.outbox.send import Ways, send
from tupana_etl.outbox.states import State
from tupana_etl.sandbox.server import DEMO_KEY
from tupana_etl.settings import Settings

from .conftest import SHM
from .desk import Desk, open_desk

ABROAD = {
    "receiver_rut": "55555555-5",
    "export_data": '{"currency_code": "13", "exchange_rate": "950.5"}',
}
EXTRA: dict[str, dict[str, Any]] = {
    "33": {},
    "34": {},
    "39": {"unit_price": None, "gross_unit_price": 1_190, "receiver_rut": "66666666-6"},
    "41": {"receiver_rut": "66666666-6"},
    "46": {"purchase_transaction_type": 1},
    "52": {"transport_data": '{"transport_type": "1"}', "payment_method": None},
    "80": {"retention_type": "RETRECEPTOR", "payment_method": None},
    "90": {"retention_type": "RETRECEPTOR"},
    "110": ABROAD | {"unit_price": "10.25"},  # in dollars
}
"""What each type that can be issued needs beside the base."""


@pytest.fixture(scope="module", params=["2026-04", "2026-08"])
def desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    folder = Path(tempfile.mkdtemp(prefix="tupana-types-", dir=SHM if SHM.is_dir() else None))
    lists = "lean" if request.param == "2026-04" else "rich"
    with open_desk(folder, contract=request.param, list_rows=lists) as opened:
        yield opened
    shutil.rmtree(folder)


def base(desk: Desk, kind: str) -> dict[str, Any]:
    return {
        "row_key": f"type:{kind}",
        "dte_type": kind,
        "issuer_rut": desk.issuers[0],
        "receiver_rut": "96790240-3",
        "receiver_name": "Ferretería Ñuñoa SpA",
        "date_issued": today().isoformat(),
        "payment_method": "1",
        "item_name": "Arriendo de maquinaria",
        "quantity": 3,
        "unit_price": 50_075,
    }


def issue(desk: Desk, home: Path, rows: list[dict[str, Any]]) -> dict[str, State]:
    """Plans the rows as a CSV and sends them; where each stands then."""
    columns = sorted({name for row in rows for name in row})
    path = home.parent / f"{home.name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    with open_ledger(home) as ledger:
        source = sources.read(str(path), home / "analytics.duckdb", sources.default_folder())
        made = plan.make(ledger, source, plan.Caps())
    assert made.is_clean, [row.reason for row in made.rows]
    settings = Settings(api_key=DEMO_KEY, base_url=desk.url, home=home)
    pace = Pace(settle=0.2, poll=0.05)
    result = asyncio.run(send(settings, wait=10, ways=Ways(pace=pace)))
    assert result.complete, [(r.row_key, r.reason) for r in result.rows if r.state != "VERIFIED"]
    return desk.states(home)


def test_every_type_is_issued_as_planned(desk: Desk) -> None:
    home = desk.home()
    kinds = {k: v for k, v in EXTRA.items() if k != "41" or desk.contract != "2026-04"}
    states = issue(desk, home, [base(desk, kind) | extra for kind, extra in kinds.items()])
    assert states == {f"type:{kind}": State.VERIFIED for kind in kinds}
    assert all(row.flags == "" for row in desk.rows(home).values())


def test_a_credit_note_of_an_issued_invoice(desk: Desk) -> None:
    truth = desk.api.get("/_admin/truth/documents").json()["rows"]
    invoice = next(
        d
        for d in truth
        if d["dte_type_code"] == "33"
        and d["document_type"] == "issued"
        and d["sender_tax_id"] == desk.issuers[0]
        and (d["folio"] or "").isdigit()
    )
    reference = {
        "dte_type_code": "33",
        "reference_folio": int(invoice["folio"]),
        "reference_date": invoice["date_issued"],
        "reference_reason": "ANULA DOCUMENTO DE REFERENCIA",
    }
    note = base(desk, "61") | {
        "receiver_rut": invoice["receiver_tax_id"],
        "references": json.dumps([reference]),
    }
    assert issue(desk, desk.home(), [note]) == {"type:61": State.VERIFIED}
