"""Credit and debit notes followed to the document they end at."""

from __future__ import annotations

from .world import SUPPLIER, World, balances, column, findings

OPEN_119 = (119_000, 0)


def test_chain_invoice_credit_note_annulled_by_debit_note() -> None:
    w = World()
    w.document("33", "1", 119000)
    w.document("61", "1", 119000, refs=[("33", "1", "1")])
    w.document("56", "1", 119000, refs=[("61", "1", "1")])
    con = w.run()
    assert balances(con) == {"33-1": OPEN_119, "61-1": (0, 0), "56-1": (0, 0)}
    assert column(con, "root_folio") == {"33-1": None, "61-1": "1", "56-1": "1"}
    assert column(con, "root_dte_type_code")["56-1"] == "33"


def test_credit_debit_excess_text_and_leading_zeros() -> None:
    w = World()
    for folio in ("1", "2", "3", "4"):
        w.document("33", folio, 119000)
    w.document("61", "1", 19000, refs=[("801", "OC-77", None), ("33", "001", "3")])
    w.document("56", "1", 1000, refs=[("33", "1", "3")])
    w.document("61", "2", 150000, refs=[("33", "2", "3")])
    w.document("61", "3", 119000, refs=[("33", "3", "2")])
    w.document("61", "4", 119000, refs=[("33", "4", None)])  # the API may omit CodRef
    con = w.run()
    got = balances(con)
    assert [got[f"33-{n}"] for n in "1234"] == [(101_000, 0), (0, 31_000), OPEN_119, (0, 0)]
    assert all(got[f"61-{n}"] == (0, 0) for n in "1234")
    assert ("text_note_with_amount", "61", "3") in findings(con)


def test_a_note_over_several_invoices_is_shared_to_the_peso_and_marked() -> None:
    w = World()
    w.document("33", "1", 100)
    w.document("33", "2", 100)
    w.document("33", "3", 100)
    w.document("61", "1", 100, refs=[("33", n, "3") for n in "123"])
    # one of two is not in the data: half of the note stays with the note
    w.document("33", "9", 1000)
    w.document("61", "2", 300, refs=[("33", "9", "3"), ("33", "404", "3")])
    con = w.run()
    got = balances(con)
    assert [got[f"33-{n}"][0] for n in "1239"] == [67, 67, 66, 850]
    assert (got["61-1"], got["61-2"]) == ((0, 0), (0, 150))
    assert column(con, "is_estimated") == dict.fromkeys(got, True)
    assert {("split_is_estimated", "61", "1"), ("note_target_missing", "61", "2")} <= findings(con)


def test_notes_without_a_target_stand_alone() -> None:
    w = World()
    w.document("61", "1", 5000, refs=[("33", "404", "1")])
    w.document("61", "2", 6000)
    w.document("56", "3", 7000, refs=[("33", "404", "3")])
    w.document("61", "4", 8000, refs=[("33", "404", "1")])
    w.document("56", "5", 8000, refs=[("61", "4", "1")])
    w.document("61", "6", 900, refs=[("61", "7", "1")])
    w.document("61", "7", 900, refs=[("61", "6", "1")])
    w.document("61", "8", 50, refs=[("61", "8", "1")])
    con = w.run()
    assert balances(con) == {
        "61-1": (0, 5_000),
        "61-2": (0, 6_000),
        "56-3": (7_000, 0),
        "61-4": (0, 0),
        "56-5": (0, 0),
        "61-6": (0, 900),
        "61-7": (0, 900),
        "61-8": (0, 50),
    }
    named = {f for f in findings(con) if f[0] in {"note_without_target", "reference_cycle"}}
    orphans = {("note_without_target", t, f) for t, f in
               (("61", "1"), ("61", "2"), ("56", "3"), ("61", "4"), ("61", "8"))}  # fmt: skip
    assert named == orphans | {("reference_cycle", "61", "6"), ("reference_cycle", "61", "7")}


def test_notes_of_a_46_stay_on_its_side() -> None:
    w = World()
    w.document("46", "1", 100000, vat_withheld=True, other=SUPPLIER)
    w.document("61", "1", 30000, refs=[("46", "1", "3")], other=SUPPLIER)
    w.document("46", "2", 100000, vat_withheld=True, side="received")
    w.document("61", "2", 30000, refs=[("46", "2", "3")], side="received")
    con = w.run()
    assert balances(con) == {"46-2": (70_000, 0), "61-2": (0, 0)}
    assert column(con, "ar_ap") == {"46-1": "AP", "61-1": "AP", "46-2": "AR", "61-2": "AR"}
    assert column(con, "open_balance_clp")["46-1"] == 70_000
