"""What can be launched, and what starts by itself once it is switched on in the UI."""

import dagster as dg

from dagster_project.streams import SyncConfig

ZONE = "America/Santiago"

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def config(*, full: bool = False) -> dg.RunConfig:
    return dg.RunConfig(ops={"sync": SyncConfig(full=full)})


sync_all = dg.define_asset_job(
    "sync_all",
    selection=dg.AssetSelection.all(),
    config=config(),  # in full, so that the launchpad shows what can be changed
    description="API → lake → warehouse → marts → analytics.duckdb: the same as `tupana sync`.",
)


@dg.schedule(
    cron_schedule="*/15 * * * *",
    job=sync_all,
    execution_timezone=ZONE,
    description="Every 15 minutes: what is due. Leaves out its turn while a sync is under way.",
)
def incremental(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    running = context.instance.get_run_records(
        dg.RunsFilter(job_name=sync_all.name, statuses=UNFINISHED), limit=1
    )
    if running:
        return dg.SkipReason("A sync is still under way.")
    return dg.RunRequest()


nightly = dg.ScheduleDefinition(
    name="nightly",
    job=sync_all,
    cron_schedule="30 3 * * *",  # never in the hour that Santiago's clock change skips
    execution_timezone=ZONE,
    run_config=config(full=True),
    description="Every night: everything again, even what an interrupted run had read already.",
)
