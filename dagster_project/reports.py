"""One asset per report for finance people: an HTML page of the published figures."""

from typing import Any

import dagster as dg

from dagster_project import freshness
from dagster_project.marts import PUBLISHED
from dagster_project.metadata import asset_key
from dagster_project.resources import TupanaResource, told
from tupana_etl import reports

GROUP = "reports"


def report(kind: str) -> dg.AssetsDefinition:
    title = reports.KINDS[kind]

    @dg.asset(
        key=asset_key(f"{GROUP}.{kind}"),
        deps=[PUBLISHED],
        description=f"{title}, of all companies, as a page in Spanish that needs nothing but a "
        f"browser: the same as `tupana report {kind}`. One file a day, in exports/ of the home.",
        group_name=GROUP,
        kinds={"html"},
        freshness_policy=freshness.REPORTS,
    )
    def page(tupana: TupanaResource) -> dg.MaterializeResult[Any]:
        settings = tupana.settings()
        with told():
            built = reports.build(kind, settings)
            path = reports.write(built, settings)
        figures = {n: float(v) for n, v in built.figures.items() if isinstance(v, int)}
        return dg.MaterializeResult(
            metadata={
                **figures,  # floats: Dagster plots whole numbers only up to 2³¹
                "as_of": built.as_of.isoformat(),
                "complete": built.complete,
                "file": dg.MetadataValue.path(path),
            }
        )

    return page


REPORTS = [report(kind) for kind in reports.KINDS]
