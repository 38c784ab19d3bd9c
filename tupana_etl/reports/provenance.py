"""What every report says of its figures: of when, how complete, on what basis, without what."""

from __future__ import annotations

from typing import Any

from tupana_etl.domain import today
from tupana_etl.reports.blocks import Block, Notice, Prose, Section, Table
from tupana_etl.reports.source import Source
from tupana_etl.reports.spanish import counted, day, moment, number, pesos

SEVERITIES = {"error": "grave", "warning": "revisar", "info": "informativo"}

CHECKS = {
    "amount_missing": "Sin total, o negativo",
    "annulment_differs": "Nota que anula por un monto distinto al del documento",
    "cession_not_in_data": "SII registra una cesión que no está en los datos",
    "company_is_no_party": "La empresa no es emisor ni receptor",
    "credit_note_not_in_data": "Existe una nota de crédito que no está en los datos",
    "due_before_issue": "Vence antes de su emisión",
    "duplicate_document": "Documento repetido: se cuenta una vez",
    "excluded_deleted": "Fuera: ya no está en Tu Pana",
    "excluded_draft": "Fuera: borrador sin emitir",
    "excluded_failed": "Fuera: su emisión falló",
    "excluded_no_folio": "Fuera: sin folio",
    "excluded_sandbox": "Fuera: documento de prueba",
    "excluded_sii_rejected": "Fuera: rechazado por SII",
    "foreign_currency_without_rate": "Moneda extranjera sin tipo de cambio",
    "invalid_rut": "RUT inválido",
    "issuer_missing": "Sin RUT del emisor",
    "iva_off": "El IVA no es el 19 % del neto",
    "lines_do_not_add_up": "Las líneas no suman el total (descuento global)",
    "no_date": "Sin fecha de emisión",
    "note_target_missing": "Nota con una de sus referencias fuera de los datos",
    "note_without_target": "Nota cuya factura no está en los datos",
    "override_without_document": "Fila de collection_overrides sin su documento",
    "paid_before_or_after_note": "Pagada y con notas de crédito: no consta qué fue antes",
    "partial_payment_without_amount": "Pago parcial sin monto: se muestra el saldo entero",
    "reference_cycle": "Referencias en círculo",
    "retention_unknown": "No consta quién retiene: se muestra el honorario bruto",
    "sides_differ": "Emisor y receptor muestran totales distintos",
    "split_is_estimated": "Nota repartida a prorrata entre varios documentos",
    "text_note_with_amount": "Nota que corrige texto y trae monto",
    "total_does_not_add_up": "El total no es la suma de sus partes",
    "unknown_type": "Tipo de documento desconocido",
}


def provenance(source: Source) -> Section:
    """Company, day, run, completeness and exclusions, with what must be known before use."""
    run = source.last_sync
    quality = findings(source)
    excluded = sum(c.cases for c in quality if c.check_name.startswith("excluded_"))
    errors = sum(c.cases for c in quality if c.severity == "error")
    items = source.row("SELECT count(*) AS n FROM items").n
    facts = [
        ("Empresa", source.company),
        ("Cifras al", day(source.as_of)),
        ("Datos publicados al", day(source.published)),
        ("Última sincronización", _run_words(run)),
        ("¿Lectura completa?", "–" if run is None else "sí" if run.complete else "NO"),
        (
            "Filas leídas y rechazadas en ella",
            f"{number(run.seen or 0)} y {number(run.rejected or 0)}" if run else "–",
        ),
        ("Documentos de venta considerados", number(items)),
        ("Documentos dejados fuera, de venta y compra", number(excluded)),
        ("Hallazgos de calidad graves", number(errors)),
    ]
    return Section(
        "procedencia",
        "De dónde salen estas cifras",
        [*_cautions(source, errors), Table("Procedencia", ["Dato", "Valor"], facts)],
    )


def _run_words(run: Any) -> str:
    if run is None:
        return "todavía no hay ninguna"
    if run.finished_at is None:
        return f"{run.run_id}: empezó el {moment(run.started_at)} y no terminó"
    return f"{moment(run.finished_at)}, hora de Santiago ({run.run_id})"


