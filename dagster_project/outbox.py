"""Reverse ETL as jobs: plan, send, follow. Approving stays a person's act, on the command line.

Sending never retries by itself, whatever an instance's policy says, and is a dry run until
somebody says otherwise in the launchpad.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
from pydantic import Field

from dagster_project.resources import TupanaResource
from tupana_etl import pipeline
from tupana_etl.errors import TupanaError
from tupana_etl.outbox import planning, rows
from tupana_etl.outbox import purge as purging
from tupana_etl.outbox.ledger import exists, open_ledger
from tupana_etl.outbox.plan import Plan
from tupana_etl.outbox.planning import Kind
from tupana_etl.outbox.send import SendResult
from tupana_etl.outbox.states import State
from tupana_etl.settings import Settings

NEVER_AGAIN = {"dagster/max_retries": "0"}
"""Whatever the instance does with failed runs: a person looks before anything is sent again."""


class PlanConfig(dg.Config):
    """What to plan."""

    source: str = Field(
        default="",
        description="CSV, Parquet or .sql file, table or SELECT. Empty: the shipped queries of "
        "sql/outbox/, sql/outbox/payments/ or sql/outbox/cessions/.",
    )


class SendConfig(dg.Config):
    """How to send. As it stands: not at all."""

    dry_run: bool = Field(
        default=True,
        description="Only count what would be sent; asks nobody. Set it to false to send.",
    )
    wait: float = Field(
        default=120.0, description="Seconds to wait for results after the last batch."
    )


class PurgeConfig(dg.Config):
    """What to take out of the ledger, and in whose name. As it stands: nothing."""

    older_than: int = Field(
        description="Only rows at rest for more days than this. No term is assumed.",
    )
    by: str = Field(description="Who decides; it is kept with every row.")
    dry_run: bool = Field(
        default=True, description="Only count what would go. Set it to false to purge."
    )


@contextmanager
def told_once() -> Iterator[None]:
    """An error for people becomes the step's failure, and the step is never tried again."""
    try:
        yield
    except TupanaError as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def _plan_op(kind: Kind, becomes: str) -> dg.OpDefinition:
    @dg.op(
        name=f"plan_{kind}",
        description=f"Rows become {becomes}, or sentences. Asks nobody and sends nothing.",
    )
    def plan(context: dg.OpExecutionContext, config: PlanConfig, tupana: TupanaResource) -> None:
        with told_once():
            made = planning.make(tupana.settings(), kind, config.source or None)
        _tell_plan(context, made, kind)

    return plan


def _tell_plan(context: dg.OpExecutionContext, made: Plan, kind: Kind) -> None:
    counts = Counter(str(row.state) for row in made.rows)
    figures: dict[str, str | int] = {
        "plan_hash": made.plan_hash,
        "source": made.source,
        **counts,
    }
    context.add_output_metadata(figures)
    if any(row.will_be_sent for row in made.rows):
        context.log.info(f"Approve it with: tupana outbox approve {made.plan_hash} --by NAME")
    if not made.is_clean:
        reasons = Counter(row.reason_code for row in made.rows if row.reason_code)
        raise dg.Failure(
            "Rows are blocked or changed after they were sent; the others are planned. "
            f"`tupana outbox plan {kind}` names them. Reasons: {_listed(reasons)}.",
            metadata=figures,
            allow_retries=False,
        )


plan_documents = _plan_op("documents", "documents")
plan_payments = _plan_op("payments", "payments on documents that exist")
plan_cessions = _plan_op("cessions", "cessions of invoices")


@dg.op(
    description="Sends what a person approved, of every kind, and follows it until it is read "
    "back: the same as `tupana outbox send`. A dry run unless its config says otherwise."
)
def send_documents(
    context: dg.OpExecutionContext, config: SendConfig, tupana: TupanaResource
) -> None:
    if config.dry_run:
        context.add_output_metadata(waiting(tupana.settings()))
        context.log.info("Dry run: nothing was sent. Set dry_run to false to send.")
        return
    with told_once(), tupana.api() as settings:
        result = pipeline.issue(settings, wait=config.wait)
    _report(context, result)


@dg.op(
    description="Looks up what is in doubt, asks for results and reads documents back. Sends "
    "nothing, not even again."
)
def follow_documents(context: dg.OpExecutionContext, tupana: TupanaResource) -> None:
    with told_once(), tupana.api() as settings:
        result = pipeline.issue(settings, wait=0, follow_only=True)
    _report(context, result)


@dg.op(
    description="Takes names, RUTs and lines out of rows long at rest, for good: the same as "
    "`tupana outbox purge`. A dry run unless its config says otherwise."
)
def purge_content(
    context: dg.OpExecutionContext, config: PurgeConfig, tupana: TupanaResource
) -> None:
    home = tupana.settings().home
    if not exists(home):
        context.log.info("Nothing was ever planned here.")
        return
    with told_once():
        if config.dry_run:
            with open_ledger(home) as ledger:
                found = purging.preview(ledger, config.older_than)
        else:
            found = purging.purge(home, config.older_than, by=config.by)
    context.add_output_metadata(
        {
            "would_be_purged" if config.dry_run else "purged": len(found.purged),
            "kept_for_others": len(found.kept),
            "not_at_rest": sum(found.unfinished.values()),
        }
    )


def waiting(settings: Settings) -> dict[str, int]:
    """How many rows the next send would take, and how many wait for approval."""
    if not exists(settings.home):
        return {"would_be_sent": 0, "awaiting_approval": 0}
    with open_ledger(settings.home) as ledger:
        counts = rows.counts(ledger)
    ready = counts.get(State.READY, 0) + counts.get(State.BOUND, 0)
    return {"would_be_sent": ready, "awaiting_approval": counts.get(State.PLANNED, 0)}


def _report(context: dg.OpExecutionContext, result: SendResult) -> None:
    figures: dict[str, str | int] = {
        "environment": result.environment,
        "requests": result.requests,
        "awaiting_approval": result.awaiting_approval,
        **{str(state): n for state, n in result.counts.items()},
    }
    for notice in result.notices:
        context.log.warning(notice)
    if not result.complete:
        raise dg.Failure(
            f"Not every row is verified or decided about: {_listed(result.counts)}. "
            "`tupana outbox status` names them, `tupana outbox resolve` decides.",
            metadata=figures,
            allow_retries=False,
        )
    context.add_output_metadata(figures)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))


@dg.job(description="What would be issued and what is blocked.", tags=NEVER_AGAIN)
def outbox_plan() -> None:
    plan_documents()


@dg.job(
    description="What would be booked as paid, from rows or a bank statement.", tags=NEVER_AGAIN
)
def outbox_plan_payments() -> None:
    plan_payments()


@dg.job(
    description="Which invoices would be ceded to whom; always approved by name.",
    tags=NEVER_AGAIN,
)
def outbox_plan_cessions() -> None:
    plan_cessions()


@dg.job(
    description="Issues, books and cedes approved rows. A dry run until dry_run is false.",
    tags=NEVER_AGAIN,
)
def outbox_send() -> None:
    send_documents()


@dg.job(
    description="Reconciles and verifies: what was sent comes to its end, nothing is sent.",
    tags=NEVER_AGAIN,
)
def outbox_follow() -> None:
    follow_documents()


@dg.job(
    description="Purges content whose term is over. A dry run until dry_run is false.",
    tags=NEVER_AGAIN,
)
def outbox_purge() -> None:
    purge_content()


JOBS = [
    *(outbox_plan, outbox_plan_payments, outbox_plan_cessions),
    *(outbox_send, outbox_follow, outbox_purge),
]
