"""Every stream, declared once: where it comes from, its columns, key and slices.

Tables, column comments, Parquet layout, Dagster assets, contract tests, ``tupana
streams`` and the data dictionary are derived from this file. To add a stream, add one
entry to ``STREAMS`` and one fixture to the tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from tupana_etl.columns import Column, Kind


class Rows(Enum):
    """Where the rows are in an answer."""

    RESULTS = "results"
    """Under ``results`` of a paged envelope, or a bare array (both are met)."""
    OBJECT = "object"
    """The answer is the row."""
    TYPES = "types"
    """Under ``types``; the rest of the object belongs to each row."""


@dataclass(frozen=True)
class Stream:
    """One table of ``raw``: how to ask for it, what it holds, how it changes."""

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    path: str = ""
    """API path without the base; empty for a child, which comes with its parent."""
    params: tuple[tuple[str, str], ...] = ()
    slices: tuple[str, ...] = ()
    """What one listing is cut by: ``company``, ``direction``, ``window``, ``period``."""
    rows: Rows = Rows.RESULTS
    paged: bool = False
    detail: str = ""
    """Path of one row's detail, with ``{id}``."""
    parent: str = ""
    source: str = ""
    """For a child: the list inside the parent's JSON; ``a[].b`` is list b of each of list a."""
    freshness: timedelta = timedelta(hours=24)
    since: str = "2026-04"
    """First contract that has the endpoint."""
    parties: tuple[str, ...] = ()
    """Columns with the RUTs of those it concerns: the company it was read for is one."""
    lasting: bool = False
    """Its rows are legal facts: a listing of them that falls to zero is never believed. Other
    small lists may well become empty."""
    directions_since: str = "2026-04"
    """First contract that tells issued from received; an older one shows issued only."""

    @property
    def is_child(self) -> bool:
        return bool(self.parent)

    @property
    def by_name(self) -> dict[str, Column]:
        return {c.name: c for c in self.columns}


T, ID, RUT, M, Q = Kind.TEXT, Kind.ID, Kind.RUT, Kind.MONEY, Kind.QUANTITY
N, B, D, TS, J = Kind.INT, Kind.BOOL, Kind.DATE, Kind.TIME, Kind.JSON

COMPANY = Column("master_entity_id", ID, "The user's company the row was read for.")
DIRECTION = Column(
    "document_type", T, "issued (the company is the sender) or received (it is the receiver)."
)
DOCUMENT = Column("document_id", ID, "The document, as in raw.documents.id.")

