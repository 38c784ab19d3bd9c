"""A world written by hand, through the API and a real sync, in both contracts of the API.

2026-08 lists everything; 2026-04 has lean rows, no books and no cessions received: there the
same documents must give the same balances, and what cannot be known must be NULL and named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import duckdb
import httpx
import pytest

from tupana_etl.pipeline import sync
from tupana_etl.sandbox.server import DEMO_KEY, World, running
from tupana_etl.settings import Settings
from tupana_etl.warehouse.models import run_models

from .served import PERSON, world
from .world import ACME, AS_OF, CLIENT, FACTOR, SUPPLIER

NOON = datetime(2026, 6, 30, 16, tzinfo=UTC)
Contract = Literal["2026-04", "2026-08"]


@dataclass(frozen=True)
class Era:
    """The marts of one contract."""

    contract: Contract
    con: duckdb.DuckDBPyConnection
    ids: dict[str, int]

    @property
    def has_books(self) -> bool:
        return self.contract == "2026-08"

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.con.execute(query).fetchall()

    def by_document(self, mart: str, columns: str, where: str = "true") -> dict[str, Any]:
        """Type and folio → the columns; the other company's and the supplier's are marked."""
        found = self.rows(
            f"""SELECT dte_type_code || '-' || folio, {columns}
            FROM marts.{mart} WHERE {where}"""
        )
        assert len(found) == len({r[0] for r in found})
        return {r[0]: r[1] if len(r) == 2 else r[1:] for r in found}


@pytest.fixture(scope="module", params=["2026-04", "2026-08"])
def era(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Era]:
    contract: Contract = request.param
    folder = tmp_path_factory.mktemp(contract)
    served = world()
    served.write(folder / "world.sqlite")
    shape = World(contract=contract, list_rows="lean" if contract == "2026-04" else "rich")
    with running(folder / "world.sqlite", shape) as url:
        settings = Settings(
            api_key=DEMO_KEY, base_url=url, home=folder / "home", start_date=date(2025, 12, 1)
        )
        assert sync(settings, marts=False).complete
        httpx.post(
            f"{url.removesuffix('/v1')}/_admin/pay",
            json={"document_id": served.ids["33-12"]},
            headers={"Authorization": f"Api-Key {DEMO_KEY}"},
        ).raise_for_status()
        assert sync(settings, ("documents",), marts=False).complete
    with duckdb.connect(str(settings.warehouse)) as con:
        run_models(con, as_of=AS_OF, now=NOON)
        yield Era(contract, con, served.ids)


OPEN = 119_000, 0, "open"
CLOSED, APPLIED = (0, 0, "closed_at_issue"), (0, 0, "applied")
RECEIVABLES = {
    "33-1": OPEN,
    "34-1": (50_000, 0, "open"),
    "33-2": CLOSED,  # cash
    "33-3": CLOSED,  # free
    "33-4": (0, 0, "paid"),
    "33-5": OPEN,  # claimed: still owed
    "33-6": OPEN,
    "33-7": OPEN,
    "33-8": OPEN,
    "33-9": OPEN,
    "33-10": (179, 0, "open"),  # 150 + 28.5, half up
    "33-12": (0, 0, "paid"),
    "39-1": CLOSED,
    "41-1": CLOSED,
    "33-11": OPEN,  # from one company of ours to the other
    "43-1": OPEN,
    "33-20": (95_200, 0, "open"),  # − 23,800
    "61-1": APPLIED,
    "33-21": (0, 0, "credited"),
    "61-2": APPLIED,
    "33-22": OPEN,  # annulled, and the note annulled in turn
    "61-3": APPLIED,
    "56-1": APPLIED,
    "33-23": (130_900, 0, "open"),  # + 11,900
    "56-2": APPLIED,
    "33-24": (107, 0, "open"),  # 119 and 238 share a note of 36: 12 and 24
    "33-25": (214, 0, "open"),
    "61-4": APPLIED,
    "33-26": (0, 2_380, "credited"),  # 1,190 − 3,570
    "61-5": APPLIED,
    "33-27": OPEN,  # a correction of text
    "61-6": APPLIED,
    "61-7": (0, 5_950, "credited"),  # on an invoice that is not in the data
    "33-28": OPEN,
    "46-1": (70_000, 0, "open"),  # we sell; the buyer keeps the IVA; − 30,000
    "61-8": APPLIED,
    "110-1": (950_725, 0, "open"),  # 1,000.50 × 950.25 = 950,725.125
    "110-2": (None, 0, "open"),  # no rate: never pesos
    "111-1": APPLIED,
    "112-1": APPLIED,
    "33-40": (0, 0, "ceded"),
    "33-41": OPEN,  # in process
    "33-42": OPEN,  # refused
    "33-43": OPEN,  # ceded back
    "33-44": (19_000, 0, "open"),  # 100,000 of 119,000 ceded
    "33-53": OPEN,
    "33-54": (119_500, 0, "open"),
    "33-55": (125_000, 0, "open"),
    "33-56": (1_190, 0, "open"),
}
PAYABLES = {
    "33-1": (SUPPLIER, 238_000, 0, "open"),
    "33-30": (SUPPLIER, 357_000, 0, "open"),
    "33-31": (SUPPLIER, 119_000, 0, "open"),
    "34-30": (SUPPLIER, 7_000, 0, "open"),
    "46-2": (SUPPLIER, 60_000, 0, "open"),  # 100,000 without its IVA, − 40,000
    "61-9": (SUPPLIER, 0, 0, "applied"),
    "80-1": (PERSON, 423_750, 76_250, "open"),  # 15.25 % in 2026
    "80-2": (PERSON, 300_000, 0, "open"),  # the provider pays its own
    "80-3": (PERSON, 0, 72_500, "paid"),  # 14.5 % in 2025, due whatever was paid
    "90-1": (PERSON, 423_750, 76_250, "open"),
    "33-11": (ACME, 119_000, 0, "open"),
}


def test_what_is_owed_to_us(era: Era) -> None:
    columns = "open_balance_clp, unapplied_credit_clp, status"
    assert era.by_document("receivables", columns) == RECEIVABLES
    assert era.by_document("receivables", "open_balance", "folio = '2' AND currency = 'USD'") == {
        "110-2": Decimal(950)  # 1,000.50 − 100.50 + 50
    }
    assert era.rows("SELECT DISTINCT company_rut FROM marts.receivables") == [(ACME,)]


def test_what_we_owe(era: Era) -> None:
    columns = "counterparty_rut, open_balance_clp, retention_due_clp, status"
    assert era.by_document("payables", columns) == PAYABLES
    assert era.rows("SELECT folio FROM marts.payables WHERE company_rut = '77777777-7'") == [
        ("11",)
    ]
    retention = """SELECT period, documents, gross_clp, retention_clp, net_clp
        FROM marts.honorarios_retention ORDER BY period"""
    assert era.rows(retention) == [
        ("202512", 1, 500_000, 72_500, 427_500),
        ("202606", 2, 1_000_000, 152_500, 847_500),
    ]


def test_every_document_once_with_its_sides(era: Era) -> None:
    count = "SELECT count(*), count(DISTINCT doc_key) FROM marts.documents"
    every = len(RECEIVABLES) + len(PAYABLES) - 1 + 1  # 33-11 on both sides; 52-1 on neither
    assert era.rows(count) == [(every, every)]
    flipped = era.by_document(
        "documents", "seller_rut, buyer_rut, ar_ap", "seller_rut <> issuer_rut"
    )
    assert flipped == {
        "46-1": (ACME, CLIENT, "AR"),
        "61-8": (ACME, CLIENT, "AR"),
        "46-2": (SUPPLIER, ACME, "AP"),
        "61-9": (SUPPLIER, ACME, "AP"),
        "90-1": (PERSON, ACME, "AP"),
    }
    assert era.by_document("documents", "ar_ap, open_balance_clp", "dte_type_code = '52'") == {
        "52-1": (None, 0)
    }
    own = era.by_document(
        "documents", "company_rut, issued_document_id, received_document_id", "counterparty_is_own"
    )
    both = str(era.ids["33-11"])
    assert own == {"33-11": (ACME, both, both)}


def test_acceptance_lateness_and_payment(era: Era) -> None:
    sold = "issuer_rut = '76086428-5' AND dte_type_code IN ('33', '34', '43')"
    accepted = era.by_document("documents", "acceptance", sold)
    said = {"33-5": "claimed", "33-6": "pending", "33-7": "accepted_express"}
    assert accepted == dict.fromkeys(accepted, "accepted_tacit") | said
    others = "SELECT DISTINCT acceptance FROM marts.documents WHERE dte_type_code > '43'"
    assert era.rows(others) == [(None,)]
    late = era.by_document("receivables", "days_overdue, bucket", "days_overdue > 0")
    assert late == {"33-9": (102, "90+")}
    terms = era.by_document(
        "receivables", "due_date, due_date_source", "folio IN ('8', '1') AND dte_type_code <> '61'"
    )
    assert terms["33-8"] == (date(2026, 7, 21), "reception+30")  # from the 21st, in Santiago
    assert terms["46-1"] == (date(2026, 7, 1), "issue+30")
    source = era.by_document("receivables", "paid_at_source", "is_paid")
    assert source == {"33-4": "unknown", "33-12": "observed"}
    ageing = """SELECT counterparty_rut, bucket, documents, open_balance_clp
        FROM marts.payables_aging WHERE company_rut = ? ORDER BY ALL"""
    assert era.con.execute(ageing, [ACME]).fetchall() == [
        (PERSON, "not_due", 3, 1_147_500),
        (SUPPLIER, "61-90", 1, 7_000),
        (SUPPLIER, "not_due", 4, 774_000),
    ]
    summed = "SELECT sum(open_balance_clp)::BIGINT, sum(documents_without_clp) FROM marts.{}"
    expected = sum(balance or 0 for balance, _, _ in RECEIVABLES.values())
    assert era.rows(summed.format("receivables_aging")) == [(expected, 1)]


def test_cessions(era: Era) -> None:
    got = era.by_document(
        "cessions", "sequence, is_current, is_back", "status = 'success' AND folio <> '43'"
    )
    expected = {"33-40": (1, True, False), "33-44": (1, True, False)}
    assert got == expected | ({"33-31": (1, True, False)} if era.has_books else {})
    held = """SELECT folio, ceded_clp, outstanding_clp, open_balance_clp
        FROM marts.factoring_portfolio ORDER BY folio"""
    assert era.rows(held) == [("40", 119_000, 119_000, 0), ("44", 100_000, 100_000, 19_000)]
    # 2026-04 lists no cessions received: SII's event tells that there is one, not whose
    to_pay = """SELECT folio, assignee_rut, balance_to_assignee_clp, open_balance_clp
        FROM marts.payables_to_assignees"""
    told = (FACTOR, 119_000) if era.has_books else (None, None)
    assert era.rows(to_pay) == [("31", *told, 119_000)]


def test_candidates(era: Era) -> None:
    reasons = era.by_document(
        "factoring_candidates", "reasons", "dte_type_code IN ('33', '34', '43', '46')"
    )
    assert {k: v for k, v in reasons.items() if v} == {
        "33-2": ["cash_or_free"],
        "33-3": ["cash_or_free"],
        "33-4": ["paid"],
        "33-5": ["claimed"],
        "33-6": ["acceptance_pending"],
        "33-9": ["past_due"],
        "33-11": ["related_debtor"],
        "33-12": ["paid"],
        "33-21": ["annulled", "no_balance"],
        "33-26": ["no_balance"],
        "33-28": ["credit_note_unseen"],
        "33-40": ["already_ceded"],
        "33-41": ["cession_processing"],
        "33-44": ["already_ceded"],
        "33-53": ["invalid_rut"],
        "43-1": ["type_needs_review"],
        "46-1": ["type_needs_review", "due_date_unknown", "reception_unknown"],
    }
    rest = """SELECT count(*) FROM marts.factoring_candidates WHERE dte_type_code
        NOT IN ('33', '34', '43', '46') AND NOT list_contains(reasons, 'type_not_cedible')"""
    assert era.rows(rest) == [(0,)]


def test_what_is_wrong_is_named_with_its_document(era: Era) -> None:
    got = era.rows("SELECT check_name, document_id FROM marts.data_quality")
    expected = {
        ("excluded_draft", "33-50"),
        ("excluded_failed", "33-51"),
        ("excluded_sii_rejected", "33-52"),
        ("invalid_rut", "33-53"),
        ("iva_off", "33-54"),
        ("total_does_not_add_up", "33-55"),
        ("duplicate_document", "33-56"),
        ("note_without_target", "61-7"),
        ("split_is_estimated", "61-4"),
        ("credit_note_not_in_data", "33-28"),
        ("foreign_currency_without_rate", "110-2"),
        ("foreign_currency_without_rate", "111-1"),
        ("foreign_currency_without_rate", "112-1"),
    }
    if not era.has_books:
        expected.add(("cession_not_in_data", "33-31"))
    assert set(got) == {(check, str(era.ids[name])) for check, name in expected}
    assert len(got) == len(expected)


def test_against_the_books_and_iva(era: Era) -> None:
    compared = """SELECT operation, dte_type_code, docs_ours, docs_sii, total_ours, total_sii
        FROM marts.book_reconciliation
        WHERE company_rut = ? AND period = '202606' ORDER BY operation, dte_type_code"""
    vat = """SELECT period, iva_debit_clp, iva_credit_clp, iva_withheld_clp, iva_balance_clp,
            purchases_without_month FROM marts.vat_monthly WHERE company_rut = ? ORDER BY period"""
    books = era.con.execute(compared, [ACME]).fetchall()
    taxes = era.con.execute(vat, [ACME]).fetchall()
    ours = {(r[0], r[1]): (r[2], r[4]) for r in books}
    assert ours == {
        # 34-30 is of March; 33-30, issued in May, was received in June
        ("COMPRA", "33"): (3, 714_000),
        ("COMPRA", "46"): (1, 100_000),
        ("COMPRA", "61"): (1, 30_000),
        ("VENTA", "110"): (2, 950_725),
        ("VENTA", "111"): (1, 0),
        ("VENTA", "112"): (1, 0),
        ("VENTA", "33"): (29, 2_865_416),
        ("VENTA", "34"): (1, 50_000),
        ("VENTA", "39"): (1, 680),
        ("VENTA", "41"): (1, 700),
        ("VENTA", "43"): (1, 119_000),
        ("VENTA", "56"): (2, 130_900),
        ("VENTA", "61"): (8, 311_356),
    }
    if not era.has_books:
        assert {(r[3], r[5]) for r in books} == {(None, None)}
        assert era.rows("FROM marts.book_differences") == []
        # the month of every purchase is a guess: no credit is said
        assert [(r[0], *r[2:5]) for r in taxes] == [
            (period, None, None, None) for period in ("202603", "202606")
        ]
        assert all(r[5] > 0 for r in taxes)
        return
    # SII counts the duplicate and knows the dollars; the rest is equal to the peso
    apart = {(r[0], r[1]): (r[3] - r[2], r[5] - r[4]) for r in books if r[2:5:2] != r[3:6:2]}
    assert apart == {
        ("VENTA", "33"): (1, 1_190),
        ("VENTA", "110"): (0, 1_001),
        ("VENTA", "111"): (0, 50),
        ("VENTA", "112"): (0, 101),
    }
    lead = "SELECT folio, reason FROM marts.book_differences WHERE explains_alone"
    assert era.rows(lead) == [("56", "duplicate")]
    # credit of June: 38,000 + 57,000 + 19,000, and of the 46 19,000 − 7,600, withheld as well
    debit = 453_649
    assert taxes == [
        ("202603", 19_000, 0, 0, 19_000, 0),
        ("202606", debit, 125_400, 11_400, debit + 11_400 - 125_400, 0),
    ]
