"""Webhook events as runs: the sensor looks for kept events, the job reads what they name."""

import dagster as dg

from dagster_project.automation import UNFINISHED
from dagster_project.resources import WRITER_POOL, TupanaResource, told
from tupana_etl import pipeline
from tupana_etl.domain import utcnow
from tupana_etl.inbox.store import exists, open_inbox


@dg.op(
    pool=WRITER_POOL,
    description="Reads the documents that webhook events named, and publishes; asks for the "
    "results of batches they named. The same as `tupana webhooks drain`. Nothing pending costs "
    "nothing.",
)
def read_named_documents(context: dg.OpExecutionContext, tupana: TupanaResource) -> None:
    with told(), tupana.api() as settings:
        done = pipeline.drain(settings)
    for why in (*done.ignored.values(), *done.failed.values()):
        context.log.warning(why)
    context.add_output_metadata(
        {
            "documents_read": len(done.read),
            "batches_followed": len(done.followed),
            "events_settled": done.events,
            "ignored": len(done.ignored),
            "tried_again_later": len(done.failed),
        }
    )


@dg.job(description="Reads what kept webhook events name.")
def drain_inbox() -> None:
    read_named_documents()


@dg.sensor(
    job=drain_inbox,
    minimum_interval_seconds=30,
    description="Runs drain_inbox when a webhook event is due. Not needed where `tupana "
    "webhooks serve` drains by itself, and harmless beside it.",
)
def webhook_events(
    context: dg.SensorEvaluationContext, tupana: TupanaResource
) -> dg.RunRequest | dg.SkipReason:
    home = tupana.settings().home
    if not exists(home):
        return dg.SkipReason("No webhook event was ever received in this home.")
    unfinished = dg.RunsFilter(job_name=drain_inbox.name, statuses=UNFINISHED)
    if context.instance.get_runs(unfinished, limit=1):
        return dg.SkipReason("Events are being read.")
    with open_inbox(home) as inbox:
        due = len(inbox.due(utcnow()))
    return dg.RunRequest() if due else dg.SkipReason("No event is due.")
