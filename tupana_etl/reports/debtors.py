"""Who owes it: the largest debtors, how much hangs on few of them, credit left over."""

from __future__ import annotations

from typing import Any

from tupana_etl.reports import charts
from tupana_etl.reports.balances import BUCKETS, NOTHING
from tupana_etl.reports.blocks import Block, Cell, Chart, Prose, Section, Table
from tupana_etl.reports.charts import Scale
from tupana_etl.reports.source import Source
from tupana_etl.reports.spanish import counted, money, number, percent, pesos, rut_text, short

SHOWN = 10
"""Customers that are shown one by one."""


def customers(source: Source) -> list[Any]:
    """Every customer with an open balance that can be said in pesos, the largest first."""
    return source.rows("""
        SELECT
            customer,
            any_value(counterparty_rut) AS rut,
            -- The latest name, as in marts.receivables_aging.
            max_by(
                counterparty_name, (coalesce(date_issued, DATE '1900-01-01'), counterparty_name)
            ) AS name,
            count(*) AS documents,
            sum(open_balance_clp)::BIGINT AS balance,
            coalesce(sum(open_balance_clp) FILTER (bucket <> 'not_due'), 0)::BIGINT AS overdue,
            max(days_overdue) FILTER (bucket <> 'not_due') AS days
        FROM open_clp
        GROUP BY customer HAVING sum(open_balance_clp) > 0
        ORDER BY balance DESC, customer
    """)


def largest(source: Source, t: Any) -> Section:
    """Ageing by customer."""
    title = "Los mayores deudores"
    if not t.balance:
        return Section("deudores", title, [Prose(NOTHING)])
    everyone = customers(source)
    some, others = everyone[:SHOWN], everyone[SHOWN:]
    parts = {
        (r.customer, r.bucket): r.balance
        for r in source.rows("""
            SELECT customer, bucket, coalesce(sum(open_balance_clp), 0)::BIGINT AS balance
            FROM open_clp GROUP BY customer, bucket
        """)
    }
    series = [
        (name, colour, [parts.get((c.customer, key), 0) for c in some])
        for key, (name, colour) in BUCKETS.items()
    ]
    first = some[0]
    words = f"{short(first.name, 40)} debe el {percent(first.balance, t.balance)} del saldo"
    if others:
        together = sum(c.balance for c in some)
        words += f"; los {len(some)} mayores, el {percent(together, t.balance)}"
    scale = Scale.of(first.balance)
    names = [short(c.name) for c in some]
    chart = Chart(
        words,
        f"Saldo por cliente y días de atraso, en {scale.name}",
        "Barras por cliente: "
        + "; ".join(f"{short(c.name)}, {pesos(c.balance)}" for c in some)
        + ".",
        lambda axes, narrow: charts.stacked(axes, names, series, scale, narrow=narrow),
        (1.2 + 0.36 * len(some), 1.6 + 0.46 * len(some)),
    )
    return Section("deudores", title, [chart, _table(some, others, t)])


def _table(some: list[Any], others: list[Any], t: Any) -> Table:
    rows: list[tuple[Cell | str, ...]] = [
        (
            Cell(short(c.name), rut_text(c.rut)),
            number(c.documents),
            pesos(c.balance),
            percent(c.balance, t.balance),
            pesos(c.overdue),
            counted(c.days, "día", "días") if c.days else "al día",
        )
        for c in some
    ]
    if others:
        balance = sum(c.balance for c in others)
        rows.append(
            (
                f"Otros {counted(len(others), 'cliente', 'clientes')}",
                number(sum(c.documents for c in others)),
                pesos(balance),
                percent(balance, t.balance),
                pesos(sum(c.overdue for c in others)),
                "",
            )
        )
    return Table(
        "Clientes, del que más debe al que menos",
        ["Cliente", ">Documentos", ">Saldo", ">% del saldo", ">Vencido", ">Mayor atraso"],
        rows,
        (
            "Total",
            number(sum(c.documents for c in [*some, *others])),
            pesos(t.balance),
            "100,0 %",
            pesos(t.overdue),
            "",
        ),
    )


