"""What cannot be taken or read whole is named, the rest is published, the next sync mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.requests import Request

from .helpers import Site, differences, tampered, unpublished, versions


def documents_of(company: str, request: Request) -> bool:
    return (
        request.url.path.endswith("/documents")
        and request.query_params.get("master_entity_id") == company
    )


def first_company(here: Site) -> tuple[str, str]:
    row = here.truth("master_entities")[0]
    return row["id"], row["tax_id"]


def test_a_refused_company_does_not_stop_the_others(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=80) as here:
        company, rut = first_company(here)
        refused: list[dict[str, str]] = []

        def refuse(request: Request, body: Any) -> tuple[int, Any]:
            if documents_of(company, request):
                refused.append(dict(request.query_params))
                return 403, {"error": "No tienes acceso a esta empresa"}
            return 200, body

        with tampered(here, refuse) as there:
            result = there.sync()
        assert not result.complete
        # Its rows are counted to find out about date filters, and not to close what was not read.
        counted = {q.get("issue_date_gte") for q in refused if q["page_size"] == "1"}
        assert counted <= {None, "9000-01-01"}
        bad = [r for r in result.streams if not r.complete]
        assert {(r.stream, r.entity) for r in bad} == {("documents", rut)}
        assert "403" in bad[0].reasons[0]
        assert here.query("SELECT complete FROM raw.syncs") == [(False,)]
        asked = here.query(
            """SELECT path, status, rows, segment, fetched_at > started_at FROM raw.lineage l
            JOIN raw.syncs USING (run_id) WHERE error IS NOT NULL"""
        )
        assert {side for path, *_ in asked for side in ("issued", "received") if side in path} == {
            "issued",
            "received",
        }
        for path, *rest in asked:
            assert path.startswith("/v1/documents?")
            assert f"master_entity_id={company}" in path
            assert rest == [403, 0, None, True]
        assert set(differences(here)) == {
            "documents",
            "document_lines",
            "document_references",
            "document_states",
        }
        assert here.sync().complete
        assert differences(here) == {}


def test_a_row_that_does_not_fit_is_rejected_with_its_json(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=80) as here:
        company, _ = first_company(here)
        spoilt: list[str] = []

        def spoil(request: Request, body: Any) -> tuple[int, Any]:
            if documents_of(company, request) and body["results"] and not spoilt:
                body["results"][0]["amount_with_iva"] = "mucho"
                spoilt.append(str(body["results"][0]["id"]))
            return 200, body

        with tampered(here, spoil) as there:
            result = there.sync()
        assert result.complete
        assert result.rejected == 1
        ((id_, column, raw),) = here.query("SELECT id, column_name, raw FROM raw.rejects")
        assert [id_] == spoilt
        assert column == "amount_with_iva"
        assert json.loads(raw)["amount_with_iva"] == "mucho"
        assert here.sync().rejected == 0
        assert differences(here) == {}


def test_a_line_that_does_not_fit_is_counted(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=40) as here:

        def spoil(request: Request, body: Any) -> tuple[int, Any]:
            if request.url.path.endswith("/documents"):
                for row in body["results"]:
                    row["details"] = [{**line, "quantity": "mucho"} for line in row["details"]]
            return 200, body

        with tampered(here, spoil) as there:
            assert there.sync("documents").rejected > 0
        assert here.query("SELECT DISTINCT stream FROM raw.rejects") == [("document_lines",)]


def test_a_line_that_cannot_be_taken_leaves_the_one_before(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=40, companies=1, months=2) as here:
        here.sync("documents")
        before = here.query("FROM raw.document_lines ORDER BY ALL")
        counted = versions(here)

        def spoil(request: Request, body: Any) -> tuple[int, Any]:
            if request.url.path.endswith("/documents"):
                for row in body["results"]:
                    row["details"] = [
                        {**line, "quantity": "mucho"} if n == 0 else line
                        for n, line in enumerate(row["details"])
                    ]
            return 200, body

        lake = {p: p.stat().st_size for p in (here.settings.lake / "documents").rglob("*.parquet")}
        with tampered(here, spoil) as there:
            assert there.sync("documents").rejected > 0
        assert here.query("FROM raw.document_lines ORDER BY ALL") == before
        assert versions(here) == counted
        written = (here.settings.lake / "documents").rglob("*.parquet")
        assert {p: p.stat().st_size for p in written} == lake
        assert here.sync("documents").rejected == 0


def test_a_list_that_keeps_changing_is_incomplete_and_published_so(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=80) as here:
        company, rut = first_company(here)

        def lose_a_row(request: Request, body: Any) -> tuple[int, Any]:
            if documents_of(company, request):
                body["results"] = body["results"][1:]
            return 200, body

        with tampered(here, lose_a_row) as there:
            result = there.sync()
        (bad,) = [r for r in result.streams if not r.complete]
        assert (bad.stream, bad.entity) == ("documents", rut)
        assert "kept changing" in bad.reasons[0]
        tried = here.query(
            f"""SELECT DISTINCT "count" > rows FROM raw.lineage
            WHERE stream = 'documents' AND master_entity_id = '{company}'"""
        )
        assert tried == [(True,)]  # what the server announced, and what came
        assert here.sync().complete
        assert differences(here) == {}


def test_details_that_could_not_be_read_are_named(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=40, list_rows="lean") as here:
        lost = here.truth("documents")[0]["id"]

        def lose(request: Request, body: Any) -> tuple[int, Any]:
            gone = request.url.path.endswith(f"/documents/{lost}")
            return (404, {"error": "No encontrado"}) if gone else (200, body)

        with tampered(here, lose) as there:
            result = there.sync("documents")
        reasons = [reason for r in result.streams for reason in r.reasons]
        assert reasons
        assert all(f"1 details could not be read: {lost}" in r for r in reasons)
        failed = here.query("SELECT path, status, rows FROM raw.lineage WHERE error IS NOT NULL")
        assert set(failed) == {(f"/v1/documents/{lost}", 404, 0)}
        assert here.sync("documents").complete


def test_a_detail_that_cannot_be_taken_counts_once(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=40, list_rows="lean") as here:
        spoilt = here.truth("documents")[0]["id"]

        def spoil(request: Request, body: Any) -> tuple[int, Any]:
            if request.url.path.endswith(f"/documents/{spoilt}"):
                body["amount_with_iva"] = "mucho"
            return 200, body

        with tampered(here, spoil) as there:
            result = there.sync("documents")
        ((rejects,),) = here.query("SELECT count(*) FROM raw.rejects")
        assert result.rejected == rejects > 0
        (counts,) = here.query(
            "SELECT sum(seen), sum(new), sum(changed), sum(unchanged), sum(rejected) "
            "FROM raw.windows WHERE stream = 'documents'"
        )
        true = len(here.truth("documents"))
        assert counts == (true, true, 0, 0, 0)
        assert here.sync("documents").complete


def test_an_unknown_field_is_kept_and_reported_once(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=40) as here:

        def add_field(request: Request, body: Any) -> tuple[int, Any]:
            if request.url.path.endswith("/documents"):
                for row in body["results"]:
                    row["carbon_footprint"] = {"kg": 1.5}
            return 200, body

        with tampered(here, add_field) as there:
            result = there.sync("documents")
        assert result.unknown_fields["documents"] == ("carbon_footprint",)
        assert here.query(
            "SELECT DISTINCT _extra->'carbon_footprint'->>'kg' FROM raw.documents"
        ) == [("1.5",)]


def test_a_key_that_is_no_longer_sent_keeps_its_value_and_a_null_does_not(tmp_path: Path) -> None:
    with unpublished(tmp_path, documents=40) as here:
        here.sync()
        names = here.query("SELECT count(receiver_name) FROM raw.documents")

        def drop(request: Request, body: Any) -> tuple[int, Any]:
            if request.url.path.endswith("/documents"):
                for row in body["results"]:
                    del row["receiver_name"]
                    row["due_date"] = None
                    row["header"] = {**(row["header"] or {}), "due_date": None}
            return 200, body

        with tampered(here, drop) as there:
            assert there.sync("documents").complete
        assert here.query("SELECT count(receiver_name) FROM raw.documents") == names
        assert here.query("SELECT count(due_date) FROM raw.documents") == [(0,)]
