"""What was ceded: who holds it and what the debtors still owe there."""

from __future__ import annotations

from typing import Any

from tupana_etl.reports import charts
from tupana_etl.reports.blocks import Block, Cell, Chart, Prose, Section, Table
from tupana_etl.reports.charts import Scale
from tupana_etl.reports.source import Source
from tupana_etl.reports.spanish import counted, day, money, number, percent, pesos, rut_text, short

STATES = {
    "outstanding": ("Vigente", "#5B8DB8"),
    "overdue": ("Vencido", "#CF5A28"),
    "claimed": ("Reclamado", "#7A1230"),
}

NONE = "No hay documentos cedidos pendientes de pago."

LARGEST = 10


def totals(source: Source) -> Any:
    """Ceded and not yet paid at the end of the day, as marts.factoring_portfolio counts it."""
    return source.row(f"""
        SELECT
            count(*) FILTER (ceded_amount > 0) AS documents,
            count(DISTINCT assignee_rut) FILTER (ceded_amount > 0) AS assignees,
            coalesce(sum(ceded_amount) FILTER (currency = 'CLP'), 0)::BIGINT AS outstanding,
            coalesce(sum(ceded_amount) FILTER ({_STATE} = 'overdue' AND currency = 'CLP'), 0)
                ::BIGINT AS overdue,
            coalesce(sum(ceded_amount) FILTER (is_claimed AND currency = 'CLP'), 0)
                ::BIGINT AS claimed,
            count(*) FILTER (coalesce(ceded_amount, 0) = 0) AS settled
        FROM items WHERE is_ceded
    """)


_STATE = """CASE WHEN is_claimed THEN 'claimed' WHEN days_overdue > 0 THEN 'overdue'
    ELSE 'outstanding' END"""
"""As in marts.factoring_portfolio, for what is not settled."""


def by_assignee(source: Source, t: Any) -> Section:
    """The portfolio by assignee and state."""
    title = "Cartera cedida por cesionario"
    rows = source.rows(f"""
        SELECT
            assignee_rut AS rut, any_value(assignee_name) AS name, currency,
            count(*) AS documents, sum(ceded_amount) AS outstanding,
            coalesce(sum(ceded_amount) FILTER ({_STATE} = 'outstanding'), 0) AS in_time,
            coalesce(sum(ceded_amount) FILTER ({_STATE} = 'overdue'), 0) AS overdue,
            coalesce(sum(ceded_amount) FILTER ({_STATE} = 'claimed'), 0) AS claimed,
            min(due_date) AS first_due, max(due_date) AS last_due
        FROM items WHERE is_ceded AND ceded_amount > 0
        GROUP BY assignee_rut, currency ORDER BY currency, outstanding DESC, rut
    """)
    if not rows:
        return Section("cartera", title, [Prose(NONE), *_settled(t)])
    blocks: list[Block] = [
        Prose(
            "Lo cedido ya no se nos debe a nosotros: el cliente debe pagar al cesionario. Si el "
            "contrato es con responsabilidad (lo habitual en Chile), lo que el cliente no pague "
            "puede volver como deuda nuestra; si la hay, lo dice el contrato y no estos datos."
        )
    ]
    local = [r for r in rows if r.currency == "CLP"]
    if local:
        blocks.append(_chart(local, t))
    blocks.append(
        Table(
            "Cedido y aún no pagado por el cliente",
            [
                "Cesionario",
                ">Documentos",
                ">Cedido y aún impago",
                ">De ello, vencido",
                ">De ello, reclamado",
                ">Vencimientos",
            ],
            [
                (
                    Cell(short(r.name), rut_text(r.rut)),
                    number(r.documents),
                    money(r.outstanding, r.currency),
                    money(r.overdue, r.currency),
                    money(r.claimed, r.currency),
                    f"{day(r.first_due)} a {day(r.last_due)}",
                )
                for r in rows
            ],
        )
    )
    return Section("cartera", title, [*blocks, *_settled(t)])


def _chart(rows: list[Any], t: Any) -> Chart:
    series = [
        (name, colour, [int(getattr(r, attribute)) for r in rows])
        for attribute, (name, colour) in zip(
            ("in_time", "overdue", "claimed"), STATES.values(), strict=True
        )
    ]
    names = [short(r.name) for r in rows]
    first = rows[0]
    scale = Scale.of(int(first.outstanding))
    late = percent(t.overdue + t.claimed, t.outstanding)
    return Chart(
        f"{short(first.name, 40)} tiene el {percent(first.outstanding, t.outstanding)}; "
        f"el {late} está vencido o reclamado",
        f"Cedido y aún impago, por cesionario, en {scale.name}",
        "Barras por cesionario: "
        + "; ".join(f"{short(r.name)}, {pesos(r.outstanding)}" for r in rows)
        + ".",
        lambda axes, narrow: charts.stacked(axes, names, series, scale, narrow=narrow),
        (1.3 + 0.4 * len(rows), 1.6 + 0.5 * len(rows)),
    )


def _settled(t: Any) -> list[Block]:
    if not t.settled:
        return []
    words = counted(t.settled, "documento cedido ya no tiene", "documentos cedidos ya no tienen")
    return [Prose(f"Además, {words} nada pendiente.")]


def by_debtor(source: Source) -> Section:
    """Who owes the assignees: where recourse would come from."""
    title = "Quiénes deben lo cedido"
    rows = source.rows(f"""
        SELECT
            any_value(counterparty_rut) AS rut,
            max_by(
                counterparty_name, (coalesce(date_issued, DATE '1900-01-01'), counterparty_name)
            ) AS name,
            count(*) AS documents, sum(ceded_amount)::BIGINT AS outstanding,
            coalesce(sum(ceded_amount) FILTER ({_STATE} <> 'outstanding'), 0)::BIGINT AS late,
            max(days_overdue) AS days
        FROM items WHERE is_ceded AND ceded_amount > 0 AND currency = 'CLP'
        GROUP BY customer ORDER BY outstanding DESC, rut
    """)
    if not rows:
        return Section("deudores", title, [Prose(NONE)])
    table = Table(
        "Deudores de lo cedido, en pesos",
        ["Deudor", ">Documentos", ">Cedido y aún impago", ">Vencido o reclamado", ">Mayor atraso"],
        [
            (
                Cell(short(r.name), rut_text(r.rut)),
                number(r.documents),
                pesos(r.outstanding),
                pesos(r.late),
                counted(r.days, "día", "días") if (r.days or 0) > 0 else "al día",
            )
            for r in rows[:LARGEST]
        ],
    )
    blocks: list[Block] = [table]
    if len(rows) > LARGEST:
        blocks.append(Prose(f"Se muestran los {LARGEST} mayores de {number(len(rows))}."))
    return Section("deudores", title, blocks)


def ceded(source: Source) -> Section:
    """The short form, for the receivables report."""
    whole = by_assignee(source, totals(source))
    return Section("cedidos", "Documentos cedidos", whole.blocks)