def concentration(source: Source, t: Any) -> Section:
    """How much of the balance hangs on few customers."""
    title = "Concentración por cliente"
    everyone = customers(source) if t.balance else []
    if not everyone:
        return Section("concentracion", title, [Prose(NOTHING)])
    if len(everyone) == 1:
        only = f"Un solo cliente debe todo el saldo: {short(everyone[0].name, 60)}."
        return Section("concentracion", title, [Prose(only)])
    sums, total = [], 0
    for c in everyone:
        total += c.balance
        sums.append(total)
    # The first customer at whom the sum reaches 80 %, in whole numbers.
    mark = next(i for i, s in enumerate(sums, 1) if 10 * s >= 8 * t.balance)
    share = percent(sums[mark - 1], t.balance)
    verb = "concentra" if mark == 1 else "concentran"
    words = (
        f"{number(mark)} de {counted(len(everyone), 'cliente', 'clientes')} {verb} el {share} "
        "del saldo"
    )
    shares = [0.0, *(100 * float(s) / float(t.balance) for s in sums)]
    text = f"{counted(mark, 'cliente', 'clientes')}: {share}"
    chart = Chart(
        words,
        "Parte del saldo que suman los mayores clientes",
        f"Curva que sube de 0 a 100 %: {words}.",
        lambda axes, _: charts.curve(axes, shares, mark, text),
    )
    cuts = sorted({n for n in (1, 3, 5, 10, 20, mark) if n < len(everyone)} | {len(everyone)})
    table = Table(
        "Lo que suman los mayores clientes",
        ["Mayores clientes", ">Suman", ">% del saldo"],
        [(number(n), pesos(sums[n - 1]), percent(sums[n - 1], t.balance)) for n in cuts],
    )
    intro = "Cuánto del saldo depende de pocos: si uno deja de pagar, cuánto se resiente la caja."
    return Section("concentracion", title, [Prose(intro), chart, table])


def credit(source: Source) -> Section:
    """Credit notes that found nothing to be taken off."""
    title = "Notas de crédito sin aplicar"
    rows = source.rows("""
        SELECT
            any_value(r.counterparty_rut) AS rut,
            max_by(
                r.counterparty_name,
                (coalesce(r.date_issued, DATE '1900-01-01'), r.counterparty_name)
            ) AS name,
            r.currency, count(*) AS documents, sum(b.unapplied_credit) AS credit,
            count(*) FILTER (NOT r.has_target) AS without_target
        FROM items AS r
        INNER JOIN marts.balances_as_of((SELECT any_value(as_of) FROM items)) AS b
            ON r.doc_key = b.doc_key AND b.role = 'seller'
        WHERE b.unapplied_credit > 0
        GROUP BY r.customer, r.currency
        ORDER BY r.currency, credit DESC, rut
    """)
    if not rows:
        return Section("credito", title, [Prose("No hay notas de crédito sin aplicar.")])
    sums: dict[str, Any] = {}
    for r in rows:
        sums[r.currency] = sums.get(r.currency, 0) + r.credit
    words = (
        "Crédito a favor del cliente que no se pudo rebajar de ninguna factura: la nota supera el "
        "saldo, o su factura no está en los datos. No se resta del saldo por cobrar; conviene "
        "revisarlo antes de cobrar a ese cliente."
    )
    total = "Total sin aplicar: " + "; ".join(money(v, c) for c, v in sums.items()) + "."
    table = Table(
        "Crédito sin aplicar por cliente",
        ["Cliente", ">Documentos", ">Crédito sin aplicar", ">Sin su factura en los datos"],
        [
            (
                Cell(short(r.name), rut_text(r.rut)),
                number(r.documents),
                money(r.credit, r.currency),
                number(r.without_target),
            )
            for r in rows[:SHOWN]
        ],
    )
    blocks: list[Block] = [Prose(words), Prose(total), table]
    if len(rows) > SHOWN:
        blocks.append(Prose(f"Se muestran los {SHOWN} primeros de {number(len(rows))} clientes."))
    return Section("credito", title, blocks)
