"""The row contract: which columns a source may have and what each type of document needs.

One row is one line of a document. Validation, the document that is sent and
``docs/outbox.md`` all follow from the two tables here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tupana_etl.domain import DTE_TYPES

Kind = Literal["text", "code", "rut", "date", "whole", "number", "yes_no", "list", "object"]

MAX_LINES = 60
"""Lines of a DTE (SII, Formato DTE 2.2)."""
MAX_REFERENCES = 40
"""References of a DTE (SII, Formato DTE 2.2)."""
ANNULS = "ANULA DOCUMENTO DE LA REFERENCIA"
"""The reason a credit note for the whole document must give (API reference, ReferenceItem)."""


@dataclass(frozen=True)
class Column:
    """A column of the contract."""

    name: str
    kind: Kind
    doc: str
    of_line: bool = False
    """Belongs to the line; the others must be the same on every line of a document."""
    limit: int = 0
    """Longest text, in characters; 0 for none of its own."""
    choices: tuple[str, ...] = ()
    always: bool = False
    """Needed whatever the type."""


COLUMNS: dict[str, Column] = {
    c.name: c
    for c in (
        Column(
            "row_key",
            "text",
            "Identity of the document in your business, such as `billing:ACME:2026-11`. Never a "
            "run id, today's date or a hash of the content: the same key is the same document for "
            "ever, and at most one is issued for it. The API only sees a keyed hash of it.",
            limit=200,
            always=True,
        ),
        Column("dte_type", "code", "SII document type.", always=True),
        Column("issuer_rut", "rut", "Your company, or the payer for 46 and 90.", always=True),
        Column("receiver_rut", "rut", "The other party; `55555555-5` for exports.", always=True),
        Column(
            "receiver_name",
            "text",
            "Its name. Empty: the API fills it from its registry.",
            limit=100,
        ),
        Column(
            "date_issued",
            "date",
            "Date of the document. Never filled in for you: it decides the VAT month and, for "
            "80 and 90, the retention.",
            always=True,
        ),
        Column(
            "payment_method",
            "code",
            "`1` cash, `2` credit, `3` free. Empty in 39 and 41 means `1`, in notes, guides and "
            "honorarios `2`; it is always written into what is sent.",
            choices=("1", "2", "3"),
        ),
        Column(
            "due_date",
            "date",
            "When it is to be paid. Needed for credit sales; empty elsewhere means the date of "
            "the document.",
        ),
        Column(
            "line_number",
            "whole",
            "Order of the lines; needed when a row key has several. Any whole numbers from 1.",
            of_line=True,
        ),
        Column("item_name", "text", "What is sold.", of_line=True, limit=80, always=True),
        Column("item_description", "text", "More about it.", of_line=True, limit=1000),
        Column("item_code", "text", "Your code for it.", of_line=True, limit=35),
        Column("unit", "text", "Unit of the quantity.", of_line=True, limit=4),
        Column(
            "quantity",
            "number",
            "How many: above 0, at most 12 digits and 6 decimals.",
            of_line=True,
            always=True,
        ),
        Column(
            "unit_price",
            "number",
            "Price of one, without IVA, in the currency of the document: from 0, at most 12 "
            "digits and 6 decimals.",
            of_line=True,
        ),
        Column(
            "gross_unit_price",
            "number",
            "Price of one with IVA, instead of `unit_price`, on every line.",
            of_line=True,
        ),
        Column(
            "discount_percent",
            "number",
            "Discount of the line, 0 to 100, at most 2 decimals.",
            of_line=True,
        ),
        Column(
            "is_exempt",
            "yes_no",
            "The line bears no IVA. Only asked where a document can hold both kinds (33, 39, 46, "
            "52, 56, 61); other types are exempt or not as a whole.",
            of_line=True,
        ),
        Column(
            "references",
            "list",
            "JSON list of the documents referred to: `dte_type_code`, `reference_folio`, "
            "`reference_date`, `reference_reason`.",
        ),
        Column(
            "purchase_transaction_type",
            "code",
            "Kind of purchase in SII's register.",
            limit=2,
        ),
        Column("sale_transaction_type", "code", "Kind of sale in SII's register.", limit=2),
        Column(
            "vat_withheld",
            "yes_no",
            "The buyer withholds the whole IVA. Empty means yes in a 46 and in a note about one "
            "(the rule of a change of subject); it is always written into what is sent.",
        ),
        Column(
            "retention_type",
            "code",
            "Who withholds: the payer (`RETRECEPTOR`) or the provider (`RETCONTRIBUYENTE`).",
            choices=("RETRECEPTOR", "RETCONTRIBUYENTE"),
        ),
        Column(
            "export_data",
            "object",
            "JSON object of the export: `currency_code` and, unless in pesos, `exchange_rate` "
            "(text) are needed; others as in the API's `ExportData`.",
        ),
        Column(
            "transport_data",
            "object",
            "JSON object of the transport: `transport_type` (1 to 9) is needed; others as in the "
            "API's `TransportData`.",
        ),
        Column("additional_info", "text", "Free text on the document.", limit=1000),
        Column(
            "json_param",
            "object",
            "JSON object of your own texts that come back with the document. The key "
            "`tupana_etl_row` is ours.",
        ),
        Column(
            "expected_total",
            "number",
            "What your system makes of the document. Never sent; a difference blocks the row.",
        ),
    )
}

References = Literal["none", "optional", "needed"]


@dataclass(frozen=True)
class TypeRule:
    """What one type of document needs and may carry, beside the columns of every type."""

    code: str
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    references: References = "optional"
    payment_default: str = ""
    """'' when the row must say it."""
    note: str = ""

    @property
    def name(self) -> str:
        return DTE_TYPES[self.code].name

    @property
    def mixes_exempt(self) -> bool:
        """Lines with and without IVA may stand together."""
        return DTE_TYPES[self.code].has_iva

    @property
    def priced_gross(self) -> bool:
        return DTE_TYPES[self.code].is_receipt

    @property
    def may_total_zero(self) -> bool:
        """A note that corrects a text has no money effect; a guide moves goods."""
        return DTE_TYPES[self.code].is_note or self.code == "52"


_SALE = ("due_date", "sale_transaction_type", "additional_info", "expected_total")
_NOTE = ("due_date", "payment_method", "additional_info", "expected_total")

TYPE_RULES: dict[str, TypeRule] = {
    r.code: r
    for r in (
        TypeRule("33", ("unit_price", "payment_method"), _SALE),
        TypeRule("34", ("unit_price", "payment_method"), _SALE),
        TypeRule(
            "39",
            may=("unit_price", "gross_unit_price", "payment_method", *_SALE),
            payment_default="1",
            note="Prices with IVA (`gross_unit_price`) keep the total the customer paid.",
        ),
        TypeRule(
            "41",
            may=("unit_price", "gross_unit_price", "payment_method", *_SALE),
            payment_default="1",
            note="The API takes it since contract 2026-08.",
        ),
        TypeRule(
            "46",
            ("unit_price", "payment_method", "purchase_transaction_type"),
            ("due_date", "vat_withheld", "additional_info", "expected_total"),
            note="You are the buyer and the issuer; the receiver is the seller.",
        ),
        TypeRule(
            "52",
            ("unit_price", "transport_data"),
            ("payment_method", *_SALE),
            payment_default="2",
        ),
        TypeRule(
            "56",
            ("unit_price",),
            ("vat_withheld", *_NOTE),
            references="needed",
            payment_default="2",
            note="In the API's SDK, not in its published schema: try it in the sandbox first.",
        ),
        TypeRule(
            "61",
            ("unit_price",),
            ("vat_withheld", *_NOTE),
            references="needed",
            payment_default="2",
            note="Each reference needs its reason. To annul a whole document give exactly one "
            f"reference, with the reason `{ANNULS}`.",
        ),
        TypeRule(
            "80",
            ("unit_price", "retention_type"),
            ("due_date", "payment_method", "additional_info", "expected_total"),
            payment_default="2",
            note="Prices are gross fees; the retention is that of the year of the date.",
        ),
        TypeRule(
            "90",
            ("unit_price", "retention_type"),
            ("due_date", "payment_method", "additional_info", "expected_total"),
            payment_default="2",
            note="You pay and issue; the receiver is the person who did the work.",
        ),
        TypeRule("110", ("unit_price", "payment_method", "export_data"), _SALE),
        TypeRule(
            "111",
            ("unit_price", "export_data"),
            _NOTE,
            references="needed",
            payment_default="2",
            note="In the API's SDK, not in its published schema: try it in the sandbox first.",
        ),
        TypeRule(
            "112",
            ("unit_price", "export_data"),
            _NOTE,
            references="needed",
            payment_default="2",
            note="Named in the API's `ExportData`, not in its list of types: try it in the "
            "sandbox first.",
        ),
    )
}

EVERY_TYPE = frozenset(
    {name for name, column in COLUMNS.items() if column.always}
    | {"receiver_name", "line_number", "item_description", "item_code", "unit"}
    | {"discount_percent", "is_exempt", "references", "json_param"}
)
"""Columns that any type may carry."""


def carries(rule: TypeRule, column: str) -> bool:
    """Whether a document of the type may have the column filled."""
    return column in EVERY_TYPE or column in rule.needs or column in rule.may


EXPORT_FIELDS = frozenset(
    {
        *("tax_id_receptor", "destination_country_code", "currency_code", "exchange_rate"),
        *("departure_port_code", "arrival_port_code", "departure_port_name"),
        *("arrival_port_name", "total_packages", "sale_mode_code", "export_type"),
    }
)
"""Fields of ``ExportData`` (API reference, POST /documents/batch)."""

TRANSPORT_FIELDS = frozenset(
    {
        *("transport_type", "transport_rut", "transport_plate", "driver_rut", "driver_name"),
        *("timber_enabled", "comuna_rol", "manzana_rol", "predio_rol", "geo_ref_system"),
        *("latitude", "longitude", "conaf_plan_code"),
    }
)
"""Fields of ``TransportData`` (API reference, POST /documents/batch)."""

REFERENCE_FIELDS = frozenset(
    {"dte_type_code", "reference_folio", "reference_date", "reference_reason"}
)
"""Fields of ``ReferenceItem`` (API reference, POST /documents/batch)."""
