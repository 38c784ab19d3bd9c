"""What the sandbox's tests share: the world they look at and how they read it."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from tupana_etl.sandbox.server import DEMO_KEY, World

TODAY = date(2026, 11, 20)
SMALL = World(documents=600, companies=3, months=14, seed=11, today=TODAY)
SHARED = Path(__file__).resolve().parents[2].parent / "shared"

Row = dict[str, Any]


def client(base: str, key: str = DEMO_KEY) -> httpx.Client:
    """A client whose paths are relative to ``base``."""
    return httpx.Client(base_url=base, headers={"Authorization": f"Api-Key {key}"}, timeout=30)


def shared(*parts: str) -> Path:
    """A path of the shared material, or a skip that says why."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not on this machine")
    return path


def get(api: httpx.Client, path: str, **params: object) -> Any:
    """The JSON of a GET that must answer 200."""
    answer = api.get(path, params={k: str(v) for k, v in params.items()})
    assert answer.status_code == 200, (path, params, answer.text)
    return answer.json()


def post(api: httpx.Client, path: str, **body: object) -> Any:
    answer = api.post(path, json=body)
    assert answer.status_code == 200, (path, body, answer.text)
    return answer.json()


def truth(api: httpx.Client, stream: str) -> list[Row]:
    rows: list[Row] = get(api, f"/_admin/truth/{stream}")["rows"]
    return rows


def companies(api: httpx.Client) -> list[int]:
    """Own companies, once each: a company may have several credentials."""
    return sorted({e["id"] for c in get(api, "/credentials") for e in c["master_entities"]})


def read_all(api: httpx.Client, path: str, **params: object) -> list[Row]:
    """Every row of a paged list, a hundred at a time."""
    rows: list[Row] = []
    number, pages = 1, 1
    while number <= pages:
        answer = get(api, path, page=number, page_size=100, **params)
        pages = answer["total_pages"]
        rows += answer["results"]
        number += 1
    return rows


def every_document(api: httpx.Client, **params: object) -> list[tuple[int, str, Row]]:
    """Company, side and row of every document that any own company sees."""
    return [
        (company, side, row)
        for company in companies(api)
        for side in ("issued", "received")
        for row in read_all(
            api, "/documents", master_entity_id=company, document_type=side, **params
        )
    ]
