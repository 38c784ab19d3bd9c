"""Document by document: what to collect first, and the story of one of them."""

from __future__ import annotations

from typing import Any

from tupana_etl.errors import ConfigError
from tupana_etl.reports import charts
from tupana_etl.reports.balances import ACCEPTANCE
from tupana_etl.reports.blocks import Block, Cell, Chart, Prose, Section, Table
from tupana_etl.reports.source import Source
from tupana_etl.reports.spanish import counted, day, money, percent, pesos, rut_text, short

SHOWN = 15
"""Overdue documents that are listed."""

EVENTS = {
    "issued": "Emisión",
    "received_by_sii": "Recepción en SII",
    "acknowledged": "Acuse de recibo o aceptación",
    "claimed": "Reclamo del cliente",
    "accepted_tacit": "Aceptación tácita (8 días)",
    "due": "Vencimiento",
    "closed_at_issue": "Sin deuda desde la emisión (contado, sin costo o boleta)",
    "paid": "Pago",
    "ceded": "Cesión",
    "ceded_back": "Devuelta por el cesionario",
    "note": "Nota",
}

SOURCES = {
    "document": "el documento",
    "sii": "registro de SII",
    "computed": "calculado",
    "event": "evento de pago",
    "observed": "vista entre dos sincronizaciones",
    "outbox": "pago registrado desde aquí",
    "webhook": "aviso de Tu Pana",
    "unknown": "no consta",
    "cession": "registro de cesiones",
    "reception+30": "recepción + 30 días (Ley 21.131)",
    "issue+30": "emisión + 30 días",
}


def overdue(source: Source, t: Any) -> Section:
    """The largest documents past due."""
    title = "Los documentos vencidos más grandes"
    rows = source.rows(f"""
        SELECT * FROM open_clp
        WHERE bucket <> 'not_due'
        ORDER BY open_balance_clp DESC, due_date, issuer_rut, dte_type_code, folio
        LIMIT {SHOWN}
    """)
    if not rows:
        return Section(
            "vencidos",
            title,
            [Prose("No hay documentos vencidos cuyo saldo se pueda decir en pesos.")],
        )
    table = Table(
        "Documentos vencidos, del mayor al menor",
        [
            "Documento",
            "Cliente",
            ">Saldo",
            ">Vencimiento",
            ">Emisión",
            "Situación",
        ],
        [
            (
                Cell(f"{r.type_name} {r.folio}", _of(source, r.company_rut)),
                Cell(short(r.counterparty_name, 40), rut_text(r.counterparty_rut)),
                _balance(r),
                Cell(
                    day(r.due_date) + ("" if r.due_date_source == "document" else " *"),
                    f"hace {counted(r.days_overdue, 'día', 'días')}",
                ),
                day(r.date_issued),
                ACCEPTANCE.get(r.acceptance, (r.acceptance, ""))[0],
            )
            for r in rows
        ],
    )
    shown = sum(r.open_balance_clp for r in rows)
    words = f"Suman {pesos(shown)}, el {percent(shown, t.overdue)} de lo vencido."
    if any(r.due_date_source != "document" for r in rows):
        words += " * El documento no dice cuándo vence: plazo legal de 30 días."
    return Section("vencidos", title, [table, Prose(words)])


def _balance(row: Any) -> Cell:
    """Pesos, and below them what the document says where it is not in pesos."""
    foreign = row.currency != "CLP"
    return Cell(
        pesos(row.open_balance_clp), money(row.open_balance, row.currency) if foreign else ""
    )


def _of(source: Source, company: str) -> str:
    many = source.company_rut is None and len(source.names) > 1
    return f"de {short(source.names.get(company, company), 30)}" if many else ""


def story(source: Source, wanted: str | None = None) -> Section:
    """What happened to one document and when: ``type-folio`` or ``issuer|type|folio``.

    Without one: the largest that is past due, else the largest that is open. Raises
    ConfigError for a document that is not there.
    """
    title = "La historia de un documento"
    document = _document(source, wanted)
    if document is None:
        return Section("historia", title, [Prose("No hay ningún documento por cobrar.")])
    key = document.doc_key.replace("'", "''")
    rows = source.rows(f"""
        SELECT t.*, c.assignee_name FROM marts.document_timeline AS t
        LEFT JOIN (SELECT assignee_rut, any_value(assignee_name) AS assignee_name
            FROM marts.cessions GROUP BY assignee_rut) AS c
            ON t.event IN ('ceded', 'ceded_back') AND t.detail = c.assignee_rut
        WHERE t.doc_key = '{key}'
            AND (t.event = 'due' OR t.happened_on IS NULL
                OR t.happened_on <= DATE '{source.as_of}')
        ORDER BY
            t.happened_on NULLS LAST, t.event <> 'issued', t.happened_at, t.event, t.detail
    """)
    dated = [(r.happened_on, _event(r)) for r in rows if r.happened_on is not None]
    name = f"{document.type_name} {document.folio}"
    intro = (
        f"{name} a {short(document.counterparty_name, 60)}, por "
        f"{money(document.amount, document.currency)}; saldo al {day(source.as_of)}: "
        f"{money(document.open_balance, document.currency)}."
    )
    if not wanted:
        intro += " Es la mayor de las vencidas; el cuaderno muestra cualquier otra."
    blocks: list[Block] = [Prose(intro)]
    if dated:
        height = 0.9 + 0.42 * len(dated)
        blocks.append(
            Chart(
                name,
                f"Qué pasó y cuándo; la línea cortada es el {day(source.as_of)}",
                "Línea de tiempo: " + "; ".join(f"{day(d)}, {e}" for d, e in dated) + ".",
                lambda axes, narrow: charts.timeline(axes, dated, source.as_of, narrow=narrow),
                (height, height + 0.3 * len(dated)),
            )
        )
    blocks.append(
        Table(
            f"Historia de {name}",
            ["Qué", ">Cuándo", ">Monto", "De dónde se sabe"],
            [
                (
                    _event(r),
                    day(r.happened_on) if r.happened_on else "no consta",
                    "" if r.amount is None else money(r.amount, document.currency),
                    SOURCES.get(r.source, r.source),
                )
                for r in rows
            ],
        )
    )
    return Section("historia", title, blocks)


def _document(source: Source, wanted: str | None) -> Any:
    if not wanted:
        found = source.rows("""
            SELECT * FROM open_items WHERE open_balance_clp IS NOT NULL
            ORDER BY bucket = 'not_due', open_balance_clp DESC, doc_key LIMIT 1
        """)
        return found[0] if found else None
    text = wanted.strip().replace("'", "''")
    found = source.rows(f"""
        SELECT * FROM items
        WHERE '{text}' IN (doc_key, dte_type_code || '-' || folio) ORDER BY doc_key LIMIT 1
    """)
    if not found:
        raise ConfigError(
            f"There is no document {wanted} among the receivables of {day(source.as_of)}: "
            "write it as TYPE-FOLIO, such as 33-1042."
        )
    return found[0]


def _event(row: Any) -> str:
    words: str = EVENTS.get(row.event, row.event)
    if row.source == "sii" and row.event in ("ceded", "note"):
        return f"{words} ({row.detail}), que no está en los datos"
    if row.event in ("ceded", "ceded_back"):
        return f"{words}: {short(row.assignee_name or row.detail, 40)}"
    if row.detail and row.event in ("note", "claimed", "acknowledged"):
        return f"{words} ({row.detail})"
    return words
