"""Asset checks. What is incomplete fails its check and is published; wrong data is not."""

from collections.abc import Iterator, Sequence

import dagster as dg

from dagster_project.metadata import asset_key
from dagster_project.resources import WRITER_POOL, TupanaResource, told
from tupana_etl.pipeline import StreamResult, at_rest
from tupana_etl.streams import STREAMS, Stream
from tupana_etl.warehouse.publish import doubled_key


def reading_specs(stream: Stream) -> list[dg.AssetCheckSpec]:
    """Checks that the reading itself answers. A child comes whole, or not, with its parent."""
    if stream.is_child:
        return []
    key = asset_key(f"raw.{stream.name}")
    whole = "Every company and period was read whole. If not, the next sync reads it again."
    taken = "Every row could be taken. If not, raw.rejects has its JSON and the reason."
    return [
        dg.AssetCheckSpec("complete", asset=key, description=whole),
        dg.AssetCheckSpec("no_rejects", asset=key, description=taken),
    ]


def reading_results(stream: Stream, parts: Sequence[StreamResult]) -> list[dg.AssetCheckResult]:
    """One verdict per check of :func:`reading_specs`, with its reasons."""
    if stream.is_child:
        return []
    key = asset_key(f"raw.{stream.name}")
    reasons = [f"{p.entity} {reason}".strip() for p in parts for reason in p.reasons]
    rejected = sum(p.rejected for p in parts)
    return [
        dg.AssetCheckResult(
            asset_key=key,
            check_name="complete",
            passed=all(p.complete for p in parts),
            description="; ".join(reasons[:10]) or None,
            metadata={"incomplete_windows": len(reasons)},
        ),
        dg.AssetCheckResult(
            asset_key=key,
            check_name="no_rejects",
            passed=rejected == 0,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"rejected": rejected},
        ),
    ]


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "unique_key",
            asset=asset_key(f"raw.{stream.name}"),
            blocking=True,  # wrong data: the models and the published file stay as they are
            description=f"No two current rows have the same {', '.join(stream.key)}.",
        )
        for stream in STREAMS.values()
    ],
    can_subset=True,
    pool=WRITER_POOL,
)
def unique_keys(
    context: dg.AssetCheckExecutionContext, tupana: TupanaResource
) -> Iterator[dg.AssetCheckResult]:
    """Counts in the warehouse, before anything is rebuilt or published."""
    with told(), at_rest(tupana.settings()) as con:
        doubled = {
            check: doubled_key(con, STREAMS[check.asset_key.path[-1]])
            for check in context.selected_asset_check_keys
        }
    for check, key in doubled.items():
        yield dg.AssetCheckResult(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=key is None,
            description=f"Twice: {key}" if key else None,
        )
