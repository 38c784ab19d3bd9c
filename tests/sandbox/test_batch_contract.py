"""Batches against the published OpenAPI files, and across a restart of the sandbox."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest

from tupana_etl.sandbox.deviations import corrected
from tupana_etl.sandbox.server import DEMO_KEY, World, running

from .batches import invoice, issued, issuer, play, polled, send
from .helpers import TODAY, client, get, post, shared, truth
from .test_contract import resolved

WORLD = World(documents=40, companies=1, months=3, seed=3, today=TODAY)


def spec(era: str) -> dict[str, Any]:
    published = json.loads(shared("api", f"openapi-v1-{era}.json").read_text(encoding="utf-8"))
    return published if era == "2026-04" else corrected(published)


def operation(found: dict[str, Any]) -> dict[str, Any]:
    post_it: dict[str, Any] = found["paths"]["/documents/batch"]["post"]
    return post_it


@pytest.mark.parametrize("era", ["2026-04", "2026-08"])
def test_answers_are_as_published(tmp_path: Path, era: Any) -> None:
    found = spec(era)
    schema = operation(found)["responses"]["202"]["content"]["application/json"]["schema"]
    validator = jsonschema.Draft202012Validator(resolved(schema, found))
    with running(tmp_path / "w.sqlite", replace(WORLD, contract=era)) as url, client(url) as api:
        post(api, "/_admin/switches", batch_get=True)
        play(api, *({"kind": "outcome", "argument": f"{i}:{s}"} for i, s in enumerate(STATUSES)))
        answer = send(api, *(invoice(api, str(i)) for i in range(len(STATUSES))), key="k")
        validator.validate(answer.json())
        batch = polled(api, answer)
        assert [e["status"] for e in batch["documents"]] == STATUSES
        validator.validate(batch)
        validator.validate(send(api, *(invoice(api, str(i)) for i in range(6)), key="k").json())


STATUSES = ["success", "invalid", "permanent_error", "temporary_error", "incomplete", "success"]


def test_the_published_example_is_accepted(tmp_path: Path) -> None:
    """With parties of this world: it gives neither folio nor header, and asks no defaults."""
    content = operation(spec("2026-08"))["requestBody"]["content"]["application/json"]
    (document,) = content["example"]["documents"]
    with running(tmp_path / "w.sqlite", WORLD) as url, client(url) as api:
        document["document_issuer"]["rut"] = issuer(api)["tax_id"]
        document["document_receiver"]["rut"] = "76086428-5"
        assert send(api, document, defaults=False).status_code == 202
        (row,) = issued(api)["issued"]
        assert (row["net"], row["iva"], row["total"]) == ("100000", "19000", "119000")


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    database = tmp_path / "w.sqlite"
    with running(database, WORLD) as url, client(url) as api:
        post(api, "/_admin/switches", processing_seconds=600)
        post(api, "/_admin/keys", key="another")
        play(api, {"kind": "later", "argument": 3600, "skip": 1})
        document = invoice(api)
        first = send(api, document, key="k").json()["batch_id"]
        with pytest.raises(httpx.RemoteProtocolError):
            send(api, invoice(api, "late"), key="late")
        assert issued(api)["documents"] == 0
    with running(database, WORLD) as url, client(url, "another") as api:
        assert send(api, document, key="k").json()["batch_id"] == first
        post(api, "/_admin/clock", hours=2)
    with running(database, WORLD, key="renamed") as url:
        with client(url, DEMO_KEY) as former:
            assert former.get("/credentials").status_code == 401
        with client(url, "renamed") as api:
            assert issued(api)["counts"] == {"row_key": {"a": 1, "late": 1}}
            rows = {r["id"] for r in truth(api, "documents")}
            assert {str(r["document_id"]) for r in issued(api)["issued"]} <= rows
            assert get(api, "/_admin/switches")["processing_seconds"] == 600
