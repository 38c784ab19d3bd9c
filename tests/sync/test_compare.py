"""Two ways of asking whether the warehouse knows a row like this give one answer: the short
one for pages as they come, and the whole merge."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tupana_etl.arrow.decode import Decoder
from tupana_etl.lake.window import WindowWriter
from tupana_etl.streams import STREAMS, children
from tupana_etl.warehouse import compare, merge
from tupana_etl.warehouse.database import Connection, writer
from tupana_etl.warehouse.known import Known

WHERE = {"master_entity_id": "7", "document_type": "issued"}
THEN = datetime(2026, 11, 20, tzinfo=UTC)
STREAM = STREAMS["documents"]
TABLES = (STREAM.name, *(child.name for child in children(STREAM.name)))

LINES = st.lists(
    st.fixed_dictionaries(
        {"item_name": st.sampled_from("ab"), "quantity": st.sampled_from([1, "2.0", "mucho"])}
    ),
    max_size=2,
)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "event_code": st.sampled_from(["ACD", "RCD"]),
            "event_date": st.sampled_from(["2026-11-01T10:00:00", "2026-11-01T13:00:00Z"]),
            "responsable_rut": st.sampled_from([1, 2]),
        }
    ),
    max_size=2,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "amount_with_iva": st.sampled_from([100, 100.0, "100.00", 119, None]),
    "receiver_name": st.sampled_from(["Ana", "Ána", "", None]),
    "is_paid": st.sampled_from([True, False, None]),
    "date_issued": st.sampled_from(["2026-11-01", "2026-11-02", None]),
    "created_at": st.sampled_from(["2026-11-01T12:00:00Z", "2026-11-01T09:00:00-03:00"]),
    "pdf": st.sampled_from(["https://files.example/1", "https://files.example/2"]),
    "latest_trace_info": st.fixed_dictionaries(
        {"has_claims": st.booleans(), "is_more_than_eight_days": st.booleans()}
    ),
    "unheard_of": st.sampled_from([1, 2]),
    "details": LINES | st.none(),
    "traces": EVENTS.map(lambda events: [{"events": events}]) | st.none(),
}
ROW = st.fixed_dictionaries({}, optional=FIELDS)


def pages(rows: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """A listing: some of six documents, each once."""
    by_id = st.dictionaries(st.integers(1, 6), rows, max_size=6)
    return by_id.map(lambda found: [{"id": id_, **row} for id_, row in found.items()])


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    with writer(tmp_path_factory.mktemp("compared") / "warehouse.duckdb") as con:
        yield con


def held(rows: list[dict[str, Any]], hours: int) -> Mapping[str, pa.Table]:
    """A listing as a window holds it before it is compared."""
    window = WindowWriter(Path("nowhere"), "run", 1, STREAM)  # makes no file until it releases
    decoded = Decoder(STREAM).decode(json.dumps(rows).encode(), WHERE)
    window.hold(decoded, "run/1/1", THEN + timedelta(hours=hours))
    return window.held()


def take(con: Connection, tables: Mapping[str, pa.Table]) -> None:
    """Merges a listing, as one applies it."""

    def stage(name: str, table: pa.Table) -> None:
        con.register("came", table)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT *, 0::BIGINT AS _seq FROM came")
        con.unregister("came")

    stage("staged", tables[STREAM.name])
    all_new = merge.merge(con, STREAM)
    for child in children(STREAM.name):
        stage("staged_children", tables[child.name])
        merge.merge_children(con, STREAM, child, new_parents=all_new)


def differing(con: Connection, tables: Mapping[str, pa.Table], *, plain: bool) -> list[int]:
    with patch.object(compare, "is_plain", return_value=plain):
        return sorted(Known(con).differing(STREAM, tables).to_pylist())


@pytest.mark.parametrize("examples", [12, pytest.param(300, marks=pytest.mark.long)])
def test_the_short_question_and_the_whole_merge_agree(warehouse: Connection, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(st.lists(pages(ROW), min_size=1, max_size=2), pages(ROW))
    def agree(before: list[list[dict[str, Any]]], now: list[dict[str, Any]]) -> None:
        check(warehouse, before, now)

    agree()


@pytest.mark.parametrize("examples", [12, pytest.param(300, marks=pytest.mark.long)])
def test_what_is_all_new_is_written_as_if_it_had_been_compared(
    warehouse: Connection, examples: int
) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(pages(ROW))
    def agree(came: list[dict[str, Any]]) -> None:
        at_once = written(warehouse, came)
        with patch.object(merge, "_all_new", return_value=False):
            assert written(warehouse, came) == at_once

    agree()


def written(con: Connection, came: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """What an empty warehouse holds after a listing."""
    empty(con)
    take(con, held(came, 0))
    found = {name: con.execute(f"FROM history.{name}").fetchall() for name in TABLES}
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def empty(con: Connection) -> None:
    for name in TABLES:
        con.execute(f"DELETE FROM history.{name}")


def check(
    warehouse: Connection, before: list[list[dict[str, Any]]], now: list[dict[str, Any]]
) -> None:
    empty(warehouse)
    for hours, rows in enumerate(before):
        take(warehouse, held(rows, hours))
    arriving = held(now, len(before))
    rows = arriving[STREAM.name]
    assert compare.is_plain(STREAM, rows)
    differ = differing(warehouse, arriving, plain=True)
    assert differ == differing(warehouse, arriving, plain=False)

    known = {id_ for (id_,) in warehouse.execute("SELECT id FROM history.documents").fetchall()}
    ids = dict(zip(rows.column("_row").to_pylist(), rows.column("id").to_pylist(), strict=True))
    assert {row for row, id_ in ids.items() if id_ not in known} <= {*differ}
    counted = versions(warehouse)
    take(warehouse, arriving)
    assert (versions(warehouse) == counted) == (not differ)
    for plain in (True, False):
        assert differing(warehouse, arriving, plain=plain) == []


def versions(con: Connection) -> list[Any]:
    asked = ", ".join(
        f"(SELECT [count(*), count(valid_to)] FROM history.{name}) AS {name}" for name in TABLES
    )
    return con.execute(f"SELECT {asked}").fetchall()
