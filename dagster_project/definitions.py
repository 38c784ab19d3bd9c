"""Everything Dagster sees, as a table of contents."""

import dagster as dg

from dagster_project import (
    automation,
    checks,
    companies,
    inbox,
    marts,
    outbox,
    reports,
    resources,
    streams,
)

defs = dg.Definitions(
    # One per stream; one per model, and the published file; one per report.
    assets=[streams.sync, marts.marts, *reports.REPORTS],
    asset_checks=[checks.unique_keys, checks.findings],
    jobs=[*automation.JOBS, companies.backfill, *outbox.JOBS, inbox.drain_inbox],
    schedules=automation.SCHEDULES,
    sensors=[companies.new_companies, automation.rebuild_marts, inbox.webhook_events],
    # Every event is in the UI; the terminal of `make dev` is for what somebody should read.
    loggers={"console": dg.colored_console_logger.configured({"log_level": "INFO"})},
    resources={"tupana": resources.TupanaResource()},
    # Steps share one DuckDB file: processes of their own would only wait for each other.
    executor=dg.in_process_executor,
)
