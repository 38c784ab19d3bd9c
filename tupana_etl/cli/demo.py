"""``tupana demo``: an invented world from its API to receivables, in a home of its own."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from tupana_etl import analysis, pipeline, settings
from tupana_etl.cli import output, tables
from tupana_etl.cli.commands import NEVER_ISSUED
from tupana_etl.cli.demo_reference import invent
from tupana_etl.cli.progress import reading
from tupana_etl.cli.sandbox import make_world
from tupana_etl.cli.sync import as_json, exit_code, new_rejects_of
from tupana_etl.pipeline import SyncResult
from tupana_etl.sandbox import server
from tupana_etl.sandbox.server import DEMO_KEY, World
from tupana_etl.settings import Settings

BUCKETS = ("not_due", "1-30", "31-60", "61-90", "90+")

COMPANIES = """
SELECT company_rut, any_value(name), sum(documents)
FROM (SELECT company_rut, count(*) AS documents FROM marts.documents GROUP BY ALL)
LEFT JOIN (SELECT DISTINCT tax_id AS company_rut, name FROM raw.master_entities)
    USING (company_rut)
GROUP BY ALL ORDER BY ALL
"""
AGEING = """
SELECT company_rut, bucket, sum(open_balance_clp) FROM marts.receivables_aging GROUP BY ALL
"""
CURRENCIES = """
SELECT coalesce(sum(open_balance_clp), 0),
    coalesce(sum(open_balance_clp) FILTER (currency = 'CLP'), 0),
    coalesce(sum(open_balance_clp) FILTER (currency <> 'CLP'), 0)
FROM marts.receivables
"""
DEBTORS = """
SELECT counterparty_rut, any_value(counterparty_name), sum(documents), sum(open_balance_clp),
    coalesce(sum(open_balance_clp) FILTER (bucket <> 'not_due'), 0)
FROM marts.receivables_aging
-- Every foreign buyer, and every unnamed one, has the same RUT: there a name is a debtor.
GROUP BY counterparty_rut,
    if(counterparty_rut IN ('55555555-5', '66666666-6'), counterparty_name, NULL)
