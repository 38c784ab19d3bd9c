"""A server that takes no notice of a parameter answers with rows of somebody else: each row
is judged by what it says itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from .helpers import Site, differences, tampered, unpublished

SMALL = {"documents": 40, "companies": 2, "months": 2}

OF_OTHERS = """
SELECT count(*) FROM raw.documents d JOIN raw.master_entities e ON e.id = d.master_entity_id
WHERE e.tax_id <> if(document_type = 'issued', sender_tax_id, receiver_tax_id)"""


@pytest.mark.parametrize("contract", ["2026-04", "2026-08"])
@pytest.mark.parametrize(
    ("switch", "rows"),
    [
        ("side_ignored", "rich"),
        ("only_issued", "rich"),
        ("company_ignored", "rich"),
        ("side_ignored", "lean"),
    ],
)
def test_rows_of_somebody_else_are_left_out_and_named(
    tmp_path: Path, contract: str, switch: str, rows: str
) -> None:
    shape: dict[str, Any] = {**SMALL, "contract": contract, "list_rows": rows}
    with unpublished(tmp_path, **shape, deviations=frozenset({switch})) as here:
        result = here.sync("documents", "master_entities")
        bad = {(r.stream, r.entity) for r in result.streams if not r.complete}
        ruts = {row["tax_id"] for row in here.truth("master_entities")}
        assert bad == {("documents", rut) for rut in ruts}
        for r in result.streams:
            for reason in r.reasons:
                side = "issued" if " issued 2" in reason else "received"
                assert f"rows are not {side} by {r.entity}" in reason
            assert r.new + r.changed <= r.seen
        assert here.query(OF_OTHERS) == [(0,)]
        kept = here.query("SELECT DISTINCT document_type FROM raw.documents ORDER BY ALL")
        if rows == "lean":
            assert kept == []  # the lists do not say whose a row is, and details come too late
        elif switch == "only_issued":
            assert kept == [("issued",)]
        else:
            assert kept == [("issued",), ("received",)]
            assert "documents" not in differences(here)
    with unpublished(tmp_path, **shape) as mended:
        assert mended.sync("documents").complete
        assert not [name for name in differences(mended) if name.startswith("document")]


@pytest.mark.parametrize(
    ("side", "types", "left_out"),
    [
        # Nobody tells whether a list means the sender or the seller.
        ("issued", ("46", "90"), 0),
        ("received", ("46", "90"), 0),
        ("issued", ("33",), 1),
        # This list is seen to take no notice.
        ("received", ("33", "46"), 2),
    ],
)
def test_what_the_payer_issues_is_no_false_alarm(
    tmp_path: Path, side: str, types: tuple[str, ...], left_out: int
) -> None:
    with unpublished(tmp_path, documents=60, companies=1, months=2) as here:

        def turn(request: Request, body: Any) -> tuple[int, Any]:
            asked = request.query_params.get("document_type")
            if request.url.path.endswith("/documents") and asked == side:
                for row, code in zip(body["results"], types, strict=False):
                    own, other = row["receiver_tax_id"], row["sender_tax_id"]
                    row |= {"sender_tax_id": own, "receiver_tax_id": other, "dte_type_code": code}
            return 200, body

        with tampered(here, turn) as there:
            result = there.sync("documents")
        assert result.complete == (not left_out)
        counted = here.query("SELECT count(*) FROM raw.documents")[0][0]
        assert counted == len(here.truth("documents")) - left_out
        assert here.sync("documents").complete
        assert "documents" not in differences(here)


def test_a_cession_between_others_is_left_out_and_named(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=120) as here:
        strange: set[str] = set()

        def replace(request: Request, body: Any) -> tuple[int, Any]:
            if request.url.path.endswith("/cessions") and body["results"]:
                row = body["results"][0]
                parties = ("supplier_rut", "receiver_rut", "assignee_rut")
                row |= dict.fromkeys(parties, "60803000-K")
                strange.add(str(row["id"]))
            return 200, body

        with tampered(here, replace) as there:
            result = there.sync("cessions")
        assert not result.complete
        assert strange
        kept = {id_ for (id_,) in here.query("SELECT id FROM raw.cessions")}
        assert kept == {row["id"] for row in here.truth("cessions")} - strange
        assert here.sync("cessions").complete
        assert "cessions" not in differences(here)


def deleted(here: Site, stream: str) -> tuple[int, int]:
    """Rows marked deleted, and rows."""
    counted = here.query(f"SELECT count(_deleted_at), count(*) FROM raw.{stream}")
    return counted[0][0], counted[0][1]


def test_only_what_a_user_deletes_himself_may_fall_to_zero(tmp_path: Path) -> None:
    """His last webhook, his last schedule; a cession is a legal fact."""
    lists = ("/cessions", "/webhooks", "/scheduled-documents")
    names = ("cessions", "webhooks", "scheduled_documents")
    with unpublished(tmp_path, documents=60, companies=1, months=2) as here:
        here.sync(*names)
        known = {name: deleted(here, name)[1] for name in names}
        assert all(0 < n <= 20 for n in known.values()), known

        def empty(request: Request, body: Any) -> tuple[int, Any]:
            if not request.url.path.endswith(lists):
                return 200, body
            return 200, [] if isinstance(body, list) else {**body, "count": 0, "results": []}

        with tampered(here, empty) as there:
            for times in (1, 2, 3):
                result = there.sync(*names)
                assert {r.stream for r in result.streams if not r.complete} == {"cessions"}
                gone = 0 if times == 1 else 1
                for name in names[1:]:
                    assert deleted(here, name) == (gone * known[name], known[name])
                assert deleted(here, "cessions") == (0, known["cessions"])
        assert here.sync(*names).complete
        assert {name: deleted(here, name) for name in names} == {
            n: (0, k) for n, k in known.items()
        }
