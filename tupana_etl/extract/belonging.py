"""Which rows of an answer are those that were asked for.

A server may take no notice of a parameter that it does not know, without a word: then it
answers with rows of other days, of the other side, or of another company. Each row is
judged by what it says itself.
"""

from __future__ import annotations

import functools

import pyarrow as pa
import pyarrow.compute as pc

from tupana_etl.arrow import cells
from tupana_etl.domain import DTE_TYPES
from tupana_etl.extract.windows import OWN_SIDE, Window

_NO = cells.flag(False)
_BY_THE_PAYER = [t.code for t in DTE_TYPES.values() if not t.issuer_is_seller]
"""Types whose issuer is the buyer (46, 90)."""


def inside(window: Window, batch: pa.RecordBatch) -> pa.Array | None:
    """Which rows are of the window's dates; None when it asked for all."""
    if window.undated:
        return batch.column("date_issued").is_null()
    if window.date_from is None and window.date_to is None:
        return None
    days = batch.column("date_issued")
    bounds = []
    if window.date_from is not None:
        bounds.append(pc.greater_equal(days, cells.day(window.date_from)))
    if window.date_to is not None:
        bounds.append(pc.less_equal(days, cells.day(window.date_to)))
    found = functools.reduce(pc.and_, bounds)
    # A server that filters shows no row without a date; one that does not shows them all.
    return pc.fill_null(found, cells.flag(not window.by_server))


def strangers(window: Window, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array] | None:
    """Which rows say that they are not of the company and side that were asked for, and
    which of them may be all the same; None when there is none.

    A row that is silent about a party proves nothing against itself. What the payer issues
    proves nothing by naming the company on the other side: no row tells whether a list
    means its sender or its seller. Of a listing that shows other strangers it is one too.
    """
    parties = [name for name in window.stream.parties if name in batch.schema.names]
    if not parties or window.rut is None:
        return None
    rut = cells.text_array([window.rut])[0]
    others = {name: pc.not_equal(batch.column(name), rut) for name in parties}
    side = OWN_SIDE.get(window.direction or "")
    if side not in others:
        found = pc.fill_null(functools.reduce(pc.and_, others.values()), _NO)
        return (found, pc.and_not(found, found)) if pc.any(found).as_py() else None
    found = pc.fill_null(others.pop(side), _NO)
    if not pc.any(found).as_py():
        return None
    across = pc.invert(pc.fill_null(functools.reduce(pc.and_, others.values()), _NO))
    by_payer = pc.is_in(batch.column("dte_type_code"), cells.text_array(_BY_THE_PAYER))
    return found, pc.and_(found, pc.and_(across, by_payer))