HAVING sum(open_balance_clp) > 0
ORDER BY 4 DESC, 1 LIMIT 8
"""
UNPRICED = "SELECT coalesce(sum(documents_without_clp), 0) FROM marts.receivables_aging"
FINDINGS = "SELECT severity, count(*) FROM marts.data_quality GROUP BY ALL"


def run(args: argparse.Namespace) -> int:
    configured = demo_settings()
    world = World()
    if not args.json:
        output.write("An invented world on this machine: no key, no network, no real company.")
        output.finish()
    database = configured.home / "sandbox.sqlite"  # keyless `make dev` serves the same file
    make_world(database, world)
    with (
        server.running(database, world) as url,
        reading(shown=not args.json) as on_rows,
    ):
        at_sandbox = settings.load(demo_environment(url)).with_home(configured.home)
        result = pipeline.sync(at_sandbox, on_rows=on_rows)
        if invent(at_sandbox):
            pipeline.rebuild_marts(at_sandbox)
    new_rejects = new_rejects_of(configured, result)
    found = _figures(configured)
    if args.json:
        output.write_json(
            {"home": str(configured.home), "sync": as_json(result, new_rejects), **found}
        )
    else:
        _tell(configured, result, found)
    return exit_code(result, new_rejects)


def demo_environment(url: str = "") -> dict[str, str]:
    """The environment with everything that leads to a real account taken out of it.

    Empty values, since a missing variable would be looked up in ``.env``.
    """
    ours = {name: "" for name in os.environ if name.startswith("TUPANA_")}
    named = ("API_KEY", "BASE_URL", "ENTITIES", "START_DATE", "ENVIRONMENT", "WEBHOOK_SECRET")
    ours |= {f"TUPANA_{name}": "" for name in (*named, "PUBLISH")}
    kept = {n: os.environ[n] for n in ("TUPANA_HOME", "TUPANA_MAX_CONCURRENCY") if n in os.environ}
    return {**ours, **kept, "TUPANA_API_KEY": DEMO_KEY, "TUPANA_BASE_URL": url}


def demo_settings() -> Settings:
    configured = settings.load(demo_environment())
    return configured.with_home(configured.home / "demo")


def _figures(configured: Settings) -> dict[str, list[Any]]:
    queries = {
        "companies": COMPANIES,
        "ageing": AGEING,
        "currencies": CURRENCIES,
        "debtors": DEBTORS,
        "documents_without_clp": UNPRICED,
        "data_quality": FINDINGS,
    }
    found = {}
    for name, query in queries.items():
        with analysis.answer(query, configured) as answer:
            found[name] = [output.plain(list(row)) for row in answer.rows]
    return found


def _tell(configured: Settings, result: SyncResult, found: dict[str, list[Any]]) -> None:
    seen, new = (sum(getattr(s, name) for s in result.streams) for name in ("seen", "new"))
    output.write(
        f"Read {output.number(seen)} rows, {output.number(new)} of them new, with "
        f"{output.number(result.requests)} requests in "
        f"{output.number(round(result.seconds, 1))} s."
    )
    output.write("\nCompanies\n")
    companies = [[rut, name or "", output.number(n)] for rut, name, n in found["companies"]]
    output.write(tables.table(["company", "name", "documents"], companies, right=["documents"]))
    output.write("\nReceivables by days past due, pesos\n")
    _tell_ageing([row[0] for row in companies], found["ageing"])
    ((_, in_pesos, foreign),) = found["currencies"]
    if int(foreign):
        text = (
            f"Of this {output.number(int(in_pesos))} is in pesos and "
            f"{output.number(int(foreign))} in foreign currency, at the exchange rate of each "
            "document."
        )
        output.write(output.paragraph(text))
    ((unpriced,),) = found["documents_without_clp"]
    if unpriced:
        text = (
            f"{output.number(int(unpriced))} open documents in foreign currency are not in these "
            "sums: the API says no exchange rate for them."
        )
        output.write(output.paragraph(text))
    output.write("\nWho owes most, pesos\n")
    debtors = [
        [rut, output.printable(name or ""), *(output.number(n) for n in numbers)]
        for rut, name, *numbers in found["debtors"]
    ]
    columns = ["customer", "name", "documents", "open", "past due"]
    output.write(tables.table(columns, debtors, right=columns[2:]))
    _tell_quality(found["data_quality"])
    _tell_next(configured.home)


def _tell_ageing(companies: list[str], ageing: list[Any]) -> None:
    owed = {(rut, bucket): int(amount or 0) for rut, bucket, amount in ageing}
    lines = [(bucket, [owed.get((rut, bucket), 0) for rut in companies]) for bucket in BUCKETS]
    lines.append(("total", [sum(column) for column in zip(*(n for _, n in lines), strict=True)]))
    rows = [
        [name.replace("_", " "), *(output.number(n) for n in (*numbers, sum(numbers)))]
        for name, numbers in lines
    ]
    columns = ["", *companies, "all"]
    output.write(tables.table(columns, rows, right=columns[1:], bold_last=True))


def _tell_quality(findings: list[Any]) -> None:
    counts = dict(findings)
    told = ", ".join(
        f"{output.number(counts.get(severity, 0))} {word}"
        for severity, word in (("error", "errors"), ("warning", "warnings"), ("info", "notices"))
    )
    output.write(f"\nData quality: {told} in marts.data_quality")


def _tell_next(home: Path) -> None:
    shown = home.relative_to(Path.cwd()) if home.is_relative_to(Path.cwd()) else home
    output.write("\nWhat next\n")
    output.write("  make dev        the same in the Dagster UI (as long as no key is set)")
    output.write(f"\n  export TUPANA_HOME={shown}")
    output.write('  tupana query "FROM marts.receivables_aging LIMIT 10"')
    output.write('  tupana query "SELECT severity, message FROM marts.data_quality"')
    output.write("  tupana export marts.receivables --format xlsx")
    output.write("  notebooks/receivables.ipynb")
    output.write("  tupana outbox plan            this month's billing, nothing is sent")
    output.write("  tupana outbox plan payments   what lines of a bank statement pay")
    output.write("\nWith your own key: unset TUPANA_HOME, set TUPANA_API_KEY, `tupana sync`.")
    output.write(NEVER_ISSUED)
