"""One asset per SQL model, derived from its file, and the file that people open."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from dagster_project import freshness, source_code
from dagster_project.automation import REBUILD
from dagster_project.charts import chart
from dagster_project.lineage import lineage
from dagster_project.metadata import asset_key, column_lineage, contents, found_schema
from dagster_project.resources import WRITER_POOL, TupanaResource, told
from tupana_etl import analysis, pipeline
from tupana_etl.settings import Settings
from tupana_etl.streams import STREAMS
from tupana_etl.warehouse.models import Model, ModelRun, find_models

NAMED = 4
"""Origins of a column named in its description."""

MODELS = {model.name: model for model in find_models()}
PUBLISHED = asset_key("published.analytics")
TABLES = {*MODELS, *(f"raw.{name}" for name in STREAMS)}
"""Tables that are assets; bookkeeping and facts of law are not."""


def upstream(model: Model) -> set[str]:
    """Tables the model reads; the history of a table is that table."""
    return {d.replace("history.", "raw.") for d in model.depends_on} & TABLES


def group(model: Model) -> str:
    """The schema; models about quality apart, since they look back at the marts."""
    looks_back = model.schema == "staging" and any(d.startswith("marts.") for d in upstream(model))
    about = "quality" in model.name or model.name == "marts.source_freshness"
    return "quality" if looks_back or about else model.schema


def asset_spec(model: Model) -> dg.AssetSpec:
    columns = [dg.TableColumn(name, "", doc) for name, doc in model.columns.items()]
    return dg.AssetSpec(
        asset_key(model.name),
        deps=[asset_key(table) for table in sorted(upstream(model))],
        description=model.description,
        group_name=group(model),
        kinds={"sql", "duckdb"},
        # Figures of a day change without new rows: they are of the day of the last rebuild.
        tags={"as_of": "today"} if "as_of" in model.columns else {},
        code_version=hashlib.sha256(model.sql.encode()).hexdigest()[:8],
        freshness_policy=freshness.TABLES,
        automation_condition=REBUILD,
        metadata={
            **source_code.of_model(model),
            "dagster/table_name": model.name,
            # Types are the result's: known once the model has run.
            "dagster/column_schema": dg.TableSchema(columns),
            "sql": dg.MetadataValue.md(f"```sql\n{model.sql}\n```"),
        },
    )


def published_spec() -> dg.AssetSpec:
    """The file holds every table; an arrow from those that no model reads is enough."""
    ends = TABLES - {table for model in MODELS.values() for table in upstream(model)}
    return dg.AssetSpec(
        PUBLISHED,
        deps=[asset_key(table) for table in sorted(ends)],
        description="analytics.duckdb: every table of one consistent run, swapped in by rename. "
        "Open it as you like: that never blocks a sync, and a sync never blocks you.",
        group_name="published",
        kinds={"duckdb", "file"},
        freshness_policy=freshness.TABLES,
        automation_condition=REBUILD,
    )


@dg.multi_asset(
    specs=[*(asset_spec(model) for model in MODELS.values()), published_spec()],
    can_subset=True,
    pool=WRITER_POOL,
)
def marts(
    context: dg.AssetExecutionContext, tupana: TupanaResource
) -> Iterator[dg.MaterializeResult[Any]]:
    """Rebuilds every model in one transaction and publishes: readers never see two runs mixed.

    All of it whatever is selected; only what is selected is shown as materialized.
    """
    settings = tupana.settings()
    with told():
        # A file added since this code was loaded is run too, and an asset after a reload.
        runs = [run for run in pipeline.rebuild_marts(settings) if run.name in MODELS]
        results = [*model_results(settings, runs), published_result(settings)]
    yield from (r for r in results if r.asset_key in context.selected_asset_keys)


def model_results(settings: Settings, runs: list[ModelRun]) -> Iterator[dg.MaterializeResult[Any]]:
    made = lineage(settings.home)
    with analysis.connect(settings) as con:
        for run in runs:
            docs, made_of = MODELS[run.name].columns, made[run.name]
            told_of = {name: described(doc, made_of.get(name, [])) for name, doc in docs.items()}
            yield dg.MaterializeResult(
                asset_key=asset_key(run.name),
                metadata={
                    **chart(con, run.name),
                    **contents(con, run.name, list(docs)),
                    "seconds": round(run.seconds, 3),
                    "dagster/column_schema": found_schema(con, run.name, told_of),
                    "dagster/column_lineage": column_lineage(made_of),
                },
            )


def described(doc: str, made_of: Sequence[tuple[str, str]]) -> str:
    """A column and what it is made of: only Dagster's paid UI draws column lineage."""
    named = [f"{table}.{column}" for table, column in made_of[:NAMED]]
    named += ["…"] if len(made_of) > NAMED else []
    return f"{doc} ← {', '.join(named)}" if named else doc


def published_result(settings: Settings) -> dg.MaterializeResult[Any]:
    file = settings.analytics
    return dg.MaterializeResult(
        asset_key=PUBLISHED,
        metadata={
            "file": dg.MetadataValue.path(file),
            "megabytes": round(file.stat().st_size / 1e6, 1),
        },
    )
