"""Where answers are known to differ from the vendor's published OpenAPI files.

The files are written by hand and contradict the vendor's own text in places. Each entry
says which field of which schema really is otherwise, what it may be, and who says so.
Sources: LLMS, the vendor's reference of 2026-04-17; DOCS-V1, the vendor's pages as of
2026-08-20; DOCS-NEW, pages written since; OBSERVED, a client of the live API.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from tupana_etl.errors import ConfigError

SANDBOX = "SANDBOX-"
"""Begins the folio of a document that never went to SII; its id follows."""

SWITCHES = {
    "bare_arrays": (
        "Paged lists answer the bare array of the page; /credentials and /webhooks an envelope.",
        "DOCS-V1 has bare arrays for some lists, LLMS one envelope for all of them.",
    ),
    "no_total_pages": ("No total_pages.", "DOCS-V1 list of /documents, against LLMS."),
    "no_next": ("Neither next nor previous.", "DOCS-V1 list of /cessions, against LLMS."),
    "no_count": ("No count.", "DOCS-V1 list of /payment-requests/ has results only."),
    "decimal_strings": (
        'Amounts as "119000.00".',
        'DOCS-V1: exchange_rate and settlement totals ("150000.00"), old webhook bodies.',
    ),
    "mixed_ids": (
        "Ids are strings or integers, row by row and field by field.",
        "DOCS-V1 detail: sender_id integer beside receiver_id string.",
    ),
    "sandbox_folios": (
        "Folios SANDBOX-{id}, is_sandbox true.",
        "DOCS-V1, how a document of the sandbox is told.",
    ),
    "slash_redirects": (
        "A path without its trailing slash is redirected to the one with it.",
        "Inferred: the framework's own habit; v2 paths end in a slash (SDK).",
    ),
    "page_cap": (
        "page_size is cut at 50 without a word.",
        "DOCS-V2 introduction: clipped silently; v1 maxima differ per list (DOCS-V1).",
    ),
    "foreign_next": (
        "next names another host.",
        "Not documented; DOCS-V1's links are absolute URLs, built from what a proxy says.",
    ),
    "past_end_404": (
        "A page past the end is a 404: as it is without any switch.",
        "Inferred: the framework's own answer.",
    ),
    "past_end_empty": (
        "A page past the end is empty.",
        "OBSERVED: the client takes an empty page for the end.",
    ),
    "null_dates": (
        "Drafts without date_issued: in unfiltered lists, behind no date filter.",
        "Inferred: drafts exist (DOCS-V1, state), and a null is on no side of a day.",
    ),
    "side_ignored": (
        "/documents takes no notice of document_type: both sides at once.",
        "Inferred: the framework ignores parameters that it does not know, without a word.",
    ),
    "only_issued": (
        "/documents takes no notice of document_type: what was issued, whatever is asked.",
        "Inferred, as above: issued is the default (LLMS).",
    ),
    "company_ignored": (
        "/documents takes no notice of master_entity_id: those of every company of the key.",
        "Inferred, as above.",
    ),
    "unknown_fields": (
        "Keys nobody documented, on some rows.",
        "DOCS-V1 history: payloads grew almost monthly in 2026.",
    ),
    "new_names": (
        "net_amount, iva_amount, pdf_url, dte_type{code, description}.",
        "OBSERVED (amounts), DOCS-V1 prose (pdf_url) and its older example (dte_type).",
    ),
}
"""Ways of the live API that answers of this server can take on: what, and who says so."""


def checked(names: Iterable[str]) -> frozenset[str]:
    """The names, once all of them are known and agree with each other."""
    found = frozenset(names)
    unknown = sorted(found - set(SWITCHES))
    if unknown:
        raise ConfigError(
            f"Unknown deviation {', '.join(unknown)}. Known: {', '.join(sorted(SWITCHES))}."
        )
    if {"past_end_404", "past_end_empty"} <= found:
        raise ConfigError("Choose past_end_404 or past_end_empty, not both.")
    return found


@dataclass(frozen=True)
class Deviation:
    """One field that the published schema has wrong, with the JSON schema it really has."""

    schema: str
    field: str
    really: dict[str, Any]
    source: str


DEVIATIONS = (
    Deviation(
        "DocumentStatesResponse",
        "folio",
        {"type": "string", "nullable": True},
        "DOCS-V1: folio is null until the document is issued, here as in the detail.",
    ),
    Deviation(
        "ReferenceItem",
        "reference_folio",
        {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        'DOCS-V1, example of the detail: "OC12345".',
    ),
    Deviation(
        "ReferenceItem",
        "dte_type_code",
        {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        "DOCS-V1, example of the detail: 801 as a number.",
    ),
    Deviation(
        "ReferenceItem",
        "reference_reason",
        {"type": "string", "nullable": True},
        "DOCS-V1: an order has no reason to give.",
    ),
    Deviation(
        "DetailItem",
        "item_type_code",
        {"oneOf": [{"type": "integer"}, {"type": "string"}], "nullable": True},
        "DOCS-V1: kinds of code are numbers and words (INT1, EAN13).",
    ),
    *(
        Deviation(
            "DetailItem",
            field,
            {"type": kind, "nullable": True},
            "DOCS-V1: most values of a line may be null.",
        )
        for field, kind in (
            ("item_description", "string"),
            ("item_code", "string"),
            ("unit", "string"),
            ("discount_percent", "number"),
            ("other_tax", "number"),
        )
    ),
    Deviation(
        "DocumentDetailWithFiles",
        "references",
        {
            "type": "array",
            "items": {"$ref": "#/components/schemas/ReferenceItem"},
            "nullable": True,
        },
        "DOCS-V1: a document whose lines are known by its XML alone has neither.",
    ),
    Deviation(
        "DocumentReceiver",
        "business_name",
        {"type": "string", "nullable": True},
        "Receipts (39) to an unnamed buyer, RUT 66666666-6.",
    ),
)
"""What is in answers and in no schema, and breaks none since they allow more keys:
``total_pages`` of every list (LLMS, OBSERVED), ``details[].line_number`` and
``item_total`` (DOCS-V1, prose), ``details[].is_exempt`` and ``document_total`` with
``exempt_amount`` (DOCS-NEW, 2026-09)."""

ANSWERS = (
    (
        401,
        {"error_code": "INVALID_API_KEY"},
        "A missing or wrong key (SDK test); one page of DOCS-V1 says 403.",
    ),
    (
        404,
        {"detail": "Invalid page."},
        "A page past the end: the framework's own answer, inferred, not documented.",
    ),
)
"""Answers that no file documents: status, body, and who says so."""


def corrected(spec: dict[str, Any], deviations: Iterable[Deviation] = DEVIATIONS) -> dict[str, Any]:
    """A copy of the published file with the deviations put in."""
    spec = deepcopy(spec)
    schemas = spec["components"]["schemas"]
    for deviation in deviations:
        schema = schemas[deviation.schema]
        own = schema if "properties" in schema else schema["allOf"][-1]
        own["properties"][deviation.field] = deviation.really
    return spec
