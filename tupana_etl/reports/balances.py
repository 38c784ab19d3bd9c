"""How much is owed, how old it is, and how firm: totals of what is open."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tupana_etl.reports import charts
from tupana_etl.reports.blocks import Block, Card, Cards, Cell, Chart, Notice, Prose, Section, Table
from tupana_etl.reports.charts import Scale
from tupana_etl.reports.source import Source
from tupana_etl.reports.spanish import counted, day, money, number, percent, pesos, rut_text

BUCKETS = {
    "not_due": ("Por vencer", "#5B8DB8"),
    "1-30": ("1 a 30 días", "#FBD67B"),
    "31-60": ("31 a 60 días", "#F2A03D"),
    "61-90": ("61 a 90 días", "#CF5A28"),
    "90+": ("Más de 90 días", "#7A1230"),
}
"""Buckets of marts.receivables, darker the later; told apart without seeing red or green."""

ACCEPTANCE = {
    "accepted_express": ("Aceptada (expresa)", "#0072B2"),
    "accepted_tacit": ("Aceptada (tácita)", "#56B4E9"),
    "pending": ("En plazo de reclamo", "#E6C229"),
    "claimed": ("Reclamada", "#D55E00"),
    None: ("No se acepta ni reclama en SII", "#9A9A9A"),
}

NOTHING = "No hay saldo por cobrar que se pueda decir en pesos: aquí no hay nada que mostrar."


def totals(source: Source) -> Any:
    """Sums of the open documents in whole pesos; equal to marts.receivables to the peso.

    A foreign document counts at its own exchange rate; without one it is in no sum, and
    ``without_rate`` counts it. ``in_pesos`` and ``in_foreign`` add up to ``balance``.
    """
    return source.row("""
        SELECT
            count(open_balance_clp) AS documents,
            count(DISTINCT customer) FILTER (open_balance_clp IS NOT NULL) AS customers,
            coalesce(sum(open_balance_clp), 0)::BIGINT AS balance,
            coalesce(sum(open_balance_clp) FILTER (currency = 'CLP'), 0)::BIGINT AS in_pesos,
            balance - in_pesos AS in_foreign,
            coalesce(sum(open_balance_clp) FILTER (bucket <> 'not_due'), 0)::BIGINT AS overdue,
            count(open_balance_clp) FILTER (bucket <> 'not_due') AS overdue_documents,
            coalesce(sum(open_balance_clp) FILTER (is_claimed), 0)::BIGINT AS claimed,
            coalesce(sum(open_balance_clp) FILTER (counterparty_is_own), 0)::BIGINT AS own,
            count(*) FILTER (open_balance_clp IS NULL AND currency = 'CLP') AS without_amount,
            count(*) FILTER (open_balance_clp IS NULL AND currency IS DISTINCT FROM 'CLP')
                AS without_rate
        FROM open_items
    """)


def summary(source: Source, t: Any) -> Section:
    """The key figures, foreign currency apart, and each company's part."""
    blocks: list[Block] = []
    if t.balance:
        blocks.append(Cards(_cards(t)))
    else:
        blocks.append(
            Prose(
                "No hay documentos con saldo por cobrar que se pueda decir en pesos al "
                f"{day(source.as_of)} ({source.company})."
            )
        )
    if t.without_amount:
        words = counted(
            t.without_amount, "documento abierto no trae", "documentos abiertos no traen"
        )
        blocks.append(
            Notice(
                f"{words} monto: no se suman, porque nadie sabe cuánto valen.",
                warning=True,
            )
        )
    if t.without_rate:
        words = counted(t.without_rate, "documento abierto está", "documentos abiertos están")
        blocks.append(
            Notice(
                f"{words} en moneda extranjera y sin tipo de cambio: se muestran aparte, en su "
                "moneda, y no están en ninguna suma en pesos.",
                warning=True,
            )
        )
    if t.own:
        blocks.append(
            Notice(
                f"De ello, {pesos(t.own)} lo deben otras empresas suyas: se anula al consolidar."
            )
        )
    blocks += _foreign(source)
    blocks += _companies(source, t)
    blocks.append(
        Prose(
            "El saldo de un documento es su total menos la retención o el IVA que retiene el "
            "comprador, menos notas de crédito, más notas de débito, menos lo pagado y lo cedido. "
            "Un documento en moneda extranjera cuenta en pesos al tipo de cambio que él mismo "
            "trae, no al de hoy; si no trae uno, no se le inventa y queda fuera de las sumas. Son "
            "las cifras de la tabla marts.receivables."
        )
    )
    return Section("resumen", "Cuánto hay por cobrar", blocks)


