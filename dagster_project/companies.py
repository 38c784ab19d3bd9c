"""The user's companies as partitions: for reading one of them whole, or all, one by one."""

import dagster as dg

from dagster_project.automation import SYNCED
from dagster_project.resources import TupanaResource
from dagster_project.streams import SyncConfig
from tupana_etl import analysis

companies = dg.DynamicPartitionsDefinition(name="company")
KNOWN = "SELECT DISTINCT company_rut FROM marts.companies ORDER BY company_rut"


def one_company(rut: str) -> dict[str, object]:
    """Run config of a partition: what a person would type for this company."""
    return {"ops": {"sync": {"config": {**SyncConfig(full=True).model_dump(), "entity": rut}}}}


backfill = dg.define_asset_job(
    "backfill_company",
    selection=SYNCED,
    config=dg.PartitionedConfig(companies, run_config_for_partition_key_fn=one_company),
    description="Reads everything of one company again, whatever is due. Its partitions are "
    "the companies; the sensor new_companies keeps them.",
)


@dg.sensor(
    minimum_interval_seconds=300,
    description="Makes a partition of every company that a sync has met, by RUT. Asks only "
    "the published file, never the API, and removes none: an expired credential hides a "
    "company without ending it.",
)
def new_companies(
    context: dg.SensorEvaluationContext, tupana: TupanaResource
) -> dg.SensorResult | dg.SkipReason:
    settings = tupana.settings()
    if not settings.analytics.exists():
        return dg.SkipReason("Nothing is published yet: run sync_all first.")
    with analysis.answer(KNOWN, settings) as found:
        met = {rut for (rut,) in found.rows}
    new = sorted(met - set(context.instance.get_dynamic_partitions("company")))
    if not new:
        return dg.SkipReason(f"All {len(met)} companies have their partition.")
    return dg.SensorResult(dynamic_partitions_requests=[companies.build_add_request(new)])
