"""Schema ``outbox`` of the warehouse says what the ledger says, and is never asked."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tupana_etl.outbox import plan
from tupana_etl.outbox.approve import approve
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.mirror import mirror
from tupana_etl.outbox.sources import Source
from tupana_etl.outbox.states import State
from tupana_etl.warehouse.database import writer

from .documents import row
from .ledgers import ISSUER

ROWS = 'SELECT row_key, state, total, entity FROM outbox."rows" ORDER BY ALL'


def test_the_mirror_says_what_the_ledger_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with writer(tmp_path / "warehouse.duckdb") as con:
        mirror(con, tmp_path)
        assert con.execute(ROWS).fetchall() == []
        source = Source("s", [("row 1", row()), ("row 2", row(row_key="b", quantity=0))])
        with open_ledger(tmp_path) as ledger:
            made = plan.make(ledger, source)
            approve(ledger, made.plan_hash, "Ana")
            mirror(con, tmp_path)  # beside an open ledger
        told = [
            ("b", State.BLOCKED, None, ISSUER),
            ("sale:1", State.READY, Decimal(119_179), ISSUER),
        ]
        assert con.execute(ROWS).fetchall() == told
        actors = con.execute("SELECT actor FROM outbox.events WHERE row_key = 'sale:1'").fetchall()
        assert actors == [("planner",), ("Ana",)]
        undocumented = con.execute(
            "SELECT count(*) FROM duckdb_columns() WHERE schema_name = 'outbox' "
            "AND database_name = 'warehouse' AND comment IS NULL"
        ).fetchone()
        assert undocumented == (0,)
        assert not any("details" in str(r) for r in con.execute('FROM outbox."rows"').fetchall())

        (tmp_path / "ledger.sqlite").write_bytes(b"damaged " * 1000)
        mirror(con, tmp_path)
        assert con.execute(ROWS).fetchall() == told
        assert "stays as it was" in caplog.text


def test_deciding_does_not_need_the_mirror(tmp_path: Path) -> None:
    """The warehouse may be missing, locked or wrong: plans and approvals go on."""
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")), open_ledger(tmp_path) as ledger:
        made = plan.make(ledger, Source("s", [("row 1", row())]))
        assert approve(ledger, made.plan_hash, "Ana").newly == 1
