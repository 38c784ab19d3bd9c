"""What a sync publishes is what the server holds, table by table, whatever it shows in lists."""

from __future__ import annotations

from pathlib import Path

import pytest

from tupana_etl.pipeline import rebuild_marts

from .helpers import differences, site, unpublished, versions


def test_twenty_thousand_documents_equal_the_servers_own_truth(tmp_path: Path) -> None:
    with site(tmp_path, documents=20_000, months=24, seed=2) as here:
        result = here.sync()
        assert result.complete
        assert result.rejected == 0
        assert differences(here) == {}
        assert here.stats()["entities_created"] == 0


@pytest.mark.parametrize("rows", ["lean", "rich"])
def test_lean_and_rich_lists_give_the_same_tables(tmp_path: Path, rows: str) -> None:
    with unpublished(tmp_path, list_rows=rows) as here:
        assert here.sync().complete
        assert differences(here) == {}
        before = versions(here)
        again = here.sync()
        assert again.complete
        assert versions(here) == before
        assert sum(r.new + r.changed for r in again.streams) == 0


def test_changes_arrive_with_the_next_sync(tmp_path: Path) -> None:
    with unpublished(tmp_path) as here:
        here.sync()
        before = versions(here)
        unpaid = here.query(
            """SELECT DISTINCT id FROM raw.documents d WHERE NOT is_paid AND dte_type_code = '33'
            AND folio IS NOT NULL AND state = 'issued' AND NOT has_claims
            AND NOT EXISTS (FROM raw.documents o WHERE o.id = d.id
                AND o.document_type <> d.document_type) ORDER BY id LIMIT 3"""
        )
        paid, claimed, _ = (row[0] for row in unpaid)
        here.admin("pay", document_id=int(paid))
        here.admin("claim", document_id=int(claimed), event_code="RCD")
        company = here.query("SELECT id FROM raw.master_entities ORDER BY id LIMIT 1")[0][0]
        here.admin("add", company=company, n=2)
        assert here.sync().complete
        assert differences(here) == {}
        grown = versions(here)
        changed, new = 2, 2
        assert grown["documents"] == before["documents"] + changed + new
        assert grown["document_states"] == before["document_states"] + 1
        closed = here.query(
            f"""SELECT is_paid, valid_to IS NULL FROM history.documents
            WHERE id = '{paid}' ORDER BY valid_from"""
        )
        assert closed == [(False, False), (True, True)]


def test_the_lake_alone_rebuilds_the_warehouse(tmp_path: Path) -> None:
    with site(tmp_path, documents=150) as here:
        here.sync()
        document = here.query("SELECT id FROM raw.documents WHERE NOT is_paid LIMIT 1")[0][0]
        here.admin("pay", document_id=int(document))
        here.sync()
        tables = [f"{s}.{t}" for s, t in here.query(_TABLES)]
        before = {t: sorted(here.query(f"SELECT * FROM {t}"), key=repr) for t in tables}
        here.settings.warehouse.unlink()
        rebuild_marts(here.settings, from_lake=True)
        for table, rows in before.items():
            assert sorted(here.query(f"SELECT * FROM {table}"), key=repr) == rows, table


_TABLES = """SELECT table_schema, table_name FROM information_schema.tables
WHERE table_schema IN ('raw', 'history', 'marts')"""


def test_every_row_leads_back_to_its_call(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=120) as here:
        here.sync()
        orphans = here.query(
            """SELECT count(*) FROM history.documents d
            LEFT JOIN raw.lineage l ON l.call = d._call WHERE l.path IS NULL"""
        )
        assert orphans == [(0,)]
        paths = here.query("SELECT DISTINCT path FROM raw.lineage WHERE stream = 'documents'")
        assert all(path.startswith("/v1/documents?") for (path,) in paths)
        segments = here.query("SELECT DISTINCT segment FROM raw.lineage WHERE segment IS NOT NULL")
        assert all((here.settings.lake / segment).exists() for (segment,) in segments)