_DOCUMENT_COLUMNS = (
    COMPANY,
    DIRECTION,
    Column("id", ID, "Tu Pana's id of the document."),
    Column("folio", ID, "Folio; NULL until issued, SANDBOX-… in the sandbox.", needed=True),
    Column("date_issued", D, "Issue date on the document (SII FchEmis).", needed=True),
    Column(
        "dte_type_code",
        ID,
        "SII document type; 80 and 90 are Tu Pana's for honorarios.",
        ("dte_type.code",),
        needed=True,
    ),
    Column("dte_type_description", T, "Name of the type.", ("dte_type.description",)),
    Column(
        "amount_with_iva",
        M,
        "Total of the document in its currency.",
        ("total_amount", "document_total.total_amount"),
        needed=True,
    ),
    Column(
        "amount_without_iva",
        M,
        "Net amount.",
        ("net_amount", "document_total.net_amount"),
        needed=True,
    ),
    Column("amount_iva", M, "IVA.", ("iva_amount", "document_total.iva_amount"), needed=True),
    Column("amount_exempt", M, "Exempt amount.", ("exempt_amount", "document_total.exempt_amount")),
    Column("currency", T, "CLP, UF, USD or EUR.", needed=True),
    Column("exchange_rate", Q, "Pesos per unit of the document's currency, if it says one."),
    Column("original_amount", M, "Amount in the foreign currency, if it says one."),
    Column("sender_id", ID, "Tu Pana's id of the issuer.", ("sender.id",)),
    Column("sender_name", T, "Name of the issuer.", ("sender.name",)),
    Column(
        "sender_tax_id",
        RUT,
        "RUT of the issuer.",
        ("sender.tax_id", "document_issuer.rut"),
        needed=True,
    ),
    Column("receiver_id", ID, "Tu Pana's id of the receiver.", ("receiver.id",)),
    Column("receiver_name", T, "Name of the receiver.", ("receiver.name",)),
    Column(
        "receiver_tax_id",
        RUT,
        "RUT of the receiver.",
        ("receiver.tax_id", "document_receiver.rut"),
        needed=True,
    ),
    Column("state", T, "Life cycle: draft, issued, failed …", ("sii_status",)),
    Column("is_sandbox", B, "True when the document never went to SII."),
    Column("is_paid", B, "Marked as paid in Tu Pana.", needed=True),
    Column("payment_status", T, "paid, unpaid or partially_paid, where the list says it."),
    Column("pending_amount", M, "What is left to pay, when partially paid."),
    Column("has_credit_note", B, "A credit note references it."),
    Column("vat_withheld", B, "IVA is withheld (46).", ("header.vat_withheld",)),
    Column(
        "payment_method",
        ID,
        "SII payment form: 1 cash, 2 credit, 3 free.",
        ("header.payment_method",),
        needed=True,
    ),
    Column("due_date", D, "Due date on the document.", ("header.due_date",)),
    Column("retention_type", T, "Who withholds on honorarios.", ("header.retention_type",)),
    Column("has_trace", B, "SII's claim register knows the document."),
    Column(
        "date_reception",
        TS,
        "When SII received it: starts the 8 days of Ley 19.983.",
        ("latest_trace_info.date_reception", "traces.0.date_reception"),
    ),
    Column(
        "has_claims",
        B,
        "The receiver claimed it (RCD, RFP or RFT).",
        ("latest_trace_info.has_claims", "traces.0.has_claims"),
    ),
    Column(
        "has_acknowledgments",
        B,
        "The receiver accepted it (ACD or ERM).",
        ("latest_trace_info.has_acknowledgments", "traces.0.has_acknowledgments"),
    ),
    Column(
        "is_rejected",
        B,
        "Rejected by the receiver.",
        ("latest_trace_info.is_rejected", "traces.0.is_rejected"),
    ),
    Column("is_paid_cash", B, "Paid in cash according to SII.", ("traces.0.is_paid_cash",)),
    Column(
        "latest_trace_info",
        J,
        "Summary of the claim register.",
        volatile_keys=("is_more_than_eight_days",),
    ),
    Column(
        "traces",
        J,
        "The claim register in full, with its events.",
        volatile_keys=(
            "is_more_than_eight_days",
            "days_until_executive_merit",
            "executive_merit_alert_level",
        ),
    ),
    Column("trace_update_log", J, "When Tu Pana last asked SII.", volatile=True),
    Column("document_states", J, "Labels Tu Pana shows for the document.", absent_as="labels"),
    Column("header", J, "Header as sent: payment, transaction and retention types."),
    Column("book_metadata", J, "What SII's purchase or sales register says of it."),
    Column("json_param", J, "The user's own metadata."),
    Column("export_data", J, "Export block."),
    Column("transport_data", J, "Transport block."),
    Column("additional_info", J, "Free text on the document."),
    Column("document_issuer", J, "Issuer's data as printed."),
    Column("document_receiver", J, "Receiver's data as printed."),
    Column("document_total", J, "Totals as printed."),
    Column(
        "pdf",
        T,
        "Presigned URL of the PDF: dies after an hour, see `tupana files`.",
        ("pdf_url", "pdf_file"),
        volatile=True,
    ),
    Column("xml_error", T, "Why the XML could not be had.", volatile=True),
    Column("created_at", TS, "When Tu Pana first stored it."),
    Column("updated_at", TS, "When Tu Pana last changed it; not every change moves it."),
)

_DOCUMENT_KEY = ("master_entity_id", "document_type", "document_id")
_POSITION = Column("position", N, "Order in the document, from 1.")

