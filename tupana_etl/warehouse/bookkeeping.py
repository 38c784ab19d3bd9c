"""The tables that answer what was asked, what came, whether it is whole, from which call."""

from __future__ import annotations

from dataclasses import dataclass

from tupana_etl.columns import Column, Kind


@dataclass(frozen=True)
class Book:
    """A table of bookkeeping: what a row is, and its columns."""

    doc: str
    columns: tuple[Column, ...]


_RUN = Column("run_id", Kind.TEXT, "The run: raw.syncs.run_id.")
_STREAM = Column("stream", Kind.TEXT, "The stream that was asked for.")
_COMPANY = Column("master_entity_id", Kind.TEXT, "The company; NULL where there is none.")
_DIRECTION = Column("document_type", Kind.TEXT, "issued or received; NULL where it is neither.")

BOOKKEEPING = {
    "raw.syncs": Book(
        "One row per run of `tupana sync` and per refresh of one document.",
        (
            Column("run_id", Kind.TEXT, "The run, by when it began (UTC)."),
            Column("asked", Kind.TEXT, "What was asked for: everything, or which part."),
            Column("whole", Kind.BOOL, "Whether that is every stream of every company."),
            Column("started_at", Kind.TIME, "When it began."),
            Column("finished_at", Kind.TIME, "When it ended; NULL if it was interrupted."),
            Column("complete", Kind.BOOL, "Whether every window was read whole."),
            Column("requests", Kind.INT, "Requests sent, retries included."),
            Column("seen", Kind.INT, "Rows that came."),
            Column("new", Kind.INT, "Rows met for the first time."),
            Column("changed", Kind.INT, "Rows that got a new version."),
            Column("deleted", Kind.INT, "Rows found to be gone, by two runs."),
            Column("rejected", Kind.INT, "Rows that could not be taken: raw.rejects."),
            Column("incomplete", Kind.TEXT, "What could not be read whole, a line each."),
        ),
    ),
    "raw.windows": Book(
        "One row per window read: what was asked, how much came, whether it was whole.",
        (
            _RUN,
            _STREAM,
            _COMPANY,
            _DIRECTION,
            Column("date_from", Kind.DATE, "First issue date asked for; NULL: no bound."),
            Column("date_to", Kind.DATE, "Last issue date asked for; NULL: no bound."),
            Column("period", Kind.TEXT, "Month of SII's books, YYYYMM."),
            Column("expected", Kind.INT, "Rows the server announced; NULL if it announced none."),
            Column("seen", Kind.INT, "Rows that came: new + changed + unchanged + rejected."),
            Column("new", Kind.INT, "Rows met for the first time."),
            Column("changed", Kind.INT, "Rows that got a new version."),
            Column("unchanged", Kind.INT, "Rows as they were known."),
            Column("rejected", Kind.INT, "Rows that could not be taken: raw.rejects."),
            Column("missing", Kind.INT, "Known rows that did not come; two such runs delete them."),
            Column("requests", Kind.INT, "Requests that were needed."),
            Column("requests_saved", Kind.INT, "Requests not needed: events came with the list."),
            Column("complete", Kind.BOOL, "Whether it was read whole."),
            Column("reason", Kind.TEXT, "Why it was not."),
            Column("read_at", Kind.TIME, "When it was read."),
        ),
    ),
    "raw.lineage": Book(
        "One row per API call: history.*._call points here. Of what could not be read, the "
        "last calls and the one that failed.",
        (
            Column("call", Kind.TEXT, "The call: run/window/number."),
            _RUN,
            _STREAM,
            _COMPANY,
            Column("path", Kind.TEXT, "Path and query, without the server."),
            Column("status", Kind.INT, "HTTP status."),
            Column("request_id", Kind.TEXT, "The vendor's name for it: support asks for it."),
            Column("page", Kind.INT, "Page of a list."),
            Column("count", Kind.INT, "Rows of the whole list, as this page announced them."),
            Column("newest_id", Kind.TEXT, "Id of the first row of the page."),
            Column("rows", Kind.INT, "Rows that came with it."),
            Column("segment", Kind.TEXT, "File of the lake that keeps what was new of it."),
            Column("fetched_at", Kind.TIME, "When the answer was whole, or was given up."),
            Column("error", Kind.TEXT, "What went wrong; NULL if its answer was taken."),
        ),
    ),
    "raw.rejects": Book(
        "Rows that could not be taken, with the reason and the JSON as it came.",
        (
            _RUN,
            Column("stream", Kind.TEXT, "Where the row belongs."),
            _COMPANY,
            _DIRECTION,
            Column("id", Kind.TEXT, "Its id, or its document's."),
            Column("column_name", Kind.TEXT, "The field that did not fit."),
            Column("reason", Kind.TEXT, "What was wrong with it."),
            Column("raw", Kind.JSON, "The row as it came."),
            Column("call", Kind.TEXT, "The call it came with: raw.lineage.call."),
            Column("rejected_at", Kind.TIME, "When."),
        ),
    ),
}
"""By table name, in the order of their columns."""