def _cards(t: Any) -> list[Card]:
    in_time = t.balance - t.overdue
    return [
        Card(
            "Por cobrar",
            pesos(t.balance),
            f"{counted(t.documents, 'documento', 'documentos')} de "
            f"{counted(t.customers, 'cliente', 'clientes')}"
            + (f"; de ello, {pesos(t.in_foreign)} en moneda extranjera" if t.in_foreign else ""),
        ),
        Card(
            "Vencido",
            pesos(t.overdue),
            f"{percent(t.overdue, t.balance)} del saldo, "
            f"{counted(t.overdue_documents, 'documento', 'documentos')}",
        ),
        Card("Por vencer", pesos(in_time), f"{percent(in_time, t.balance)} del saldo"),
        Card(
            "Reclamado por el cliente",
            pesos(t.claimed),
            f"{percent(t.claimed, t.balance)} del saldo",
        ),
    ]


def _foreign(source: Source) -> list[Block]:
    rows = source.rows("""
        SELECT
            currency, count(*) AS documents, sum(open_balance) AS balance,
            coalesce(sum(open_balance) FILTER (bucket <> 'not_due'), 0) AS overdue,
            sum(open_balance_clp)::BIGINT AS in_pesos,
            count(*) FILTER (open_balance_clp IS NULL) AS without_rate
        FROM open_items WHERE currency IS DISTINCT FROM 'CLP'
        GROUP BY currency ORDER BY documents DESC, currency
    """)
    if not rows:
        return []
    found = Table(
        "Por cobrar en moneda extranjera",
        [
            "Moneda",
            ">Documentos",
            ">Saldo",
            ">De ello, vencido",
            ">En pesos, incluido arriba",
            ">Sin tipo de cambio",
        ],
        [
            (
                r.currency or "(el documento no la dice)",
                number(r.documents),
                money(r.balance, r.currency) if r.currency else "sin dato",
                money(r.overdue, r.currency) if r.currency else "sin dato",
                pesos(r.in_pesos),
                number(r.without_rate),
            )
            for r in rows
        ],
    )
    return [found]


def _companies(source: Source, t: Any) -> list[Block]:
    rows = source.rows("""
        SELECT
            company_rut AS rut, count(*) AS documents,
            coalesce(sum(open_balance_clp), 0)::BIGINT AS balance,
            coalesce(sum(open_balance_clp) FILTER (bucket <> 'not_due'), 0)::BIGINT AS overdue
        FROM open_clp GROUP BY company_rut ORDER BY balance DESC, rut
    """)
    if len(rows) < 2:
        return []
    table = Table(
        "Por cobrar de cada empresa",
        ["Empresa", ">Documentos", ">Saldo", ">Vencido", ">% vencido"],
        [
            (
                Cell(source.names.get(r.rut, r.rut), rut_text(r.rut)),
                number(r.documents),
                pesos(r.balance),
                pesos(r.overdue),
                percent(r.overdue, r.balance),
            )
            for r in rows
        ],
        (
            "Total",
            number(t.documents),
            pesos(t.balance),
            pesos(t.overdue),
            percent(t.overdue, t.balance),
        ),
    )
    return [table]