STREAMS: dict[str, Stream] = {
    s.name: s
    for s in (
        Stream(
            "credentials",
            "Credentials enrolled at Tu Pana and the companies they open; no secret.",
            (
                COMPANY,
                Column("id", ID, "Id of the credential."),
                Column("user", RUT, "RUT of the person the credential is of."),
                Column("credential_type", J, "Which site it opens."),
                Column("status", T, "VALID, INVALID or EXPIRED."),
                Column("master_entities", J, "Companies it opens: id, name, tax_id."),
                Column("created_at", TS, "When it was enrolled."),
            ),
            ("id",),
            "/credentials",
        ),
        Stream(
            "master_entities",
            "The user's own companies, as Tu Pana and SII know them.",
            (
                COMPANY,
                Column("id", ID, "Tu Pana's id of the company."),
                Column("opaque_id", ID, "The same id in its opaque form (eid_…)."),
                Column("tax_id", RUT, "RUT.", ("rut",)),
                Column("name", T, "Registered name."),
                Column("email", T, "Contact address."),
                Column("addresses", J, "Addresses with district, city and SII branch code."),
                Column("activities", J, "Registered activities."),
            ),
            ("id",),
            "/master-entities",
            slices=("company",),
            rows=Rows.OBJECT,
        ),
        Stream(
            "documents",
            "Tax documents issued and received, once per company and side.",
            _DOCUMENT_COLUMNS,
            ("master_entity_id", "document_type", "id"),
            "/documents",
            params=(("include_trace_events", "true"), ("include_book_metadata", "true")),
            slices=("company", "direction", "window"),
            parties=("sender_tax_id", "receiver_tax_id"),
            lasting=True,
            paged=True,
            detail="/documents/{id}",
            freshness=timedelta(hours=6),
        ),
        Stream(
            "document_lines",
            "Lines of the documents: what was sold.",
            (
                COMPANY,
                DIRECTION,
                DOCUMENT,
                _POSITION,
                Column("line_number", N, "Number printed on the line."),
                Column("item_name", T, "What was sold."),
                Column("item_description", T, "More about it."),
                Column("item_code", ID, "Code of the item."),
                Column("item_type_code", ID, "Kind of code."),
                Column("quantity", Q, "Quantity, 6 decimals."),
                Column("unit", T, "Unit of measure.", ("unit_of_measurement",)),
                Column("unit_price", Q, "Price of one unit, in the document's currency."),
                Column("gross_unit_price", Q, "The same with IVA (39, 41)."),
                Column("discount_percent", Q, "Discount on the line, percent."),
                Column("is_exempt", B, "The line bears no IVA."),
                Column("other_tax", Q, "Additional tax."),
                Column("item_total", M, "Amount of the line, in the document's currency."),
            ),
            (*_DOCUMENT_KEY, "position"),
            parent="documents",
            source="details",
            freshness=timedelta(hours=6),
        ),
        Stream(
            "document_references",
            "What the documents refer to: invoices, orders, receipts.",
            (
                COMPANY,
                DIRECTION,
                DOCUMENT,
                _POSITION,
                Column(
                    "reference_folio", ID, "Folio of the other document; text, not only digits."
                ),
                Column("reference_date", D, "Its date."),
                Column(
                    "reference_code",
                    ID,
                    "SII CodRef: 1 annuls, 2 corrects text, 3 corrects amounts.",
                    ("cod_ref", "reference_type_code"),
                ),
                Column("reference_reason", T, "Why it is referred to."),
                Column(
                    "dte_type_code",
                    ID,
                    "Type of the other document (801 is an order).",
                    ("reference_type.code", "dte_type.code"),
                ),
            ),
            (*_DOCUMENT_KEY, "position"),
            parent="documents",
            source="references",
            freshness=timedelta(hours=6),
        ),
        Stream(
            "document_states",
            "Events of SII's claim register and of payment, with their time.",
            (
                COMPANY,
                DIRECTION,
                DOCUMENT,
                Column(
                    "event_code",
                    ID,
                    "ACD, ERM, RCD, RFP, RFT, PAG, NCA, ENC, CED, PAID …",
                    ("code",),
                ),
                Column("event_date", TS, "When; without a zone it is Santiago's.", ("date",)),
                Column("event_description", T, "What it means.", ("description",)),
                Column("responsable_rut", ID, "RUT body of whoever registered it."),
                Column("responsable_dv", ID, "Its check digit."),
                Column("rejected_by_user", T, "Who rejected it in Tu Pana."),
                Column("accepted_by_user", T, "Who accepted it in Tu Pana."),
            ),
            (*_DOCUMENT_KEY, "event_code", "event_date"),
            parent="documents",
            source="traces[].events",
            freshness=timedelta(hours=6),
        ),
        Stream(
            "cessions",
            "Cessions of invoices to assignees, as cedente or as debtor.",
            (
                COMPANY,
                DIRECTION,
                Column("id", ID, "Id of the cession."),
                Column("document_id", ID, "The ceded document."),
                Column("document_folio", ID, "Its folio."),
                Column("document_date_issued", D, "Its issue date."),
                Column("document_amount", M, "Its total, pesos."),
                Column("supplier_id", ID, "Id of the invoice's issuer."),
                Column("supplier_name", T, "Name of the invoice's issuer."),
                Column("supplier_rut", RUT, "RUT of the invoice's issuer."),
                Column("receiver_id", ID, "Id of the debtor."),
                Column("receiver_name", T, "Name of the debtor."),
                Column("receiver_rut", RUT, "RUT of the debtor."),
                Column("assignee_rut", RUT, "RUT of the cesionario."),
                Column("assignee_business_name", T, "Name of the cesionario."),
                Column("assignee_entity_id", ID, "Id of the cesionario, if Tu Pana knows it."),
                Column("assignee_entity_name", T, "Its name at Tu Pana."),
                Column("assignee_entity_tax_id", RUT, "Its RUT at Tu Pana."),
                Column("assignment_amount", M, "Amount ceded (MontoCesion), pesos."),
                Column("status", T, "processing, rejected or success."),
                Column("status_message", T, "What SII said."),
                Column("source", T, "internal (by Tu Pana) or external (seen at SII)."),
                Column("sii_date_sent", TS, "When the AEC went to SII."),
                Column("aec_url", T, "Presigned URL of the AEC.", volatile=True),
                Column("created_at", TS, "When Tu Pana stored it."),
            ),
            ("master_entity_id", "document_type", "id"),
            "/cessions",
            slices=("company", "direction"),
            parties=("supplier_rut", "receiver_rut", "assignee_rut"),
            lasting=True,
            directions_since="2026-08",
            paged=True,
            freshness=timedelta(hours=6),
        ),
        Stream(
            "scheduled_documents",
            "Documents that Tu Pana issues by itself on a calendar.",
            (
                COMPANY,
                Column("id", ID, "Id of the schedule."),
                Column("sender_id", ID, "Issuer.", ("sender.id",)),
                Column("sender_rut", RUT, "RUT of the issuer.", ("sender.rut", "sender.tax_id")),
                Column("receiver_id", ID, "Receiver.", ("receiver.id",)),
                Column("receiver_name", T, "Name of the receiver.", ("receiver.name",)),
                Column(
                    "receiver_rut",
                    RUT,
                    "RUT of the receiver.",
                    ("receiver.rut", "receiver.tax_id"),
                ),
                Column("dte_type_code", ID, "Type to issue.", ("dte_type.code",)),
                Column("frequency", T, "daily … yearly."),
                Column("day_of_month", N, "Day, 31 falls back to the month's end."),
                Column("day_of_week", N, "1 is Monday."),
                Column("next_execution", TS, "When it runs next."),
                Column("status", T, "active, inactive or completed."),
                Column("amount", M, "Amount of each run, in its currency."),
                Column("currency", T, "CLP, UF, USD or EUR."),
                Column("currency_day", N, "Day whose rate is used."),
                Column("completed_occurrences", N, "Runs so far."),
                Column("max_occurrences", N, "Runs at most."),
                Column("start_date", D, "First day."),
                Column("end_date", D, "Last day."),
                Column("end_type", T, "never, on_date or after_occurrences."),
                Column("emission_day_adjustment", T, "What a non-working day does."),
                Column("details", J, "Lines of each document."),
                Column("references", J, "References of each document."),
                Column("created_at", TS, "When it was made."),
                Column("updated_at", TS, "When it last changed."),
            ),
            ("id",),
            "/scheduled-documents",
            slices=("company",),
            parties=("sender_rut", "receiver_rut"),
            paged=True,
        ),
        Stream(
            "webhooks",
            "Webhooks registered at Tu Pana; their secret is removed before anything is stored.",
            (
                COMPANY,
                Column("id", ID, "Id of the webhook."),
                Column("url", T, "Where events go."),
                Column("events", J, "Which events."),
                Column("is_active", B, "Whether it is on."),
                Column("last_status_code", N, "What the receiver last answered.", volatile=True),
                Column("last_sent_at", TS, "When an event last went out.", volatile=True),
                Column("last_delivery", J, "The last delivery.", volatile=True),
                Column("success_rate", Q, "Percent delivered.", volatile=True),
                Column("created_at", TS, "When it was registered."),
                Column("updated_at", TS, "When it last changed."),
            ),
            ("id",),
            "/webhooks",
        ),
        Stream(
            "book_summaries",
            "SII's purchase and sales books, one row per month, operation and type.",
            (
                COMPANY,
                Column("period", ID, "Month, YYYYMM."),
                Column("operation", T, "COMPRA or VENTA."),
                Column("dte_type_code", ID, "Type; '' when the row has none.", null_as=""),
                Column("id", ID, "Id of the row."),
                Column("dte_type_name", T, "Name of the type."),
                Column("total_docs", N, "Documents."),
                Column("net_amount", M, "Net, pesos."),
                Column("exempt_amount", M, "Exempt, pesos."),
                Column("vat_amount", M, "IVA, pesos."),
                Column("total_amount", M, "Total, pesos."),
                Column("scraped_at", TS, "When SII was last asked.", volatile=True),
            ),
            ("master_entity_id", "period", "operation", "dte_type_code"),
            "/book-summaries",
            slices=("company", "period"),
            since="2026-08",
        ),
        Stream(
            "sync_status",
            "When Tu Pana last read SII for each company, by kind of data.",
            (
                COMPANY,
                Column("scrape_type", T, "ISSUED_DOCS, RECEIVED_DOCS, PURCHASE_BOOK …"),
                Column("sync_frequency_hours", N, "How often Tu Pana asks SII."),
                Column("last_success_at", TS, "Last time it worked."),
                Column("last_status", T, "in_progress, completed or failed."),
            ),
            ("master_entity_id", "scrape_type"),
            "/sync-status",
            slices=("company",),
            rows=Rows.TYPES,
            since="2026-08",
        ),
    )
}

DROPPED = frozenset({"secret", "xml"})
"""Keys of an answer that are never stored: a webhook's secret, and the document's XML,
which is read for lines and references and fetched whole by ``tupana files``."""


_SECRET = re.compile(r"secret|passw|token|api_?key|private", re.IGNORECASE)


def is_secret(key: str) -> bool:
    """Whether a key nobody declared looks like one whose value must not be stored."""
    return _SECRET.search(key) is not None


def children(parent: str) -> list[Stream]:
    return [s for s in STREAMS.values() if s.parent == parent]


def _check() -> None:
    for stream in STREAMS.values():
        names = [c.name for c in stream.columns]
        missing = set(stream.key) - set(names)
        if missing or len(names) != len(set(names)):
            raise ValueError(f"stream {stream.name}: key {missing} or a column twice")
        if stream.parent and stream.parent not in STREAMS:
            raise ValueError(f"stream {stream.name}: no parent {stream.parent}")


_check()
