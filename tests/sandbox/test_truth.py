"""The JSON an API client reads says what the world's own tables say: two roads, one answer."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tupana_etl.columns import Column, Kind
from tupana_etl.domain import canonical_rut
from tupana_etl.streams import STREAMS

from .helpers import Row, companies, every_document, get, read_all, truth


def dig(row: Any, path: str) -> Any:
    """The value at ``a.b`` or ``a.0.b``, None when the road ends."""
    for part in path.split("."):
        if isinstance(row, list):
            row = row[int(part)] if int(part) < len(row) else None
        elif isinstance(row, dict):
            row = row.get(part)
        else:
            return None
    return row


def canonical(value: Any, kind: Kind) -> Any:
    """A JSON value as truth writes it, numbers and times made comparable."""
    if value is None:
        return None
    if kind in {Kind.MONEY, Kind.QUANTITY}:
        return Decimal(str(value))
    if kind is Kind.TIME:
        return datetime.fromisoformat(value)
    if kind is Kind.RUT:
        return canonical_rut(value)
    return str(value) if kind is Kind.ID else value


def said(row: Row, column: Column) -> Any:
    """What an API row says of a column, under any of the names it may stand."""
    values = (dig(row, path) for path in (column.name, *column.sources))
    return canonical(next((v for v in values if v is not None), None), column.kind)


def compare(stream: str, expected: list[Row], rows: list[Row]) -> None:
    """Each column truth has, of each row, by the stream's key."""
    columns = STREAMS[stream].by_name
    key = [k for k in STREAMS[stream].key if k in expected[0]]
    found = {tuple(said(row, columns[k]) for k in key): row for row in rows}
    assert len(found) == len(rows) == len(expected)
    for row in expected:
        answer = found[tuple(canonical(row[k], columns[k].kind) for k in key)]
        for name, value in row.items():
            wanted = canonical(value, columns[name].kind)
            assert said(answer, columns[name]) == wanted, (stream, name, row)


@pytest.fixture(scope="module")
def rows(api: httpx.Client) -> list[Row]:
    """Every list row, with the company and side it was read for."""
    asked = {"include_trace_events": "true", "include_book_metadata": "true"}
    return [
        {"master_entity_id": company, "document_type": side, "document_id": row["id"], **row}
        for company, side, row in every_document(api, **asked)
    ]


def children(rows: list[Row], name: str) -> list[Row]:
    kept = ("master_entity_id", "document_type", "document_id")
    return [
        {**{k: row[k] for k in kept}, "position": position, **child}
        for row in rows
        for position, child in enumerate(row[name], 1)
    ]


def test_documents(api: httpx.Client, rows: list[Row]) -> None:
    compare("documents", truth(api, "documents"), rows)


def test_lines_and_references(api: httpx.Client, rows: list[Row]) -> None:
    compare("document_lines", truth(api, "document_lines"), children(rows, "details"))
    compare("document_references", truth(api, "document_references"), children(rows, "references"))


def test_states(api: httpx.Client, rows: list[Row]) -> None:
    events = [
        {**{k: row[k] for k in ("master_entity_id", "document_type", "document_id")}, **event}
        for row in rows
        for trace in row["traces"]
        for event in trace["events"]
    ]
    compare("document_states", truth(api, "document_states"), events)


def test_cessions(api: httpx.Client) -> None:
    found = [
        {"master_entity_id": company, "document_type": side, **row}
        for company in companies(api)
        for side in ("issued", "received")
        for row in read_all(api, "/cessions", master_entity_id=company, document_type=side)
    ]
    compare("cessions", truth(api, "cessions"), found)


def test_small_streams(api: httpx.Client) -> None:
    compare("credentials", truth(api, "credentials"), get(api, "/credentials"))
    compare("webhooks", truth(api, "webhooks"), get(api, "/webhooks"))
    entities = truth(api, "master_entities")
    told = [get(api, "/master-entities", rut=e["tax_id"]) for e in entities]
    compare("master_entities", entities, [{"master_entity_id": e["id"], **e} for e in told])
    planned = [
        {"master_entity_id": company, **row}
        for company in companies(api)
        for row in read_all(api, "/scheduled-documents", master_entity_id=company)
    ]
    compare("scheduled_documents", truth(api, "scheduled_documents"), planned)
    synced = []
    for company in companies(api):
        answer = get(api, "/sync-status", master_entity_id=company)
        synced += [{**answer, **kind} for kind in answer["types"]]
    compare("sync_status", truth(api, "sync_status"), synced)


def test_books(api: httpx.Client) -> None:
    expected = truth(api, "book_summaries")
    months = sorted({r["period"] for r in expected})
    found = [
        {"master_entity_id": company, **row}
        for company in companies(api)
        for month in months
        for row in get(api, "/book-summaries", master_entity_id=company, period=month)["results"]
    ]
    compare("book_summaries", expected, found)
