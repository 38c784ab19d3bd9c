"""Where a report's figures come from: one publication, one company or all, one day."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tupana_etl import analysis, home
from tupana_etl.domain import canonical_rut, today
from tupana_etl.errors import ConfigError
from tupana_etl.reports.spanish import rut_text
from tupana_etl.settings import Settings

if TYPE_CHECKING:
    from tupana_etl.warehouse.database import Connection


@dataclass(frozen=True)
class Source:
    """An open publication and what was asked of it.

    Its session holds ``items`` (the receivables of the company at the end of the day, by
    ``marts.receivables_as_of``) and the variable ``company`` (a RUT, or NULL for all).
    """

    con: Connection
    company_rut: str | None
    company: str
    """In words."""
    names: dict[str, str]
    """Every company in the data: RUT → name."""
    as_of: date
    published: date
    """The day of the published tables."""
    last_sync: Any
    """Newest row of raw.syncs, or None."""
    is_sandbox: bool

    @property
    def is_past(self) -> bool:
        return self.as_of < self.published

    def rows(self, query: str) -> list[Any]:
        """Rows whose columns are attributes; amounts are whole numbers or Decimal."""
        return _rows(self.con, query)

    def row(self, query: str) -> Any:
        """The only row."""
        (only,) = self.rows(query)
        return only


def _rows(con: Connection, query: str, params: list[Any] | None = None) -> list[Any]:
    cursor = con.execute(query, params)
    names = [c[0] for c in cursor.description or []]
    return [SimpleNamespace(**dict(zip(names, r, strict=True))) for r in cursor.fetchall()]


@contextmanager
def open_source(settings: Settings, entity: str | None, as_of: date | None) -> Iterator[Source]:
    """The publication, read for one company (RUT or id; None: all) and day (None: newest).

    Raises ConfigError for a company that is not in the data, and for a day after that of
    the data or before their first document.
    """
    with analysis.connect(settings) as con, analysis.plain_errors(con, own=True):
        companies = _rows(con, "FROM marts.companies ORDER BY company_rut")
        rut = _chosen(entity, companies) if entity else None
        syncs = _rows(con, "FROM raw.syncs ORDER BY started_at DESC LIMIT 1")
        days = _rows(
            con,
            """SELECT max(as_of) AS newest, min(date_issued) AS oldest FROM marts.documents
            WHERE ? IS NULL OR company_rut = ?""",
            [rut, rut],
        )[0]
        published = max((c.as_of for c in companies), default=None) or today()
        day = _checked(as_of, published, days.oldest)
        names = {c.company_rut: c.company_name or c.company_rut for c in companies}
        con.execute("SET VARIABLE company = ?", [rut])
        con.execute(_ITEMS.format(day=day.isoformat()))
        yield Source(
            con=con,
            company_rut=rut,
            company=_in_words(rut, names),
            names=names,
            as_of=day,
            published=published,
            last_sync=syncs[0] if syncs else None,
            is_sandbox=home.is_sandbox(settings.home),
        )


_ITEMS = """
CREATE TEMP TABLE items AS
SELECT
    r.*,
    d.exchange_rate,
    coalesce(t.name, 'Tipo ' || r.dte_type_code) AS type_name,
    -- Many customers stand under these two RUTs (see marts.receivables_aging): there, the name.
    if(
        r.counterparty_rut IN ('55555555-5', '66666666-6'),
        r.counterparty_rut || coalesce(r.counterparty_name, ''),
        coalesce(r.counterparty_rut, r.counterparty_name, '')
    ) AS customer
FROM marts.receivables_as_of(DATE '{day}') AS r
INNER JOIN marts.documents AS d ON r.doc_key = d.doc_key
LEFT JOIN ref.dte_types AS t ON r.dte_type_code = t.code
WHERE getvariable('company') IS NULL OR r.company_rut = getvariable('company');
CREATE TEMP VIEW open_items AS FROM items WHERE bucket IS NOT NULL;
CREATE TEMP VIEW open_clp AS FROM open_items WHERE open_balance_clp IS NOT NULL;
"""


def _chosen(entity: str, companies: list[Any]) -> str:
    wanted = canonical_rut(entity)
    for company in companies:
        if company.company_rut == wanted or str(company.master_entity_id) == entity.strip():
            return str(company.company_rut)
    known = "; ".join(f"{c.company_rut} {c.company_name or ''}".strip() for c in companies)
    raise ConfigError(
        f"There is no company {entity} in the data. There are: {known or 'none yet'}."
    )


def _checked(asked: date | None, published: date, oldest: date | None) -> date:
    if asked is None:
        return published
    if asked > published:
        raise ConfigError(
            f"The data are of {published} and {asked} lies after that: run `tupana sync` "
            "first, or ask for an earlier day."
        )
    if oldest is not None and asked < oldest:
        raise ConfigError(
            f"Nothing is known of {asked}: the oldest document in the data is of {oldest}. "
            "`tupana sync --since DATE` reads older ones."
        )
    return asked


def _in_words(rut: str | None, names: dict[str, str]) -> str:
    if rut is None and len(names) == 1:
        rut = next(iter(names))
    if rut is None:
        return "Todas las empresas"
    text = f"RUT {rut_text(rut)}"
    return f"{names[rut]}, {text}" if names[rut] != rut else text
