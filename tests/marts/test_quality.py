"""What stays out is counted, what does not add up is named."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from .world import BETA, CLIENT, World, balances, findings


def test_exclusions_are_counted_with_their_ids() -> None:
    w = World()
    w.document("33", "1", 10)
    w.document("33", "SANDBOX-7", 10, id="70")
    w.document("33", "2", 10, id="71", is_sandbox=True)
    w.document("33", None, 10, id="72")
    w.document("33", None, 10, id="73", state="draft")
    w.document("33", "3", 10, id="74", state="failed")
    w.document("33", "4", 10, id="75", state="Rejected")
    w.document("33", "5", 10, id="76", _deleted_at=datetime(2026, 6, 1, tzinfo=UTC))
    con = w.run()
    assert set(balances(con)) == {"33-1"}
    rows = con.execute("SELECT document_id, check_name, as_of FROM marts.data_quality").fetchall()
    assert {(r[0], r[1]) for r in rows} == {
        ("70", "excluded_sandbox"),
        ("71", "excluded_sandbox"),
        ("72", "excluded_no_folio"),
        ("73", "excluded_draft"),
        ("74", "excluded_failed"),
        ("75", "excluded_sii_rejected"),
        ("76", "excluded_deleted"),
    }
    assert {r[2] for r in rows} == {date(2026, 6, 30)}


def test_a_sandbox_home_shows_its_sandbox_documents() -> None:
    w = World()
    w.document("33", "SANDBOX-7", 10)
    w.document("61", "SANDBOX-8", 4, refs=[("33", "SANDBOX-7", "3")])
    assert balances(w.run(home_is_sandbox=True)) == {"33-SANDBOX-7": (6, 0), "61-SANDBOX-8": (0, 0)}


def test_a_note_on_an_excluded_invoice_has_no_target() -> None:
    w = World()
    w.document("33", "1", 10, state="draft")
    w.document("61", "1", 10, refs=[("33", "1", "1")])
    con = w.run()
    assert balances(con) == {"61-1": (0, 10)}
    assert ("note_without_target", "61", "1") in findings(con)


def test_duplicates_and_disagreeing_sides() -> None:
    w = World()
    w.document("33", "1", 10, updated_at=datetime(2026, 6, 2, tzinfo=UTC))
    w.document("33", "1", 99, updated_at=datetime(2026, 6, 1, tzinfo=UTC))
    w.document("33", "2", 10, other=BETA)
    w.document("33", "2", 12, company=BETA, other="76086428-5", side="received")
    con = w.run()
    assert balances(con) == {"33-1": (10, 0), "33-2": (10, 0)}
    assert findings(con) == {("duplicate_document", "33", "1"), ("sides_differ", "33", "2")}


def test_ruts_with_a_wrong_digit_are_flagged_and_kept() -> None:
    w = World()
    for n, rut in enumerate(("76543210-1", "76111111-1", "12345678-9", "76123456-7", "P-9")):
        w.document("33", str(n), 10, other=rut)
    for n, rut in enumerate(("76543210-3", "10000013-K", "60803000-K", "1-9", "55555555-5"), 10):
        w.document("33", str(n), 10, other=rut)
    con = w.run()
    assert len(balances(con)) == 10
    assert findings(con) == {("invalid_rut", "33", str(n)) for n in range(5)}


def test_sums_by_type() -> None:
    w = World()
    right = {"amount_without_iva": 100000, "amount_iva": 19000}
    w.document("33", "1", 119000, **right)
    w.document("33", "2", 119001, amount_without_iva=100000, amount_iva=19001)
    w.document("33", "3", 119500, amount_without_iva=100000, amount_iva=19500)
    w.document("33", "4", 125000, **right)
    w.document("33", "5", 124000, **right, amount_exempt=5000)
    w.document("34", "6", 5000, amount_without_iva=0, amount_iva=0, amount_exempt=5000)
    w.document("34", "7", 5000, amount_without_iva=5000, amount_iva=0, amount_exempt=5000)
    w.document("46", "8", 100000, **right, vat_withheld=True, other=CLIENT)
    w.document("46", "9", 100000, **right, vat_withheld=False)
    w.document("80", "10", 500, amount_without_iva=500, retention_type="RETRECEPTOR")
    w.document("33", "11", None)
    w.document("33", "12", -5)
    w.document("99", "13", 5)
    w.document("33", "14", 5, due_date=date(2020, 1, 1))
    assert findings(w.run()) == {
        ("iva_off", "33", "3"),
        ("total_does_not_add_up", "33", "4"),
        ("total_does_not_add_up", "46", "9"),
        ("amount_missing", "33", "11"),
        ("amount_missing", "33", "12"),
        ("unknown_type", "99", "13"),
        ("due_before_issue", "33", "14"),
    }


def test_lines_against_totals() -> None:
    w = World()
    for folio, parts in (("1", (600, 400)), ("2", (600, 300)), ("3", (600, None))):
        key = w.document("33", folio, 1190, amount_without_iva=1000, amount_iva=190)
        for position, part in enumerate(parts, 1):
            w.add("document_lines", master_entity_id="1", document_type="issued",
                  document_id=key, position=position, item_total=part)  # fmt: skip
    # a total that is not the gross fee: its lines tell
    key = w.document("80", "4", 423750, retention_type="RETRECEPTOR")
    w.add("document_lines", master_entity_id="1", document_type="issued", document_id=key,
          position=1, item_total=500000)  # fmt: skip
    con = w.run()
    assert findings(con) == {("lines_do_not_add_up", "33", "2"), ("lines_do_not_add_up", "80", "4")}
    con.execute("DELETE FROM marts.data_quality WHERE folio = '4'")
    amount = con.execute("SELECT amount FROM marts.data_quality").fetchone()
    assert amount == (Decimal("-100.0000"),)


def test_a_lean_row_gets_its_issuer_from_the_company() -> None:
    w = World()
    w.document("33", "1", 10, sender_tax_id=None)
    assert w.run().execute("SELECT issuer_rut, seller_rut FROM marts.documents").fetchall() == [
        ("76086428-5", "76086428-5")
    ]


def test_how_recently_tupana_read_sii() -> None:
    now = datetime(2026, 6, 30, 18, tzinfo=UTC)
    w = World()
    for kind, hours_ago, status in (
        ("ISSUED_DOCS", 47, "failed"),  # it may fail once: the reading before still holds
        ("PURCHASE_BOOK", 49, "completed"),
        ("RECEIVED_DOCS", None, "in_progress"),
        ("SALES_BOOK", 48, "completed"),
    ):
        last = None if hours_ago is None else now - timedelta(hours=hours_ago)
        w.add("sync_status", master_entity_id="1", scrape_type=kind, sync_frequency_hours=24,
              last_success_at=last, last_status=status)  # fmt: skip
    con = w.run(only=("marts.source_freshness",), now=now)
    found = con.execute("SELECT scrape_type, status FROM marts.source_freshness").fetchall()
    assert dict(found) == {
        "ISSUED_DOCS": "fresh",
        "PURCHASE_BOOK": "late",
        "RECEIVED_DOCS": "never_read",
        "SALES_BOOK": "fresh",
    }
