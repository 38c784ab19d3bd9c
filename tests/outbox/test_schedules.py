"""Schedules against the sandbox over real HTTP: at most one for a row, whatever breaks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tupana_etl.domain import today, utcnow
from tupana_etl.errors import ConfigError
from tupana_etl.outbox import schedule_plan, schedule_source
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.plan import Plan
from tupana_etl.outbox.states import SCHEDULE, State

from .till import Till, fault, open_till

RECEIVER = "76192083-9"
TOMORROW = (today() + timedelta(days=1)).isoformat()


@pytest.fixture(scope="module")
def served() -> Iterator[Till]:
    with open_till(synced=False) as opened:
        yield opened


@pytest.fixture
def till(served: Till) -> Till:
    served.reset()
    return served


def wanted(till: Till, row_key: str = "contract:1", **other: Any) -> dict[str, Any]:
    made = {
        "row_key": row_key,
        "issuer_rut": till.desk.issuers[0],
        "dte_type": "33",
        "receiver_rut": RECEIVER,
        "frequency": "monthly",
        "day_of_month": 10,
        "start_date": TOMORROW,
        "details": [{"item_name": "Mantención", "quantity": 1, "unit_price": 150_000}],
    }
    return {name: value for name, value in (made | other).items() if value is not None}


def ready(till: Till, *rows: dict[str, Any]) -> Plan:
    made = till.plan_schedules(*(rows or (wanted(till),)))
    till.approve(made)
    return made


def there(till: Till) -> list[dict[str, Any]]:
    """Schedules for the receiver that nobody else has: the oracle."""
    table = till.desk.api.get("/_admin/truth/scheduled_documents").json()
    rows = table["rows"] if isinstance(table, dict) else table
    return [row for row in rows if row["receiver_rut"] == RECEIVER]


def lose(till: Till, kind: str, argument: Any = None) -> None:
    till.desk.lever("/faults", faults=[fault(kind, argument, "/scheduled-documents")])


def codes(made: Plan) -> dict[str, str]:
    return {row.draft.row_key: row.reason_code for row in made.rows}


def test_a_schedule_is_approved_by_a_person_made_once_and_read_back(till: Till) -> None:
    made = till.plan_schedules(wanted(till), wanted(till, "contract:2", day_of_month=31))
    assert "named person" in made.over_caps
    assert made.rows[0].draft.total == 178_500
    assert (till.send().requests, there(till)) == (0, []), "no sandbox approves a standing order"
    till.approve(made)
    result = till.send(only=SCHEDULE)
    assert result.counts == {State.VERIFIED: 2}, result.notices
    assert {row["id"] for row in there(till)} == {row.document_id for row in result.rows}
    again = till.plan_schedules(wanted(till), wanted(till, "contract:2", day_of_month=31))
    assert {row.state for row in again.rows} == {State.VERIFIED}
    assert till.send(only=SCHEDULE).requests == 0
    changed = till.plan_schedules(wanted(till, day_of_month=11))
    assert codes(changed)["contract:1"] == "conflict"


def test_nothing_else_is_sent_with_it(till: Till) -> None:
    till.desk.approve(till.home, "invoice:1")
    ready(till)
    assert till.send(only=SCHEDULE).counts == {State.VERIFIED: 1}
    assert till.states()["invoice:1"] is State.READY
    assert till.desk.issued() == {}


def test_the_first_day_passes_and_what_was_made_stays(till: Till) -> None:
    ready(till)
    till.send()
    later = till.plan_schedules(wanted(till), clock=lambda: utcnow() + timedelta(days=30))
    assert later.rows[0].state == State.VERIFIED


def test_one_that_is_there_already_is_adopted(till: Till) -> None:
    ready(till)
    till.send()
    number = there(till)[0]["id"]
    for name in ("ledger.sqlite", "ledger.witness", "ledger.pepper"):
        (till.home / name).unlink()  # another home, or made by hand before
    ready(till)
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 0)
    assert (result.rows[0].flags, result.rows[0].document_id) == ("adopted", number)
    assert len(there(till)) == 1


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("lost", None), ("lost", "reset"), ("done_status", 502), ("html", None), ("reset_body", None)],
)
def test_a_lost_answer_is_found_in_the_list(till: Till, kind: str, argument: Any) -> None:
    ready(till)
    lose(till, kind, argument)
    result = till.send()
    assert (result.counts, result.requests) == ({State.VERIFIED: 1}, 1), result.notices
    assert len(there(till)) == 1


@pytest.mark.parametrize(("kind", "argument"), [("reset", None), ("status", 504)])
def test_a_lost_schedule_takes_two_people(till: Till, kind: str, argument: Any) -> None:
    ready(till)
    lose(till, kind, argument)
    result = till.send()
    assert (result.counts, result.requests) == ({State.QUARANTINED: 1}, 1)
    assert till.send().requests == 0
    with pytest.raises(ConfigError, match="may still happen"):
        till.resolve("contract:1", "release", also_by="Berta")
    with pytest.raises(ConfigError, match="nothing to"):
        till.resolve("contract:1", "adopt", document="701")
    tomorrow: dict[str, Any] = {"clock": lambda: utcnow() + timedelta(hours=25)}
    till.send(**tomorrow)
    for second in ("", " ANA"):
        with pytest.raises(ConfigError, match="Making a schedule once more takes two people"):
            till.resolve("contract:1", "release", also_by=second, **tomorrow)
    assert there(till) == []
    released = till.resolve("contract:1", "release", also_by="Berta", **tomorrow)
    assert released.state is State.READY
    assert till.send(**tomorrow).counts == {State.VERIFIED: 1}
    assert len(there(till)) == 1


def test_a_late_one_is_adopted_by_a_person(till: Till) -> None:
    ready(till)
    lose(till, "reset")
    till.send()
    companies = [e for c in till.desk.api.get("/credentials").json() for e in c["master_entities"]]
    issuer = till.desk.issuers[0]
    body = {
        "sender": next(e["id"] for e in companies if e["tax_id"].replace(".", "") == issuer),
        "dte_type": "33",
        "receiver_tax_id": RECEIVER,
        **{n: wanted(till)[n] for n in ("frequency", "day_of_month", "start_date", "details")},
    }
    number = str(till.desk.api.post("/scheduled-documents", json=body).json()["id"])
    told = till.send()
    assert told.counts == {State.QUARANTINED: 1}
    assert f"schedule {number}" in told.notices[0]
    assert till.resolve("contract:1", "adopt", document=number).document_id == number
    assert till.states() == {"contract:1": State.VERIFIED}


@pytest.mark.parametrize(("kind", "argument"), [("429", 0), ("503", None)])
def test_what_was_not_processed_is_sent_again(till: Till, kind: str, argument: Any) -> None:
    ready(till)
    lose(till, kind, argument)
    assert till.send().counts == {State.VERIFIED: 1}
    assert len(there(till)) == 1


@pytest.mark.parametrize("failpoint", ["attempt.after", "post.answered", "result.before"])
def test_killed_anywhere_it_is_made_at_most_once(till: Till, failpoint: str) -> None:
    ready(till)
    assert till.desk.send(till.home, failpoint) != 0
    till.send()
    made = len(there(till))
    assert made <= 1
    assert till.states()["contract:1"] is (State.VERIFIED if made else State.QUARANTINED)


def test_what_the_api_refuses_is_rejected(till: Till) -> None:
    ready(till)
    lose(till, "status", 422)
    assert till.send().counts == {State.REJECTED: 1}
    assert there(till) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"day_of_month": None}, "missing"),
        ({"day_of_month": 32}, "out_of_range"),
        ({"day_of_week": 1}, "not_for_type"),
        ({"frequency": "weekly", "day_of_month": None}, "missing"),
        ({"frequency": "hourly"}, "bad_value"),
        ({"start_date": "2020-01-01"}, "out_of_range"),
        ({"end_date": TOMORROW, "max_occurrences": 3}, "not_for_type"),
        ({"end_date": "2020-01-01"}, "out_of_range"),
        ({"max_occurrences": 0}, "bad_value"),
        ({"currency_day": 5}, "not_for_type"),
        ({"dte_type": "61"}, "bad_value"),
        ({"receiver_rut": "76192083-1"}, "bad_rut"),
        ({"details": []}, "missing"),
        ({"details": [{"item_name": "x", "quantity": 1, "unit_price": 0}]}, "arithmetic"),
        ({"details": [{"item_name": "x", "quantity": 0, "unit_price": 1}]}, "out_of_range"),
        ({"details": [{"item_name": "x", "quantity": 1}]}, "missing"),
    ],
)
def test_what_is_wrong_is_blocked(till: Till, changes: dict[str, Any], code: str) -> None:
    made = till.plan_schedules(wanted(till, **changes))
    assert codes(made) == {"contract:1": code}, made.rows[0].reason


def test_the_same_schedule_twice_is_blocked(till: Till) -> None:
    made = till.plan_schedules(wanted(till), wanted(till, "contract:2"))
    assert set(codes(made).values()) == {"same_schedule"}
    ready(till)
    till.send()
    other = till.plan_schedules(wanted(till, "contract:9"))
    assert codes(other) == {"contract:9": "same_schedule"}
    assert "contract:1" in other.rows[0].reason


def test_a_schedule_that_left_its_source_does_not_stand_in_the_way(till: Till) -> None:
    till.plan_schedules(wanted(till))
    till.plan_schedules(wanted(till, "contract:2"))
    renamed = till.plan_schedules(wanted(till, "contract:2"))
    assert codes(renamed) == {"contract:2": ""}
    both = till.plan_schedules(wanted(till), wanted(till, "contract:2"))
    assert set(codes(both).values()) == {"same_schedule"}, "it came back, and is the same"


def test_csv_lines_make_one_schedule(till: Till) -> None:
    path = till.home / "schedules.csv"
    head = f"contract:5,{till.desk.issuers[0]},34,{RECEIVER},yearly,1,{TOMORROW},UF"
    columns = "row_key,issuer_rut,dte_type,receiver_rut,frequency,day_of_month,start_date,currency"
    path.write_text(
        f"{columns},line_number,item_name,quantity,unit_price\n"
        f"{head},1,Arriendo,1,12.50\n{head},2,Bodega,2,0.25\n",
        encoding="utf-8",
    )
    with open_ledger(till.home) as ledger:
        made = schedule_plan.make(ledger, schedule_source.read(str(path), till.settings.analytics))
    till.approve(made)
    assert till.send().counts == {State.VERIFIED: 1}
    (listed,) = there(till)
    assert (Decimal(listed["amount"]), listed["currency"]) == (Decimal(13), "UF")


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[1]", '[{"row_key": "a", "prize": 1}]'])
def test_a_file_that_is_no_list_of_schedules_is_refused(till: Till, text: str) -> None:
    path = till.home / "bad.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="Nothing was planned"):
        schedule_source.read(str(path), till.settings.analytics)
