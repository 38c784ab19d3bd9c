"""Faults of a list while it is paged: documents that come and go."""

from __future__ import annotations

from datetime import date

from starlette.requests import Request

from tupana_etl.sandbox import documents, population, store, web
from tupana_etl.sandbox.faults import Fault
from tupana_etl.sandbox.lists import opaque

KINDS = frozenset({"insert_while_paging", "delete_while_paging"})


def touch(fault: Fault, request: Request, context: web.Context) -> bool:
    """Inserts a document at the front of the list asked for, or deletes one of it."""
    asked = request.query_params
    company = next(
        (
            e
            for e in population.own_companies(context.connection)
            if asked.get("master_entity_id") in {str(e.id), opaque(e.id)}
        ),
        None,
    )
    if company is None:
        return False
    if fault.kind == "insert_while_paging":
        today = store.today(context.connection).isoformat()
        day = str(fault.argument or min(today, asked.get("issue_date_lte", today)))
        side = asked.get("document_type", "issued")
        population.add(context.connection, company, 1, date.fromisoformat(day), side=side)
        return True
    try:
        where, values = documents.filters(request, context, company.id)
    except web.Refusal:
        return False  # the routes will say why
    row = context.connection.execute(
        f"SELECT d.id FROM document d WHERE {where} ORDER BY d.date_issued DESC, d.id DESC LIMIT 1",
        values,
    ).fetchone()
    if fault.argument is not None:
        row = (int(fault.argument),)
    if row is None:
        return False
    with context.connection:
        context.connection.execute("BEGIN")
        store.delete_document(context.connection, row[0])
    return True
