"""What could be ceded today, why the rest could not, and what an offer would cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tupana_etl.reports import charts
from tupana_etl.reports.blocks import Block, Cell, Chart, Notice, Prose, Section, Table
from tupana_etl.reports.charts import Scale
from tupana_etl.reports.source import Source
from tupana_etl.reports.spanish import counted, day, number, percent, pesos, short
from tupana_etl.reports.terms import Terms

SHOWN = 15

REASONS = {
    "type_not_cedible": "El tipo de documento no se puede ceder",
    "type_needs_review": "Tipo 43 o 46: requiere revisión",
    "cash_or_free": "Al contado o sin costo: no se puede ceder",
    "acceptance_pending": "Todavía en plazo de reclamo",
    "claimed": "Reclamada por el cliente",
    "annulled": "Anulada por nota de crédito",
    "paid": "Pagada",
    "no_balance": "Sin saldo, por notas de crédito",
    "already_ceded": "Ya cedida",
    "cession_processing": "Cesión en trámite",
    "past_due": "Vencida",
    "due_date_unknown": "No consta cuándo vence",
    "below_minimum": "Menor que el mínimo",
    "invalid_rut": "RUT inválido",
    "unidentified_debtor": "Deudor sin identificar",
    "related_debtor": "Deudor relacionado",
    "over_concentration": "Excede la concentración permitida",
    "not_in_pesos": "No está en pesos",
    "reception_unknown": "No consta la recepción en SII",
    "credit_note_unseen": "Tiene una nota de crédito que no está en los datos",
}


def candidates(source: Source) -> Section:
    """Eligible documents and the reasons of the others."""
    title = "Qué se podría ceder"
    if source.is_past:
        words = f"Solo se sabe al {day(source.published)}: las candidatas no se reconstruyen."
        return Section("candidatas", title, [Prose(words)])
    rows = _eligible(source)
    balance = sum(r.open_balance_clp for r in rows)
    against = source.rows("""
        SELECT
            reason, count(*) AS documents, sum(open_balance_clp)::BIGINT AS balance
        FROM (
            SELECT unnest(reasons) AS reason, open_balance_clp FROM marts.factoring_candidates
            WHERE NOT eligible AND open_balance_clp > 0
                AND (getvariable('company') IS NULL OR company_rut = getvariable('company'))
        )
        GROUP BY reason ORDER BY balance DESC, reason
    """)
    if not rows and not against:
        return Section("candidatas", title, [Prose("No hay documentos con saldo que ceder.")])
    able = "documento cumple todas las reglas", "documentos cumplen todas las reglas"
    blocks: list[Block] = [
        Prose(
            f"{counted(len(rows), *able)}, por {pesos(balance)}. Se pide factura a crédito, "
            "aceptada, sin reclamo, no vencida, no cedida y de un deudor identificado que no "
            "sea relacionado. Cada factoring tiene además sus propios límites."
        )
    ]
    if against:
        blocks += _against(against)
    return Section("candidatas", title, blocks)


def _against(rows: list[Any]) -> list[Block]:
    scale = Scale.of(rows[0].balance)
    drawn = [
        (REASONS.get(r.reason, r.reason), "#8FA9BF", r.balance, scale.label(r.balance))
        for r in rows[:8]
    ]
    chart = Chart(
        f"Lo que más saldo deja fuera: {drawn[0][0].lower()}",
        f"Saldo por cobrar que no se puede ceder, por motivo, en {scale.name}",
        "Barras por motivo: " + "; ".join(f"{n}, {pesos(v)}" for n, _, v, _ in drawn) + ".",
        lambda axes, narrow: charts.bars(axes, drawn, scale, narrow=narrow),
        (1.0 + 0.42 * len(drawn), 1.0 + 0.55 * len(drawn)),
    )
    table = Table(
        "Motivos; un documento puede tener varios",
        ["Motivo", ">Documentos con saldo", ">Saldo"],
        [(REASONS.get(r.reason, r.reason), number(r.documents), pesos(r.balance)) for r in rows],
    )
    return [chart, table]


def _eligible(source: Source, offer: str = "") -> list[Any]:
    """The eligible documents, with the columns of the table function ``offer``, if any."""
    return source.rows(f"""
        SELECT *, coalesce(t.name, 'Tipo ' || c.dte_type_code) AS type_name
        FROM marts.factoring_candidates AS c
        LEFT JOIN ref.dte_types AS t ON c.dte_type_code = t.code
        {f", LATERAL (FROM {offer}) AS o" if offer else ""}
        WHERE c.eligible
            AND (getvariable('company') IS NULL OR c.company_rut = getvariable('company'))
        ORDER BY c.open_balance_clp DESC, c.issuer_rut, c.dte_type_code, c.folio
    """)


def priced(source: Source, terms: Terms) -> list[Any]:
    """Every eligible document with its offer, by marts.factoring_offer."""
    return _eligible(
        source,
        f"""marts.factoring_offer(
            c.open_balance_clp, greatest(c.days_to_due, 0),
            {terms.monthly_rate}, advance_rate := {terms.advance_rate},
            commission := {terms.commission}, commission_rate := {terms.commission_rate},
            days_late := {terms.days_late}
        )""",
    )


SUMS = (
    *("face_clp", "advance_clp", "discount_clp", "commission_clp", "commission_iva_clp"),
    *("payout_clp", "holdback_clp", "late_charge_clp", "cost_clp", "net_clp"),
)


def sums(offers: list[Any]) -> dict[str, int]:
    """The offers together, in whole pesos."""
    return {name: sum(getattr(offer, name) for offer in offers) for name in SUMS}


def cost(source: Source, terms: Terms | None) -> Section:
    """What the offer pays and costs for everything that is eligible."""
    title = "Cuánto costaría una oferta"
    if terms is None:
        words = (
            "No se calcula: las condiciones las pone quien ofrece, y aquí no se inventan tasas. "
            "Con las suyas: tupana report factoring --monthly-rate 1.5 --advance-rate 95 "
            "--commission 20000 (o en la primera celda del cuaderno)."
        )
        return Section("oferta", title, [Prose(words)])
    offers = [] if source.is_past else priced(source, terms)
    if not offers:
        return Section("oferta", title, [Prose("No hay documentos que ofrecer.")])
    t = sums(offers)
    blocks: list[Block] = [_terms(terms), _waterfall(t)]
    weighed = sum(o.advance_clp * (max(o.days_to_due, 0) + terms.days_late) for o in offers)
    monthly = f"{number(Decimal(t['cost_clp']) * 3000 / weighed, 2)} %" if weighed else "–"
    blocks.append(
        Prose(
            f"Por {counted(len(offers), 'documento', 'documentos')} de {pesos(t['face_clp'])} se "
            f"reciben {pesos(t['payout_clp'])} el día de la cesión y lo retenido cuando el deudor "
            f"paga. Cuesta {pesos(t['cost_clp'])}, el {percent(t['cost_clp'], t['face_clp'])} de "
            f"lo cedido: {monthly} mensual sobre lo anticipado."
        )
    )
    losing = sum(o.payout_clp <= 0 for o in offers)
    if losing:
        words = counted(losing, "documento cuesta", "documentos cuestan")
        blocks.append(
            Notice(f"{words} al menos todo lo que se recibiría al ceder: no conviene incluirlos.")
        )
    blocks.append(_offers(offers, t))
    if len(offers) > SHOWN:
        blocks.append(
            Prose(
                f"Se muestran los {SHOWN} mayores de {number(len(offers))}; el total es de todos."
            )
        )
    return Section("oferta", title, blocks)


def _terms(terms: Terms) -> Table:
    return Table(
        "Condiciones supuestas: las puso quien pidió el informe, no son de mercado",
        ["Condición", ">Valor"],
        [
            ("Descuento mensual, lineal, sobre lo anticipado", _share(terms.monthly_rate)),
            ("Anticipo, sobre el valor del documento", _share(terms.advance_rate)),
            ("Comisión fija por documento, más IVA", pesos(terms.commission)),
            ("Comisión sobre el valor, más IVA", _share(terms.commission_rate)),
            ("Atraso supuesto del deudor", counted(terms.days_late, "día", "días")),
        ],
    )


def _share(value: Decimal) -> str:
    shown = Decimal(value) * 100
    whole = number(shown, 2).rstrip("0").rstrip(",") if shown else "0"
    return f"{whole} %"


def _waterfall(t: dict[str, int]) -> Chart:
    charge = t["commission_clp"] + t["commission_iva_clp"]
    every = [
        ("Valor de los documentos", t["face_clp"], "#5B8DB8"),
        ("Retenido hasta el pago", -t["holdback_clp"], "#B8BCC2"),
        ("Descuento", -t["discount_clp"], "#CF5A28"),
        ("Comisión e IVA", -charge, "#CF5A28"),
        ("Se recibe al ceder", t["payout_clp"], "#0072B2"),
    ]
    steps = [step for step in every if step[1]]
    scale = Scale.of(t["face_clp"])
    return Chart(
        f"De {pesos(t['face_clp'])} se reciben {pesos(t['payout_clp'])} al ceder",
        f"Del valor de los documentos a lo que se recibe, en {scale.name}",
        "Barras: " + "; ".join(f"{n}, {pesos(v)}" for n, v, _ in steps) + ".",
        lambda axes, narrow: charts.waterfall(axes, steps, scale, narrow=narrow),
        (0.9 + 0.42 * len(steps), 0.9 + 0.5 * len(steps)),
    )


def _offers(offers: list[Any], t: dict[str, int]) -> Table:
    return Table(
        "La oferta, documento por documento",
        [
            "Documento",
            ">Vence",
            ">Valor",
            ">Anticipo",
            ">Descuento",
            ">Comisión con IVA",
            ">Se recibe al ceder",
        ],
        [
            (
                Cell(f"{o.type_name} {o.folio}", short(o.counterparty_name, 34)),
                day(o.due_date),
                pesos(o.face_clp),
                pesos(o.advance_clp),
                pesos(o.discount_clp),
                pesos(o.commission_clp + o.commission_iva_clp),
                pesos(o.payout_clp),
            )
            for o in offers[:SHOWN]
        ],
        (
            "Total",
            "",
            pesos(t["face_clp"]),
            pesos(t["advance_clp"]),
            pesos(t["discount_clp"]),
            pesos(t["commission_clp"] + t["commission_iva_clp"]),
            pesos(t["payout_clp"]),
        ),
    )


def eligible_figures(source: Source) -> dict[str, int]:
    """How many documents could be ceded, and their balance."""
    rows = _eligible(source)
    return {
        "eligible_documents": len(rows),
        "eligible_clp": sum(r.open_balance_clp for r in rows),
    }