def ageing(source: Source, t: Any) -> Section:
    """Open balance by days past due."""
    title = "Antigüedad de la deuda"
    if not t.balance:
        return Section("antiguedad", title, [Prose(NOTHING)])
    found = {
        r.bucket: r
        for r in source.rows("""
            SELECT
                bucket, count(*) AS documents,
                coalesce(sum(open_balance_clp), 0)::BIGINT AS balance,
                coalesce(sum(open_balance_clp) FILTER (is_claimed), 0)::BIGINT AS claimed
            FROM open_clp GROUP BY bucket
        """)
    }
    none = SimpleNamespace(documents=0, balance=0, claimed=0)
    rows = [(name, colour, found.get(key, none)) for key, (name, colour) in BUCKETS.items()]
    scale = Scale.of(max(r.balance for *_, r in rows))
    drawn = [(n, c, r.balance, percent(r.balance, t.balance)) for n, c, r in rows]
    chart = Chart(
        _ageing_title(t, found.get("90+", none).balance),
        f"Saldo por días de atraso, en {scale.name}",
        "Barras por tramo: " + "; ".join(f"{n}, {pesos(v)}" for n, _, v, _ in drawn) + ".",
        lambda axes, _: charts.columns(axes, drawn, scale),
    )
    table = Table(
        "Saldo por tramo de atraso",
        ["Tramo", ">Documentos", ">Saldo", ">% del saldo", ">De ello, reclamado"],
        [
            (
                name,
                number(r.documents),
                pesos(r.balance),
                percent(r.balance, t.balance),
                pesos(r.claimed),
            )
            for name, _, r in rows
        ],
        ("Total", number(t.documents), pesos(t.balance), "100,0 %", pesos(t.claimed)),
    )
    words = (
        "Días transcurridos desde el vencimiento. El día mismo del vencimiento el documento "
        "todavía está al día."
    )
    return Section("antiguedad", title, [Prose(words), chart, table])


def _ageing_title(t: Any, oldest: int) -> str:
    if not t.overdue:
        return "Nada de lo que nos deben está vencido"
    title = f"El {percent(t.overdue, t.balance)} de lo que nos deben está vencido"
    if t.overdue == t.balance:
        title = "Todo lo que nos deben está vencido"
    if oldest:
        title += f"; el {percent(oldest, t.balance)}, hace más de 90 días"
    return title


def acceptance(source: Source, t: Any) -> Section:
    """Open balance by what the buyer said to SII."""
    title = "¿Están aceptadas las facturas?"
    if not t.balance:
        return Section("aceptacion", title, [Prose(NOTHING)])
    found = {
        r.acceptance: r
        for r in source.rows("""
            SELECT
                acceptance, count(*) AS documents,
                coalesce(sum(open_balance_clp), 0)::BIGINT AS balance,
                coalesce(sum(open_balance_clp) FILTER (bucket <> 'not_due'), 0)::BIGINT AS overdue
            FROM open_clp GROUP BY acceptance
        """)
    }
    rows = [(*ACCEPTANCE[key], found[key]) for key in ACCEPTANCE if key in found]
    firm = sum(found[k].balance for k in ("accepted_express", "accepted_tacit") if k in found)
    scale = Scale.of(max(r.balance for *_, r in rows))
    drawn = [
        (n, c, r.balance, f"{scale.label(r.balance)} ({percent(r.balance, t.balance)})")
        for n, c, r in rows
    ]
    said = f"el {percent(t.claimed, t.balance)} está reclamado" if t.claimed else "nada se reclama"
    accepted = "Todo el saldo" if firm == t.balance else f"El {percent(firm, t.balance)} del saldo"
    height = 1.1 + 0.45 * len(rows)
    chart = Chart(
        f"{accepted} ya está aceptado; {said}",
        f"Saldo según el registro de aceptación o reclamo de SII, en {scale.name}",
        "Barras: " + "; ".join(f"{n}, {pesos(v)}" for n, _, v, _ in drawn) + ".",
        lambda axes, narrow: charts.bars(axes, drawn, scale, narrow=narrow),
        (height, height + 0.6),
    )
    table = Table(
        "Saldo según aceptación",
        ["Situación", ">Documentos", ">Saldo", ">% del saldo", ">De ello, vencido"],
        [
            (
                name,
                number(r.documents),
                pesos(r.balance),
                percent(r.balance, t.balance),
                pesos(r.overdue),
            )
            for name, _, r in rows
        ],
        ("Total", number(t.documents), pesos(t.balance), "100,0 %", pesos(t.overdue)),
    )
    words = (
        "El cliente tiene 8 días corridos desde que SII recibe la factura para reclamarla. Si no "
        "lo hace, queda aceptada de forma tácita e irrevocable. Una factura reclamada sigue por "
        "cobrar, pero está en disputa."
    )
    return Section("aceptacion", title, [Prose(words), chart, table])
