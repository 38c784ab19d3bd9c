"""One asset per stream of the API, derived from its declaration; one reading feeds them all."""

import time
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import dagster as dg
from pydantic import Field

from dagster_project import freshness, source_code
from dagster_project.checks import reading_results, reading_specs
from dagster_project.metadata import (
    asset_key,
    column_schema,
    contents,
    figures,
    markdown,
    readable,
)
from dagster_project.resources import WRITER_POOL, TupanaResource, origin, told
from tupana_etl import pipeline
from tupana_etl.extract.preview import Ahead
from tupana_etl.settings import parse_date
from tupana_etl.streams import STREAMS, Stream
from tupana_etl.warehouse.tables import SERVICE_COLUMNS

Outcome = dg.MaterializeResult[Any] | dg.AssetCheckResult


class SyncConfig(dg.Config):
    """What to read. As it stands: everything that is due."""

    entity: str = Field(default="", description="One company, by RUT or id. Empty: all of them.")
    since: str = Field(
        default="",
        description="Oldest issue date to read, YYYY-MM-DD; it only ever moves back. "
        "Empty: as at the first sync (TUPANA_START_DATE, or 24 months before it).",
    )
    full: bool = Field(
        default=False,
        description="Read everything again now, also what no sync is due to look at.",
    )
    dry_run: bool = Field(
        default=False,
        description="Only ask how much there is to read, and write nothing. The answer is in "
        "the run's log and on each stream's page; the models are left as they are.",
    )


def asset_spec(stream: Stream) -> dg.AssetSpec:
    columns = [*stream.columns, *SERVICE_COLUMNS]
    return dg.AssetSpec(
        asset_key(f"raw.{stream.name}"),
        deps=[asset_key(f"raw.{stream.parent}")] if stream.is_child else [],
        description=f"{stream.doc}\n\n{origin()}",
        group_name="raw",
        kinds={"parquet", "duckdb"},
        tags={"api_contract": stream.since},
        freshness_policy=freshness.STREAM[stream.name],
        metadata={
            **source_code.of_stream(stream),
            "dagster/table_name": f"raw.{stream.name}",
            "dagster/column_schema": column_schema(columns, stream.key),
            "comes_from": f"GET {stream.path}" if stream.path else f"raw.{stream.parent}",
        },
    )


@dg.multi_asset(
    specs=[asset_spec(stream) for stream in STREAMS.values()],
    check_specs=[check for stream in STREAMS.values() for check in reading_specs(stream)],
    can_subset=True,
    pool=WRITER_POOL,
)
def sync(
    context: dg.AssetExecutionContext, config: SyncConfig, tupana: TupanaResource
) -> Iterator[Outcome]:
    """Reads the selected streams into the lake and the warehouse, as one `tupana sync` would.

    One reading for all that is selected: they share the home, the connections, the look at
    the companies and at the contract; documents bring their lines and events along.
    """
    wanted = {*context.selected_asset_keys, *context.selected_asset_check_keys}
    chosen = [s for s in STREAMS.values() if wanted & {*products(s)}]
    names = [stream.name for stream in chosen]
    entity = config.entity or None
    with told(), tupana.api() as settings:
        since = parse_date(config.since, "since")
        if config.dry_run:  # nothing is materialized, so nothing that follows runs
            tell(context, pipeline.preview(settings, names, entity=entity, since=since))
            return
        result = pipeline.sync(
            settings,
            names,
            entity=entity,
            since=since,
            full=config.full,
            marts=False,  # the models are assets of their own
            on_rows=Progress(context.log),
        )
        with pipeline.at_rest(settings) as con:
            shown = {s: contents(con, f"raw.{s.name}", readable(s.columns)) for s in chosen}
    for name, fields in result.unknown_fields.items():
        context.log.warning(f"{name}: unknown fields, kept in _extra: {', '.join(fields)}")
    for stream in chosen:
        parts = [r for r in result.streams if r.stream == (stream.parent or stream.name)]
        # A child's rows come with its parent's: their requests are counted there.
        counted = {} if stream.is_child else figures(parts)
        metadata = {**counted, "sync_run": result.run_id, **shown[stream]}
        outcomes: list[Outcome] = [
            dg.MaterializeResult(asset_key=asset_key(f"raw.{stream.name}"), metadata=metadata),
            *reading_results(stream, result),
        ]
        pairs = zip(products(stream), outcomes, strict=True)
        yield from (outcome for product, outcome in pairs if product in wanted)


def tell(context: dg.AssetExecutionContext, ahead: list[Ahead]) -> None:
    """What a dry run found out: in the log, and as an observation of each stream."""
    columns = ["company", "rows at the API", "requests", "refused"]
    for name, found in groupby(ahead, lambda a: a.stream):
        parts = list(found)
        rows = [[a.entity, a.rows, a.requests, a.refused] for a in parts]
        requests = sum(a.requests for a in parts)
        announced = f"{sum(a.rows or 0 for a in parts):,} rows, " if parts[0].rows else ""
        context.log.info(f"Dry run: {name}: {announced}{requests:,} requests.")
        context.log_event(
            dg.AssetObservation(
                asset_key(f"raw.{name}"),
                description="Dry run: what a sync would read. Nothing was written.",
                metadata={"dry_run": dg.MetadataValue.md(markdown(columns, rows))},
            )
        )


def products(stream: Stream) -> list[dg.AssetKey | dg.AssetCheckKey]:
    """What the reading of a stream makes, each of which may be selected by itself."""
    return [asset_key(f"raw.{stream.name}"), *(check.key for check in reading_specs(stream))]


class Progress:
    """Says in the run's log how far a long reading is, now and then."""

    SECONDS = 10.0

    def __init__(self, log: dg.DagsterLogManager) -> None:
        self._log = log
        self._said = time.monotonic()
        self._rows: dict[str, tuple[int, int]] = {}

    def __call__(self, stream: str, found: int, read: int) -> None:
        before = self._rows.get(stream, (0, 0))
        self._rows[stream] = (before[0] + found, before[1] + read)
        if time.monotonic() - self._said >= self.SECONDS:
            self._said = time.monotonic()
            self._log.info("; ".join(f"{s}: {r:,} of {f:,}" for s, (f, r) in self._rows.items()))
