"""Contracts of every stream, generated from the declarations: a new stream is tested as it is."""

from __future__ import annotations

from collections import Counter

import pytest

from tupana_etl.columns import Column, Kind
from tupana_etl.streams import DROPPED, STREAMS, Stream, children

KEYS = {
    "credentials": ("id",),
    "master_entities": ("id",),
    "documents": ("master_entity_id", "document_type", "id"),
    "document_lines": ("master_entity_id", "document_type", "document_id", "position"),
    "document_references": ("master_entity_id", "document_type", "document_id", "position"),
    "document_states": (
        *("master_entity_id", "document_type", "document_id"),
        *("event_code", "event_date"),
    ),
    "cessions": ("master_entity_id", "document_type", "id"),
    "scheduled_documents": ("id",),
    "webhooks": ("id",),
    "book_summaries": ("master_entity_id", "period", "operation", "dte_type_code"),
    "sync_status": ("master_entity_id", "scrape_type"),
}
"""The public tables and their keys (design: frozen). People join on them."""

SLICES = {"company", "direction", "window", "period"}
ADDED = {"_synced_at", "_detail_at", "_deleted_at", "_extra"}

every_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=lambda s: s.name)
every_column = pytest.mark.parametrize(
    ("stream", "column"),
    [(s, c) for s in STREAMS.values() for c in s.columns],
    ids=lambda x: x.name,
)


def test_the_public_tables_and_their_keys() -> None:
    assert {name: s.key for name, s in STREAMS.items()} == KEYS


@every_stream
def test_a_stream_is_named_described_and_keyed(stream: Stream) -> None:
    assert STREAMS[stream.name] is stream
    assert stream.name.isidentifier()
    assert stream.name == stream.name.lower()
    assert stream.doc.strip().endswith(".")
    assert stream.freshness.total_seconds() > 0
    assert set(stream.key) <= set(stream.by_name)
    assert len(set(stream.key)) == len(stream.key) > 0
    assert "master_entity_id" in stream.by_name, "the company a row was read for"


@every_stream
def test_columns_are_told_apart(stream: Stream) -> None:
    names = Counter(c.name for c in stream.columns)
    assert max(names.values()) == 1
    places = Counter(place for c in stream.columns for place in (c.name, *c.sources))
    assert [p for p, times in places.items() if times > 1] == [], "read into two columns"
    assert not ADDED & set(names), "those are ours, not the API's"
    assert not DROPPED & set(places), "never stored"


@every_column
def test_a_column_is_documented_and_typed(stream: Stream, column: Column) -> None:
    assert column.doc.strip().endswith((".", "…"))
    assert column.name == column.name.lower()
    assert column.name.isidentifier()
    assert column.kind.arrow is not None
    assert column.kind.duckdb
    assert all(source.strip(".") == source and source for source in column.sources)
    if column.name in stream.key:
        assert not column.volatile, "a key that does not count tells no versions apart"
    if column.volatile_keys:
        assert column.kind is Kind.JSON
        assert not column.volatile


@every_stream
def test_ids_and_codes_are_text_and_amounts_exact(stream: Stream) -> None:
    for column in stream.columns:
        if column.name == "id" or column.name.endswith(("_id", "_code", "folio", "period")):
            if column.name == "last_status_code":  # an HTTP status, counted with
                continue
            assert column.kind.duckdb == "VARCHAR", column.name
        if "amount" in column.name:
            assert column.kind is Kind.MONEY, column.name


@every_stream
def test_a_stream_is_either_asked_for_or_comes_with_its_parent(stream: Stream) -> None:
    if stream.is_child:
        parent = STREAMS[stream.parent]
        assert not parent.is_child
        assert stream in children(parent.name)
        assert stream.source
        assert not stream.path
        assert set(parent.key) - {"id"} <= set(stream.key)
        assert "document_id" in stream.key
    else:
        assert stream.path.startswith("/")
        assert not stream.path.endswith("/")
        assert not stream.source
    assert set(stream.slices) <= SLICES
    assert "{id}" in (stream.detail or "{id}")
    if "window" in stream.slices:
        assert stream.paged
    if "direction" in stream.slices:
        assert "document_type" in stream.key


def test_children_of_documents() -> None:
    assert {s.name for s in children("documents")} == {
        *("document_lines", "document_references", "document_states"),
    }
    assert children("cessions") == []
