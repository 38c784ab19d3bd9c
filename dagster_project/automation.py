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


SYNCED = dg.AssetSelection.all() - dg.AssetSelection.groups("reports")
"""What `tupana sync` makes."""

sync_all = dg.define_asset_job(
    "sync_all",
    selection=SYNCED,
    config=config(),  # in full, so that the launchpad shows what can be changed
    description="API → lake → warehouse → marts → analytics.duckdb: the same as `tupana sync`.",
)
sync_full = dg.define_asset_job(
    "sync_full",
    selection=dg.AssetSelection.all(),
    config=config(full=True),
    description="The same, and everything is read again, whatever is due: every window of "
    "dates, every month of SII's books. Then the reports.",
)
JOBS = [sync_all, sync_full]


def schedule(name: str, cron: str, description: str, *, full: bool) -> dg.ScheduleDefinition:
    """Off until switched on. Leaves out its turn while a run that does as much goes on or
    waits, so that neither two schedules nor a slow day pile up runs."""
    job = sync_full if full else sync_all

    def turn(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        unfinished = context.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
        if {run.job_name for run in unfinished} & {job.name, sync_full.name}:
            return dg.SkipReason("A sync is still under way.")
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=ZONE,
        description=description,
        execution_fn=turn,
    )


SCHEDULES = [
    schedule(
        "incremental",
        "*/15 * * * *",
        "Every 15 minutes: what is due. Leaves out its turn while a sync is under way.",
        full=False,
    ),
    schedule(
        "nightly_sweep",
        "20 3 * * *",  # never in the hour that Santiago's clock change skips
        "Every night: everything again, so that nothing that changed late stays unseen, and "
        "the day's reports.",
        full=True,
    ),
    schedule(
        "monthly_close",
        "0 5 10 * *",
        "On the 10th: everything again, and last month against SII's books. The 8 days to "
        "claim the month's last invoice (Ley 19.983, art. 3) are over, and its F29 is due on "
        "the 12th, or the 20th.",
        full=True,
    ),
]

rebuild_marts = dg.AutomationConditionSensorDefinition(
    "rebuild_marts",
    target=dg.AssetSelection.groups("staging", "marts", "quality", "published"),
    description="Rebuilds the models and publishes when streams were read without them, "
    "for instance one stream by hand. A sync_all does both and is not followed by another.",
)
REBUILD = dg.AutomationCondition.eager()
"""When a model is due by itself: what it reads is newer, all there, and nothing is running."""
