"""``tupana scheduled create``, as a person meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tupana_etl.domain import today
from tupana_etl.sandbox.server import World, running

from .runner import CANARY, Runner

START = (today() + timedelta(days=3)).isoformat()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    folder = tmp_path_factory.mktemp("scheduled")
    world = World(documents=20, companies=1, months=2, seed=5)
    with running(folder / "world.sqlite", world, key=CANARY) as url:
        yield Runner(folder, url)


def schedule(tupana: Runner, row_key: str, **other: Any) -> dict[str, Any]:
    company = tupana.inside("companies", "--json").json["companies"][0]["rut"]
    made = {
        "row_key": row_key,
        "issuer_rut": company,
        "dte_type": "33",
        "receiver_rut": "76192083-9",
        "frequency": "weekly",
        "day_of_week": 5,
        "start_date": START,
        "details": [{"item_name": "Aseo", "quantity": 1, "unit_price": 90_000}],
    }
    return made | other


def save(tupana: Runner, *schedules: dict[str, Any]) -> None:
    text = json.dumps(schedules)
    (tupana.folder / "schedules.json").write_text(text, encoding="utf-8")


CREATE = ("scheduled", "create", "--from", "schedules.json")


def test_a_schedule_takes_a_name_and_then_is_in_the_warehouse(served: Runner) -> None:
    save(served, schedule(served, "contract:1"))
    refused = served.inside(*CREATE)
    assert refused.code == 2
    assert "weekly on Friday" in refused.out
    assert "--by NAME" in " ".join(refused.err.split())
    done = served.inside(*CREATE, "--by", "Ana Rojas")
    assert done.code == 0, done.out + done.err
    assert "VERIFIED" in done.out
    again = served.inside(*CREATE, "--json")
    (row,) = again.json["rows"]
    assert (again.code, row["state"], row["total"]) == (0, "VERIFIED", "107100")
    assert served.inside("sync").code == 0
    sql = "SELECT id FROM raw.scheduled_documents WHERE receiver_rut = '76192083-9'"
    assert served.inside("query", sql, "--json").json["rows"] == [[row["schedule_id"]]]
    assert row["schedule_id"] in served.inside("scheduled").out
    assert "33 schedule" in served.inside("outbox", "status", "--all").out


def test_a_row_that_is_not_valid_stops_all(served: Runner) -> None:
    save(
        served,
        schedule(served, "contract:2", day_of_week=6),
        schedule(served, "contract:3", day_of_week=9),
    )
    done = served.inside(*CREATE, "--by", "Ana Rojas")
    assert done.code == 1
    assert "BLOCKED  contract:3" in done.out
    assert "Nothing was sent" in done.out
    told = served.inside(*CREATE, "--by", "Ana Rojas", "--json")
    assert {r["row_key"]: r["state"] for r in told.json["rows"]} == {
        "contract:2": "PLANNED",
        "contract:3": "BLOCKED",
    }
