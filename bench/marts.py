"""Measures a rebuild of every model on a large warehouse: `make bench-marts`.

    python bench/marts.py [--documents 1000000] [--memory 4GB] [--slowest 10] [--sql FOLDER]

The rows are made in DuckDB itself, in a process of its own, so that the peak printed is of
the models alone. Prints the time, the peak of memory, the slowest models and three sums that
must hold; exit 1 when one does not.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from tupana_etl.warehouse.database import writer
from tupana_etl.warehouse.models import ModelRun, run_models

AS_OF = date(2026, 6, 30)
COMPANIES = 20

# One row a document, in the usual mix of types. Amounts, dates and fates come from the row's
# number, so every run has the same world.
BUILD = (
    # The check digit of a RUT, modulo 11.
    """CREATE TEMP MACRO rut(body) AS body || '-' || array_extract(
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'K', '0'],
        (12 - list_sum(list_transform(
            range(1, 9), lambda i: substr(body::VARCHAR, 9 - i, 1)::INTEGER * (2 + (i - 1) % 6)
        )) % 11)::BIGINT)""",
    """CREATE TEMP TABLE made AS
    SELECT
        n,
        1 + n % {companies} AS company,
        -- A note is between the parties of the document it adjusts.
        if(n % 100 < 91, n, greatest(n - {companies} * 4, 0)) AS pair,
        CASE WHEN n % 100 < 74 THEN '33' WHEN n % 100 < 82 THEN '34' WHEN n % 100 < 86 THEN '39'
            WHEN n % 100 < 87 THEN '46' WHEN n % 100 < 90 THEN '80' WHEN n % 100 < 91 THEN '110'
            WHEN n % 100 < 92 THEN '56' ELSE '61' END AS kind,
        kind IN ('39', '46', '110') OR (kind <> '80' AND hash(pair) % 100 < 55) AS is_issued,
        DATE '2024-07-01' + ((hash(n, 1) % 728)::INTEGER) AS day,
        1000 + (hash(n, 2) % 900000)::BIGINT AS net,
        hash(n, 3) % 1000 AS fate,
        hash(pair, 4) % 5000 AS other
    FROM range({documents}) AS r(n)""",
    """INSERT INTO history.master_entities BY NAME
    SELECT c::VARCHAR AS id, c::VARCHAR AS master_entity_id, rut(76000000 + c) AS tax_id,
        'Company ' || c AS name, TIMESTAMPTZ '2026-01-01 00:00:00Z' AS valid_from
    FROM range(1, {companies} + 1) AS r(c)""",
    """CREATE TEMP TABLE rows AS
    SELECT
        company::VARCHAR AS master_entity_id,
        if(is_issued, 'issued', 'received') AS document_type,
        n::VARCHAR AS id,
        n::VARCHAR AS folio,
        day AS date_issued,
        kind AS dte_type_code,
        if(kind IN ('33', '39', '56', '61'), net + (net * 19 + 50) // 100, net) AS amount_with_iva,
        net AS amount_without_iva,
        if(kind IN ('33', '39', '46', '56', '61'), (net * 19 + 50) // 100, 0) AS amount_iva,
        if(kind = '110', 'USD', 'CLP') AS currency,
        if(kind = '110', 950.25, NULL) AS exchange_rate,
        if(is_issued, rut(76000000 + company), rut(77000000 + other)) AS sender_tax_id,
        if(is_issued, rut(77000000 + other), rut(76000000 + company)) AS receiver_tax_id,
        'Other ' || other AS receiver_name,
        'issued' AS state,
        fate < 600 AS is_paid,
        if(fate % 7 = 0, '1', '2') AS payment_method,
        kind = '46' AS vat_withheld,
        if(kind = '80', 'RETRECEPTOR', NULL) AS retention_type,
        if(kind IN ('33', '34'), day + 30, NULL) AS due_date,
        if(kind IN ('33', '34'), day::TIMESTAMPTZ + INTERVAL 30 HOUR, NULL) AS date_reception,
        fate >= 980 AS has_claims,
        json_object(
            'in_sii_venta_book', is_issued, 'in_sii_compra_book', NOT is_issued,
            'venta_loading_period', if(is_issued, strftime(day, '%Y%m'), NULL),
            'compra_loading_period', if(is_issued, NULL, strftime(day + 1, '%Y%m'))
        ) AS book_metadata,
        TIMESTAMPTZ '2026-01-01 00:00:00Z' AS valid_from
    FROM made""",
    # A tenth was seen unpaid before.
    """INSERT INTO history.documents BY NAME
    SELECT * REPLACE (
        if(id::BIGINT % 10 = 3, TIMESTAMPTZ '2026-03-01 00:00:00Z', valid_from) AS valid_from
    ) FROM rows""",
    """INSERT INTO history.documents BY NAME
    SELECT * REPLACE (false AS is_paid), TIMESTAMPTZ '2026-03-01 00:00:00Z' AS valid_to
    FROM rows WHERE id::BIGINT % 10 = 3""",
    """INSERT INTO history.document_lines BY NAME
    SELECT master_entity_id, document_type, id AS document_id, p AS position,
        amount_without_iva // 2 + if(p = 1, amount_without_iva % 2, 0) AS item_total, valid_from
    FROM rows CROSS JOIN range(1, 3) AS r(p)""",
    # Notes reference an invoice of the same company, some rows before.
    """INSERT INTO history.document_references BY NAME
    SELECT r.master_entity_id, r.document_type, r.id AS document_id, 1 AS position,
        (r.id::BIGINT - {companies} * 4)::VARCHAR AS reference_folio, 'AJUSTE' AS reference_reason,
        t.dte_type_code, r.valid_from
    FROM rows AS r INNER JOIN rows AS t ON t.id::BIGINT = r.id::BIGINT - {companies} * 4
    WHERE r.dte_type_code IN ('56', '61')""",
    """INSERT INTO history.document_states BY NAME
    SELECT master_entity_id, document_type, id AS document_id,
        if(p = 1, 'ERM', 'PAID') AS event_code,
        date_issued::TIMESTAMPTZ + to_days(p::INTEGER * 3) AS event_date, valid_from
    FROM rows CROSS JOIN range(1, 3) AS r(p)
    WHERE date_reception IS NOT NULL AND (p = 1 OR is_paid) AND id::BIGINT % 3 = 0""",
    """INSERT INTO history.cessions BY NAME
    SELECT master_entity_id, document_type, id, id AS document_id, sender_tax_id AS supplier_rut,
        '96000000-' || (id::BIGINT % 10) AS assignee_rut, amount_with_iva AS assignment_amount,
        'success' AS status, date_issued::TIMESTAMPTZ + to_days(12) AS created_at, valid_from
    FROM rows WHERE dte_type_code = '33' AND id::BIGINT % 20 = 0""",
)

CHECKS = {
    "ageing adds up to receivables": """SELECT sum(open_balance_clp) FROM marts.receivables
        EXCEPT SELECT sum(open_balance_clp) FROM marts.receivables_aging""",
    "ageing adds up to payables": """SELECT sum(open_balance_clp) FROM marts.payables
        EXCEPT SELECT sum(open_balance_clp) FROM marts.payables_aging""",
    "every document once": """SELECT doc_key FROM marts.documents
        GROUP BY doc_key HAVING count(*) > 1""",
}


def build(warehouse: Path, documents: int) -> None:
    with writer(warehouse) as con:
        for statement in BUILD:
            con.execute(statement.format(documents=documents, companies=COMPANIES))


def measure(warehouse: Path, memory: str, slowest: int, sql: Path | None) -> int:
    with writer(warehouse, memory) as con:
        start, worked = time.perf_counter(), time.process_time()
        runs = run_models(con, as_of=AS_OF, root=sql)
        seconds, worked = time.perf_counter() - start, time.process_time() - worked
        broken = [name for name, query in CHECKS.items() if con.execute(query).fetchall()]
        rows = con.execute("SELECT count(*) FROM raw.documents").fetchone()
    print(f"{rows[0] if rows else 0:,} documents, {len(runs)} models, memory limit {memory}:")
    print(f"{seconds:.1f} s, {worked:.1f} s of processor time, peak {peak_mb():,.0f} MB")
    _print_slowest(runs, slowest)
    for name in broken:
        print(f"broken: {name}", file=sys.stderr)
    return 1 if broken else 0


def peak_mb() -> float:
    """Most memory this process ever held, MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(x for x in status.splitlines() if x.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def _print_slowest(runs: list[ModelRun], count: int) -> None:
    for run in sorted(runs, key=lambda r: -r.seconds)[:count]:
        print(f"  {run.seconds:6.2f} s  {run.name}  {run.rows:,} rows")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--slowest", type=int, default=10)
    parser.add_argument("--sql", type=Path, help="another folder of models, to compare with")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.build:
        build(given.build, given.documents)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "warehouse.duckdb"
        arguments = ["--build", str(warehouse), "--documents", str(given.documents)]
        subprocess.run([sys.executable, __file__, *arguments], check=True)
        return measure(warehouse, given.memory, given.slowest, given.sql)


if __name__ == "__main__":
    sys.exit(main())
