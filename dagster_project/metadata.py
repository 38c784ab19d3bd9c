"""What the UI shows beside a table: its key, its columns, how much is in it, its first rows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import dagster as dg

from tupana_etl.columns import Column
from tupana_etl.pipeline import StreamResult
from tupana_etl.warehouse.database import Connection

PREVIEW_ROWS = 5
CELL = 28
"""Characters shown of a value."""

COUNTS = ("seen", "new", "changed", "deleted", "rejected", "requests", "requests_saved")


def asset_key(table: str) -> dg.AssetKey:
    """``raw.documents`` as Dagster names it: raw / documents."""
    return dg.AssetKey(table.split("."))


def column_schema(columns: Iterable[Column], key: Sequence[str] = ()) -> dg.TableSchema:
    """The declared columns, as the asset's page lists them."""
    in_key = dg.TableColumnConstraints(nullable=False, other=["key"])
    return dg.TableSchema(
        [
            dg.TableColumn(c.name, c.kind.duckdb, c.doc, in_key if c.name in key else None)
            for c in columns
        ]
    )


def found_schema(con: Connection, table: str, docs: Mapping[str, str]) -> dg.TableSchema:
    """The columns of a table that is there, with the descriptions of its SQL file."""
    kinds = column_kinds(con, table)
    return dg.TableSchema([dg.TableColumn(name, kinds[name], docs.get(name)) for name in kinds])


def column_lineage(origins: Mapping[str, Sequence[tuple[str, str]]]) -> dg.TableColumnLineage:
    """Column → the columns it is made of; the history of a table is that table."""
    return dg.TableColumnLineage(
        {
            column: [
                dg.TableColumnDep(asset_key(table.replace("history.", "raw.")), name)
                for table, name in found
            ]
            for column, found in origins.items()
        }
    )


def column_kinds(con: Connection, table: str) -> dict[str, str]:
    return {name: kind for name, kind, *_ in con.execute(f"DESCRIBE {table}").fetchall()}


def contents(con: Connection, table: str, columns: Sequence[str]) -> dict[str, Any]:
    """How many rows a table has, and a few of them to look at."""
    kinds = column_kinds(con, table)
    figures = [name for name in columns[4:] if kinds[name].startswith(("DECIMAL", "BIGINT"))]
    shown = [*columns[:4], *figures[:2]]  # what the row is, then what it amounts to
    names = ", ".join(f'"{name}"' for name in shown)
    counted = con.execute(f"SELECT count(*) FROM {table}").fetchone()
    rows = con.execute(f"SELECT {names} FROM {table} LIMIT {PREVIEW_ROWS}").fetchall()
    return {
        "dagster/row_count": int(counted[0]) if counted else 0,
        "preview": dg.MetadataValue.md(markdown(shown, rows)),
    }


def readable(columns: Iterable[Column]) -> list[str]:
    """Columns fit for a preview: no JSON, and no presigned URL, which opens the file."""
    return [c.name for c in columns if c.kind.duckdb != "JSON" and not c.volatile]


def figures(parts: Sequence[StreamResult]) -> dict[str, Any]:
    """What a reading did to one stream: numbers that plot over time, then by company."""
    rows = [[p.entity, *(getattr(p, n) for n in COUNTS), p.complete] for p in parts]
    return {
        **{name: sum(getattr(p, name) for p in parts) for name in COUNTS},
        "seconds": float(max((p.seconds for p in parts), default=0)),
        "complete_percent": complete_percent(parts),
        "by_company": dg.MetadataValue.md(markdown(["company", *COUNTS, "complete"], rows)),
    }


def complete_percent(parts: Sequence[StreamResult]) -> float:
    """Share of the windows that were read whole: 100 or somebody must look."""
    windows = sum(p.windows for p in parts)
    whole = windows - sum(len(p.reasons) for p in parts)
    return round(100.0 * whole / windows, 2) if windows else 100.0


def markdown(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A markdown table; Dagster takes neither Decimal nor date in tables of its own."""
    rows = list(rows)
    figures = [any(isinstance(row[i], int | Decimal) for row in rows) for i in range(len(columns))]
    edge = ["---:" if figure else "---" for figure in figures]
    lines = [columns, edge, *([plain(v) for v in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(value: Any) -> str:
    """A value as text that cannot break out of its cell."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case int():
            text = f"{value:,}"
        case Decimal():
            text = f"{value:,.4f}".rstrip("0").rstrip(".")
        case datetime():
            text = f"{value:%Y-%m-%d %H:%M}"
        case _:
            text = " ".join(str(value).split())
    shown = text if len(text) <= CELL else text[: CELL - 1] + "…"
    return shown.replace("|", "\\|")
