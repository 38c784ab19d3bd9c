"""How many days of sales are waiting to be paid, month by month."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tupana_etl.reports import charts
from tupana_etl.reports.blocks import Block, Cell, Chart, Prose, Section, Table
from tupana_etl.reports.charts import Scale
from tupana_etl.reports.source import Source
from tupana_etl.reports.spanish import day, month, number, pesos, rut_text

MONTHS = 24

TITLE = "Días de venta por cobrar (DSO)"


def dso(source: Source) -> Section:
    """marts.dso_monthly up to the day, for one company or each."""
    rows = source.rows(f"""
        SELECT * FROM marts.dso_monthly
        WHERE month_end <= DATE '{source.as_of}'
            AND (getvariable('company') IS NULL OR company_rut = getvariable('company'))
        ORDER BY month, company_rut
    """)
    if not rows:
        return Section("dso", TITLE, [Prose("No hay meses con ventas a crédito.")])
    last = max(r.month_end for r in rows)
    blocks: list[Block] = [
        Prose(
            "Cuántos días de ventas a crédito, con IVA, están sin cobrar. El simple compara el "
            "saldo con las ventas del mes y salta con la temporada; el de agotamiento cuenta "
            "cuántos días de las últimas ventas suman el saldo. Donde no consta cuándo se pagó "
            "algo, el saldo de entonces es un mínimo y no se calculan días. Incluye lo "
            "extranjero, al tipo de cambio de cada documento."
            + (
                f" El último mes cerrado al {day(source.as_of)} es el que termina el {day(last)}."
                if last < source.as_of
                else ""
            )
        ),
        _months(rows),
    ]
    known = [r for r in rows if r.dso_count_back is not None or r.dso_simple is not None]
    companies = {r.company_rut for r in rows}
    if len(companies) == 1 and len({r.month for r in known}) > 1:
        blocks.append(_days(rows))
    blocks.append(_table(source, rows))
    return Section("dso", TITLE, blocks)


def _months(rows: list[Any]) -> Chart:
    days = sorted({r.month for r in rows})[-MONTHS:]
    by_month = [[r for r in rows if r.month == m] for m in days]
    sales = [sum(r.credit_sales_clp for r in some) for some in by_month]
    balances = [sum(r.receivables_clp for r in some) for some in by_month]
    bounds = [any(r.unknown_clp for r in some) for some in by_month]
    scale = Scale.of(max(*sales, *balances, 0))
    return Chart(
        f"Por cobrar al {day(max(r.month_end for r in rows))}: {pesos(balances[-1])}",
        f"Ventas a crédito y saldo por mes, en {scale.name}",
        f"Columnas con las ventas a crédito de {len(days)} meses y línea con el saldo por "
        f"cobrar al cierre de cada uno; el último es {pesos(balances[-1])}.",
        lambda axes, narrow: charts.months(
            axes,
            days,
            sales=sales,
            balances=balances,
            bounds=bounds,
            scale=scale,
            narrow=narrow,
        ),
        (3.4, 3.9),
    )


def _days(rows: list[Any]) -> Chart:
    some = rows[-MONTHS:]
    days = [r.month for r in some]
    series = [
        ("De agotamiento", "#0072B2", [r.dso_count_back for r in some]),
        ("Simple, de tres meses", "#D55E00", [r.dso_3_months for r in some]),
    ]
    return Chart(
        "Días de venta por cobrar",
        "Al cierre de cada mes",
        "Líneas con los días de venta por cobrar: "
        + "; ".join(f"{month(r.month)}, {_figure(r.dso_count_back)}" for r in some)
        + ".",
        lambda axes, narrow: charts.lines(axes, days, series, narrow=narrow),
    )


def _table(source: Source, rows: list[Any]) -> Table:
    last = {r.company_rut: r for r in rows}
    return Table(
        "Días de venta por cobrar en el último mes",
        [
            "Empresa",
            ">Cifras al",
            ">Ventas a crédito",
            ">Por cobrar",
            ">DSO simple",
            ">DSO de tres meses",
            ">DSO de agotamiento",
        ],
        [
            (
                Cell(source.names.get(rut, rut), rut_text(rut)),
                day(r.month_end),
                pesos(r.credit_sales_clp),
                pesos(r.receivables_clp) + (" o más" if r.unknown_clp else ""),
                _figure(r.dso_simple),
                _figure(r.dso_3_months),
                _figure(r.dso_count_back),
            )
            for rut, r in sorted(last.items(), key=lambda pair: -pair[1].receivables_clp)
        ],
    )


def _figure(value: Decimal | None) -> str:
    return "no se sabe" if value is None else f"{number(value, 1)} días"