def _cautions(source: Source, errors: int) -> list[Block]:
    found: list[Block] = []
    run = source.last_sync
    if run is not None and not run.complete:
        found.append(
            Notice(
                "La última lectura quedó incompleta: pueden faltar documentos y los totales ser "
                f"menores que los reales. {_missing(source) or 'La próxima la completa.'}",
                warning=True,
            )
        )
    if today() > source.published:
        found.append(
            Notice(
                f"Los datos son del {day(source.published)} y hoy es {day(today())}: conviene "
                "sincronizar (tupana sync) antes de decidir con ellos.",
                warning=True,
            )
        )
    if source.is_past:
        found += _past(source)
    if errors:
        found.append(
            Notice(
                f"Hay {counted(errors, 'hallazgo grave', 'hallazgos graves')} de calidad de "
                "datos: algunas cifras pueden estar mal. El detalle está al final.",
                warning=True,
            )
        )
    return found


def _missing(source: Source) -> str:
    rows = source.rows("""
        SELECT w.stream, count(*) AS windows, min(w.reason) AS reason
        FROM raw.windows AS w
        LEFT JOIN marts.companies AS c ON w.master_entity_id = c.master_entity_id
        WHERE NOT w.complete
            AND w.run_id = (SELECT max_by(run_id, started_at) FROM raw.syncs)
            AND (getvariable('company') IS NULL
                OR coalesce(c.company_rut, getvariable('company')) = getvariable('company'))
        GROUP BY w.stream ORDER BY w.stream
    """)
    named = "; ".join(
        f"{r.stream}, {counted(r.windows, 'ventana', 'ventanas')}"
        + (f" ({r.reason})" if r.reason else "")
        for r in rows
    )
    return f"Quedó sin leer: {named}." if named else ""


def past_basis(source: Source) -> Any:
    """How well a past day is known.

    ``unknown``: documents already paid when first seen, nobody knows since when;
    ``unknown_clp``: the most that they could add to the balance of the day.
    """
    return source.row("""
        SELECT
            count(*) FILTER (basis = 'before_first_sync' AND NOT is_closed_at_issue) AS unknown,
            coalesce(sum(round(paid_amount::DECIMAL(28, 4) * exchange_rate, 0)) FILTER (
                basis = 'before_first_sync' AND NOT is_closed_at_issue
            ), 0)::BIGINT AS unknown_clp,
            (SELECT min(timezone('America/Santiago', started_at)::DATE) FROM raw.syncs)
                AS first_sync
        FROM items
    """)


def _past(source: Source) -> list[Block]:
    basis = past_basis(source)
    words = (
        f"Cifras al {day(source.as_of)}, reconstruidas con lo que se sabe hoy: emisión, notas, "
        "cesiones y pagos cuentan desde su propia fecha; las marcas de pago sin fecha, desde la "
        "sincronización que las vio por primera vez."
    )
    found: list[Block] = [Notice(words)]
    if basis.unknown:
        found.append(
            Notice(
                f"{day(source.as_of)} es anterior a la primera lectura de "
                f"{counted(basis.unknown, 'documento', 'documentos')} que ya "
                f"{'estaba pagado' if basis.unknown == 1 else 'estaban pagados'} entonces, sin "
                "que conste desde cuándo. Se muestran como pagados: el saldo de ese día pudo "
                f"ser hasta {pesos(basis.unknown_clp)} mayor.",
                warning=True,
            )
        )
    return found


def findings(source: Source) -> list[Any]:
    """marts.data_quality of the company, counted by check; always as of today."""
    return source.rows("""
        SELECT check_name, severity, count(*) AS cases
        FROM marts.data_quality
        WHERE getvariable('company') IS NULL OR company_rut IS NULL
            OR company_rut = getvariable('company')
        GROUP BY check_name, severity
        ORDER BY list_position(['error', 'warning', 'info'], severity), cases DESC, check_name
    """)


def quality(source: Source) -> Section:
    """What was left out and what looks wrong, counted."""
    rows = findings(source)
    if not rows:
        blocks: list[Block] = [Prose("No hay hallazgos de calidad ni documentos dejados fuera.")]
    else:
        table = Table(
            "Hallazgos de calidad de los datos de hoy, ventas y compras",
            ["Hallazgo", "Gravedad", ">Casos"],
            [
                (
                    CHECKS.get(r.check_name, r.check_name),
                    SEVERITIES.get(r.severity, r.severity),
                    number(r.cases),
                )
                for r in rows
            ],
        )
        blocks = [
            table,
            Prose('El detalle, documento por documento: tupana query "FROM marts.data_quality".'),
        ]
    return Section("calidad", "Calidad de los datos y exclusiones", blocks)
