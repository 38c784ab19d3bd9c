"""The world changes between syncs: exactly what changed gets a version, and deletions wait
for evidence."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from tupana_etl.errors import NotFound
from tupana_etl.pipeline import refresh

from .helpers import TODAY, Site, differences, site, tampered, unpublished, versions


def companies(here: Site) -> list[str]:
    return [row["id"] for row in here.truth("master_entities")]


def one_sided(here: Site, condition: str, limit: int) -> list[str]:
    """Ids of issued documents that only one own company is a party to."""
    rows = here.query(
        f"""SELECT id FROM raw.documents d WHERE document_type = 'issued' AND {condition}
        AND folio IS NOT NULL AND state = 'issued' AND NOT EXISTS (
            FROM raw.documents o WHERE o.id = d.id AND o.document_type = 'received')
        ORDER BY id LIMIT {limit}"""
    )
    return [row[0] for row in rows]


@pytest.mark.parametrize("rows", ["rich", "lean"])
def test_everything_that_happened_arrives_and_nothing_else(tmp_path: Path, rows: str) -> None:
    world = site if rows == "rich" else unpublished
    with world(tmp_path, documents=400, months=24, list_rows=rows) as here:
        here.sync()
        company = companies(here)[0]
        paid = one_sided(here, "NOT is_paid AND date_issued < current_date - 60", 50)
        claimed = one_sided(here, "dte_type_code = '33' AND is_paid AND NOT has_claims", 5)
        doomed = one_sided(here, "dte_type_code = '39'", 2)
        for id_ in paid:
            here.admin("pay", document_id=int(id_))
        for id_ in claimed:
            here.admin("claim", document_id=int(id_), event_code="RCD")
        late = (TODAY - timedelta(days=365)).isoformat()
        here.admin("add", company=company, n=20)
        here.admin("add", company=company, n=1, date=late)
        for id_ in doomed:
            here.admin("delete", document_id=int(id_))
        before = versions(here)

        second = here.sync()
        assert second.complete, [r.reasons for r in second.streams]
        grown = versions(here)
        assert grown["documents"] == before["documents"] + len(paid) + len(claimed) + 21
        assert grown["document_states"] == before["document_states"] + len(claimed)
        assert here.query("SELECT count(*) FROM raw.documents WHERE _deleted_at IS NOT NULL") == [
            (0,)
        ]

        third = here.sync()
        assert third.complete
        here.sync("book_summaries", full=True)
        # Books of old months come round within a week, so they may still follow.
        assert sum(r.new + r.changed for r in third.streams if r.stream != "book_summaries") == 0
        assert sum(r.deleted for r in third.streams) >= len(doomed)
        assert differences(here) == {}
        gone = here.query(
            """SELECT DISTINCT d.id, l._deleted_at = d._deleted_at FROM raw.documents d
            JOIN raw.document_lines l ON l.document_id = d.id
            WHERE d._deleted_at IS NOT NULL ORDER BY 1"""
        )
        assert gone == [(id_, True) for id_ in sorted(doomed)]

        final = versions(here)
        assert here.sync(full=True).complete
        assert versions(here) == final


def test_a_row_that_comes_back_is_no_longer_deleted(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=100) as here:
        here.sync()
        (doomed,) = one_sided(here, "dte_type_code = '33'", 1)

        def hide(request: Request, body: dict[str, list[dict[str, object]]]) -> tuple[int, object]:
            if request.url.path.endswith("/documents"):
                rows = [r for r in body["results"] if str(r["id"]) != doomed]
                gone = len(body["results"]) - len(rows)
                return 200, {**body, "results": rows, "count": body["count"] - gone}  # type: ignore[operator]
            return 200, body

        state = f"SELECT _deleted_at IS NOT NULL FROM raw.documents WHERE id = '{doomed}'"
        with tampered(here, hide) as there:
            for expected in (False, True):
                there.sync("documents")
                assert here.query(state) == [(expected,)]
        assert here.sync().complete
        assert here.query(state) == [(False,)]
        assert differences(here) == {}


def test_missing_once_is_not_deleted(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=60) as here:
        here.sync()
        (doomed,) = one_sided(here, "true", 1)
        before = versions(here)

        def hide(request: Request, body: dict[str, list[dict[str, object]]]) -> tuple[int, object]:
            if request.url.path.endswith("/documents"):
                rows = [r for r in body["results"] if str(r["id"]) != doomed]
                gone = len(body["results"]) - len(rows)
                return 200, {**body, "results": rows, "count": body["count"] - gone}  # type: ignore[operator]
            return 200, body

        for _ in range(2):
            with tampered(here, hide) as there:
                there.sync("documents")
            here.sync("documents")
        assert versions(here) == before


def test_a_window_that_falls_to_zero_is_not_believed(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=120) as here:
        here.sync()
        before = here.query("SELECT count(*) FROM raw.documents WHERE _deleted_at IS NULL")

        def empty(request: Request, body: object) -> tuple[int, object]:
            if request.url.path.endswith("/documents"):
                return 200, {"count": 0, "next": None, "previous": None, "results": []}
            return 200, body

        with tampered(here, empty) as there:
            for _ in range(3):
                result = there.sync("documents")
                assert not result.complete
                assert any("known rows did not come" in r.reasons[0] for r in result.streams)
        assert here.query("SELECT count(*) FROM raw.documents WHERE _deleted_at IS NULL") == before
        assert here.sync().complete


def test_a_hidden_company_is_still_tried_and_named(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=80) as here:
        here.sync()
        company = companies(here)[-1]
        rut = next(r["tax_id"] for r in here.truth("master_entities") if r["id"] == company)

        def hide(
            request: Request, body: list[dict[str, list[dict[str, object]]]]
        ) -> tuple[int, object]:
            if request.url.path.endswith("/credentials"):
                for credential in body:
                    credential["master_entities"] = [
                        e for e in credential["master_entities"] if str(e["id"]) != company
                    ]
            elif request.query_params.get("master_entity_id") == company:
                return 403, {"error": "Sin credenciales vigentes"}
            return 200, body

        with tampered(here, hide) as there:
            result = there.sync("documents")
        assert result.hidden == (rut,)
        assert {r.entity: r.reasons for r in result.streams if not r.complete}.keys() == {rut}
        assert here.sync().complete
        assert differences(here) == {}


def test_one_document_or_one_company_is_refreshed_now(tmp_path: Path) -> None:
    with site(tmp_path, documents=80) as here:
        here.sync()
        first, second = one_sided(here, "NOT is_paid", 2)
        for id_ in (first, second):
            here.admin("pay", document_id=int(id_))
        before = here.stats()["requests"]
        result = refresh(here.settings, document=first)
        assert (result.complete, sum(r.changed for r in result.streams)) == (True, 1)
        assert here.stats()["requests"] - before == 2  # the companies, and the document
        paid = f"SELECT id FROM raw.documents WHERE is_paid AND id IN ('{first}', '{second}')"
        assert here.query(paid) == [(first,)]
        refresh(here.settings, company=here.truth("master_entities")[0]["tax_id"])
        assert here.sync().complete
        assert differences(here) == {}
        with pytest.raises(NotFound):
            refresh(here.settings, document="999999999")


def test_a_refresh_says_nothing_of_other_rows(tmp_path: Path) -> None:
    with site(tmp_path, documents=60) as here:
        here.sync()
        doomed, kept = one_sided(here, "true", 2)
        here.admin("delete", document_id=int(doomed))
        here.sync()
        refresh(here.settings, document=kept)
        here.sync()
        gone = here.query("SELECT DISTINCT id FROM raw.documents WHERE _deleted_at IS NOT NULL")
        assert gone == [(doomed,)]


@pytest.mark.parametrize("contract", ["2026-04", "2026-08"])
def test_documents_of_the_future_and_without_a_folio_are_read(
    tmp_path: Path, contract: str
) -> None:
    """The newest window has no upper bound. Without a folio there is no legal document: it
    is in raw, and in no mart."""
    shape: dict[str, Any] = {"documents": 60, "companies": 1, "months": 2, "contract": contract}
    with site(tmp_path, **shape) as here:
        here.sync(marts=False)
        (company,) = companies(here)
        ahead = [(TODAY + timedelta(days=days)).isoformat() for days in (1, 40, 400)]
        added = [
            str(here.admin("add", company=company, date=day, document_type=side)["document_ids"][0])
            for side in ("issued", "received")
            for day in ahead
        ]

        def draft(request: Request, body: Any) -> tuple[int, Any]:
            if request.url.path.endswith("/documents"):
                for row in body["results"]:
                    row["folio"] = None if str(row["id"]) == added[0] else row["folio"]
            elif request.url.path.endswith(f"/documents/{added[0]}"):
                body["folio"] = None
            return 200, body

        for times in (1, 2):
            with tampered(here, draft) as there:
                result = there.sync()
            assert result.complete, [r.reasons for r in result.streams]
            future = here.query(
                f"SELECT id, date_issued::VARCHAR FROM raw.documents WHERE date_issued > '{TODAY}'"
            )
            assert {*zip(added, ahead * 2, strict=True)} <= {*future}
            counted = versions(here)
            assert times == 1 or sum(r.new + r.changed for r in result.streams) == 0
        assert here.query("SELECT id FROM raw.documents WHERE folio IS NULL AND state = 'issued'")
        kept = {id_ for (id_,) in here.query("SELECT document_id FROM marts.documents")}
        assert added[0] not in kept
        assert {*added[1:]} <= kept
        assert here.sync().complete
        assert not [name for name in differences(here) if name.startswith("document")]
        assert versions(here)["documents"] == counted["documents"] + 1


def test_events_that_come_without_labels_cost_no_request(tmp_path: Path) -> None:
    def without(request: Request, body: Any) -> tuple[int, Any]:
        if request.url.path.endswith("/documents"):
            for row in body["results"]:
                row.pop("document_states", None)
        return 200, body

    with unpublished(tmp_path, documents=60, companies=1, months=2) as here:
        with tampered(here, without) as there:
            (documents,) = (r for r in there.sync("documents").streams)
            assert documents.complete
            assert documents.requests_saved == documents.seen > 0
        assert "document_states" not in differences(here)
        labels = "SELECT DISTINCT document_states FROM raw.documents"
        assert here.query(labels) == [(None,)]
        with tampered(here, without) as there:
            assert sum(r.changed for r in there.sync("documents").streams) == 0
        assert here.sync("documents").complete
        told = here.query(labels)
        assert told != [(None,)]
        with tampered(here, without) as there:
            assert sum(r.changed for r in there.sync("documents").streams) == 0
        assert here.query(labels) == told, "what a row does not speak of is as it was"
