"""A tap as the Singer SDK's cookiecutter would have it: one REST stream, page numbers."""

from __future__ import annotations

import json
import os
from typing import Any

import requests
from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator
from singer_sdk.pagination import BasePageNumberPaginator
from singer_sdk.streams import RESTStream

NESTED = (
    *("header", "document_total", "details", "references", "document_states"),
    *("latest_trace_info", "traces", "book_metadata", "json_param"),
)
NUMBERS = ("amount_with_iva", "amount_without_iva", "amount_iva")
FLAGS = ("is_paid", "has_credit_note", "vat_withheld", "has_trace")
TEXTS = (
    *("folio", "dte_type_code", "currency", "sender_tax_id", "receiver_id", "receiver_tax_id"),
    *("sender_name", "receiver_name", "dte_type_description", "state", *NESTED),
)


class Pages(BasePageNumberPaginator):
    """Newest first: with a bookmark, the last page is the one that reaches it."""

    def __init__(self, bookmark: str | None) -> None:
        super().__init__(start_value=1)
        self._bookmark = bookmark or ""

    def has_more(self, response: requests.Response) -> bool:
        body = response.json()
        reached = body["results"] and body["results"][-1]["created_at"] <= self._bookmark
        return self.current_value < body["total_pages"] and not reached


class Documents(RESTStream[int]):
    name = "documents"
    path = "/documents"
    url_base = os.environ["BENCH_URL"] + "/v1"
    primary_keys = ("id",)
    replication_key = "created_at" if os.environ["BENCH_MODE"] == "cursor" else None
    records_jsonpath = "$.results[*]"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType, required=True),
        th.Property("date_issued", th.DateType),
        th.Property("created_at", th.DateTimeType),
        th.Property("updated_at", th.DateTimeType),
        th.Property("sender_id", th.IntegerType),
        *(th.Property(name, th.NumberType) for name in NUMBERS),
        *(th.Property(name, th.BooleanType) for name in FLAGS),
        *(th.Property(name, th.StringType) for name in TEXTS),
    ).to_dict()

    @property
    def authenticator(self) -> APIKeyAuthenticator:
        return APIKeyAuthenticator(key="Authorization", value="Api-Key bench-key")

    def get_new_paginator(self) -> Pages:
        return Pages(self.get_starting_replication_key_value(None))

    def get_url_params(self, context: Any, next_page_token: int | None) -> dict[str, Any]:
        return {
            "master_entity_id": "2205607",
            "include_trace_events": "true",
            "include_book_metadata": "true",
            "page_size": 100,
            "page": next_page_token or 1,
        }

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any]:
        for name in NESTED:
            row[name] = json.dumps(row.get(name), default=float)
        return row


class TapBench(Tap):
    name = "tap-bench"
    config_jsonschema = th.PropertiesList().to_dict()

    def discover_streams(self) -> list[Documents]:
        return [Documents(self)]


if __name__ == "__main__":
    TapBench.cli()
