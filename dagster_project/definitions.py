"""Everything Dagster sees, as a table of contents."""

import dagster as dg

from dagster_project import automation, checks, marts, resources, streams

defs = dg.Definitions(
    assets=[streams.sync, marts.marts],  # one per stream; one per model, and the published file
    asset_checks=[checks.unique_keys],
    jobs=[automation.sync_all],
    schedules=[automation.incremental, automation.nightly],
    resources={"tupana": resources.TupanaResource()},
    # Steps share one DuckDB file: processes of their own would only wait for each other.
    executor=dg.in_process_executor,
)
