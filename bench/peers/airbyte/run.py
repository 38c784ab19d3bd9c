"""Airbyte: a declarative manifest of its CDK, read by PyAirbyte into its DuckDB cache.

In process, which is the faster way. With a cursor it runs the CDK as a program instead: in
process PyAirbyte 0.71 hands no state over and reads everything again.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import airbyte as ab
from airbyte.caches import DuckDBCache

WORK = Path(os.environ["BENCH_WORK"])
BY_CURSOR = os.environ["BENCH_MODE"] == "cursor"

INTEGERS = ("id", "sender_id")
NUMBERS = ("amount_with_iva", "amount_without_iva", "amount_iva")
FLAGS = ("is_paid", "has_credit_note", "vat_withheld", "has_trace")
TEXTS = (
    *("folio", "dte_type_code", "currency", "sender_tax_id", "receiver_id", "receiver_tax_id"),
    *("sender_name", "receiver_name", "dte_type_description", "state", "date_issued"),
)
TIMES = ("created_at", "updated_at")
OBJECTS = ("header", "document_total", "latest_trace_info", "book_metadata", "json_param")
LISTS = ("details", "references", "document_states", "traces")


def schema() -> dict[str, Any]:
    kinds = {
        "integer": INTEGERS,
        "number": NUMBERS,
        "boolean": FLAGS,
        "string": TEXTS,
        "object": OBJECTS,
        "array": LISTS,
    }
    properties: dict[str, Any] = {
        name: {"type": ["null", kind]} for kind, names in kinds.items() for name in names
    }
    for name in TIMES:
        properties[name] = {"type": ["null", "string"], "format": "date-time"}
    return {"$schema": "http://json-schema.org/schema#", "type": "object", "properties": properties}


def manifest() -> dict[str, Any]:
    def option(name: str) -> dict[str, str]:
        return {"type": "RequestOption", "inject_into": "request_parameter", "field_name": name}

    key = {"type": "RequestOption", "inject_into": "header", "field_name": "Authorization"}
    requester = {
        "type": "HttpRequester",
        "url_base": os.environ["BENCH_URL"] + "/v1",
        "path": "/documents",
        "http_method": "GET",
        "authenticator": {
            "type": "ApiKeyAuthenticator",
            "api_token": "Api-Key bench-key",
            "inject_into": key,
        },
        "request_parameters": {
            "master_entity_id": "2205607",
            "include_trace_events": "true",
            "include_book_metadata": "true",
        },
    }
    stream: dict[str, Any] = {
        "type": "DeclarativeStream",
        "name": "documents",
        "primary_key": ["id"],
        "retriever": {
            "type": "SimpleRetriever",
            "requester": requester,
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", "field_path": ["results"]},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "page_token_option": option("page"),
                "page_size_option": option("page_size"),
                "pagination_strategy": {
                    "type": "PageIncrement",
                    "page_size": 100,
                    "start_from_page": 1,
                },
            },
        },
        "schema_loader": {"type": "InlineSchemaLoader", "schema": schema()},
    }
    if BY_CURSOR:
        stream["incremental_sync"] = {
            "type": "DatetimeBasedCursor",
            "cursor_field": "created_at",
            "datetime_format": "%Y-%m-%dT%H:%M:%S.%fZ",
            "cursor_datetime_formats": ["%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%SZ"],
            "start_datetime": {"type": "MinMaxDatetime", "datetime": "2000-01-01T00:00:00.000000Z"},
            "is_data_feed": True,
        }
    return {
        "version": "6.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["documents"]},
        "streams": [stream],
        "spec": {"type": "Spec", "connection_specification": {"type": "object", "properties": {}}},
    }


def source() -> Any:
    if not BY_CURSOR:
        return ab.get_source("source-bench", config={}, source_manifest=manifest())
    program = Path(sys.executable).with_name("source-declarative-manifest")
    return ab.get_source(
        "source-bench",
        config={"__injected_declarative_manifest": manifest()},
        local_executable=program,
    )


def main() -> None:
    cache = DuckDBCache(db_path=WORK / "airbyte.duckdb", schema_name="bench")
    reader = source()
    reader.select_all_streams()
    reader.read(cache=cache)


if __name__ == "__main__":
    main()
