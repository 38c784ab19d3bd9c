"""Tupana ETL: Chilean tax documents between Tu Pana and a warehouse, both ways.

    from tupana_etl import load_settings, sync, connect, frame

    result = sync(load_settings())                  # API → lake → warehouse → marts
    with connect() as con:                          # read-only DuckDB connection
        con.sql("FROM marts.receivables").show()
    df = frame("SELECT * FROM marts.receivables_aging")      # pandas, exact amounts
    for batch in batches("raw.documents"): ...      # Arrow, flat in memory

Settings come from the environment and ``.env`` (see ``.env.example``). Every error is a
:class:`TupanaError`; ``tupana_etl.errors`` shows the tree. Nothing is ever issued unless
a person plans, approves and sends it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tupana_etl.analysis import batches, connect, frame
    from tupana_etl.api.client import Client
    from tupana_etl.errors import TupanaError
    from tupana_etl.pipeline import SyncResult, issue, rebuild_marts, sync
    from tupana_etl.settings import Settings
    from tupana_etl.settings import load as load_settings
    from tupana_etl.streams import STREAMS, Stream

__all__ = [
    "STREAMS",
    "Client",
    "Settings",
    "Stream",
    "SyncResult",
    "TupanaError",
    "batches",
    "connect",
    "frame",
    "issue",
    "load_settings",
    "rebuild_marts",
    "sync",
]

_HOMES = {
    "STREAMS": "streams",
    "Client": "api.client",
    "Settings": "settings",
    "Stream": "streams",
    "SyncResult": "pipeline",
    "TupanaError": "errors",
    "batches": "analysis",
    "connect": "analysis",
    "frame": "analysis",
    "load_settings": "settings",
    "issue": "pipeline",
    "rebuild_marts": "pipeline",
    "sync": "pipeline",
}


def __getattr__(name: str) -> Any:
    # Importing everything up front would cost every command half a second.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    attribute = "load" if name == "load_settings" else name
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), attribute)
