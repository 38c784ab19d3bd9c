"""Answers whose texts were cut in the middle of a character are read all the same."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tupana_etl.api.body import json_of
from tupana_etl.api.pages import parse_page

from . import server as servers
from .conftest import MakeClient
from .server import Server

ANY = st.characters(codec=None, exclude_categories=())
HALVES = st.characters(categories=["Cs"])
BACKSLASHED = st.sampled_from(["\\ud83d", "\\\\ud83d", "\\u", "\\", '"'])


def shown(text: str) -> str:
    """What is left of a text, whole characters and U+FFFD: Python's own UTF-16 says which."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@given(st.lists(st.lists(ANY | HALVES | BACKSLASHED, max_size=8).map("".join), max_size=4))
@example(["cut \ud83d"])
@example(["\ud83d\ud83d\ude00", "\ude00\ud83d", "\ud83d\\ude00"])
def test_only_halves_of_characters_are_replaced(texts: list[str]) -> None:
    found = json_of(json.dumps(texts).encode())
    assert found is not None
    assert msgspec.json.decode(found) == [shown(text) for text in texts]


@given(st.text(st.characters(codec="utf-8")))
def test_whole_characters_stay_byte_for_byte(text: str) -> None:
    for body in (json.dumps([text]).encode(), json.dumps([text], ensure_ascii=False).encode()):
        assert json_of(body) is body


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", rb'["\ud83d"', rb'["\x"]', rb"\ud83d"])
def test_what_is_no_json_stays_none(body: bytes) -> None:
    assert json_of(body) is None


def test_a_page_with_half_a_character_is_a_page(server: Server, client_of: MakeClient) -> None:
    rows = [{"id": 1, "receiver_name": "Heladería 🍦"}, {"id": 2, "receiver_name": "Pan \ud83e"}]
    server.handle = servers.script(servers.json(json.dumps({"count": 2, "results": rows})))

    async def get() -> bytes:
        async with client_of(server.base_url) as client:
            return parse_page(await client.get("/documents"), 1).rows

    names = [row["receiver_name"] for row in msgspec.json.decode(asyncio.run(get()))]
    assert names == ["Heladería 🍦", "Pan �"]
