"""How old an asset may be before the UI says so: the one place, derived from the streams."""

from datetime import timedelta

import dagster as dg

from tupana_etl.streams import STREAMS

WARN_AFTER, FAIL_AFTER = 1, 4
"""In spans of the stream's own declared freshness: once it is due, and when nobody came."""


def policy(span: timedelta) -> dg.FreshnessPolicy:
    """Yellow when the next sync is due, red when several have not come."""
    return dg.FreshnessPolicy.time_window(
        fail_window=span * FAIL_AFTER, warn_window=span * WARN_AFTER
    )


STREAM = {name: policy(stream.freshness) for name, stream in STREAMS.items()}
TABLES = policy(min(stream.freshness for stream in STREAMS.values()))
"""Models and files are as old as the newest thing they are made of."""
REPORTS = policy(timedelta(days=1))
"""Made by the nightly sweep."""
