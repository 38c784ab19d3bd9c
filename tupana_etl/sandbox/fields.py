"""Fields that POST /documents/batch knows, as the published schemas name them."""

from __future__ import annotations

_TYPES = frozenset({"33", "34", "39", "41", "46", "52", "61", "80", "90", "110"})
_SINCE_JULY = frozenset({"41"})

LINE = frozenset(
    {
        *("item_name", "item_description", "quantity", "unit_price", "gross_unit_price"),
        *("unit", "item_code", "item_type_code", "discount_percent", "other_tax", "is_exempt"),
    }
)
PARTS: dict[str, frozenset[str]] = {
    "": frozenset(
        {
            *("date_issued", "folio", "dte_type", "document_issuer", "document_receiver"),
            *("details", "header", "references", "json_param", "export_data"),
            *("transport_data", "additional_info"),
        }
    ),
    "dte_type": frozenset({"code"}),
    "document_issuer": frozenset(
        {
            *("rut", "business_name", "phone_number", "email", "business_activity"),
            *("activity_code", "sii_branch_code", "address", "district", "city"),
        }
    ),
    "document_receiver": frozenset(
        {
            *("rut", "business_name", "contact", "business_activity", "address"),
            *("district", "city"),
        }
    ),
    "header": frozenset(
        {
            *("purchase_transaction_type", "sale_transaction_type", "payment_method"),
            *("due_date", "vat_withheld", "retention_type", "purchase_type"),
        }
    ),
    "export_data": frozenset(
        {
            *("tax_id_receptor", "destination_country_code", "currency_code", "exchange_rate"),
            *("departure_port_code", "arrival_port_code", "departure_port_name"),
            *("arrival_port_name", "total_packages", "sale_mode_code", "export_type"),
        }
    ),
    "transport_data": frozenset(
        {
            *("transport_type", "transport_rut", "transport_plate", "driver_rut"),
            *("driver_name", "timber_enabled", "comuna_rol", "manzana_rol", "predio_rol"),
            *("geo_ref_system", "latitude", "longitude", "conaf_plan_code"),
        }
    ),
}
REFERENCE = frozenset({"reference_folio", "reference_date", "reference_reason", "dte_type_code"})
NEWER = {"": {"additional_info"}, "details": {"gross_unit_price", "is_exempt"}}
"""Fields that the contract of 2026-04 does not know."""


def types(contract: str) -> frozenset[str]:
    """Types of document that can be issued."""
    return _TYPES - _SINCE_JULY if contract == "2026-04" else _TYPES
