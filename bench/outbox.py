"""The way out: rows planned, sent, followed and read back, against the functional sandbox.

No peer has anything to hold against it, and the load server issues nothing; so what stands
beside these seconds is only that every row ends VERIFIED (the status' exit code is 0).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench import measure
from bench.cases import Bench, folder
from bench.contestants import ALL, ROOT, Contestant
from bench.load.running import Server
from bench.samples import Condition, Sample
from bench.scale import sandbox
from tupana_etl.domain import today
from tupana_etl.sandbox.server import DEMO_KEY

WORLD = 200
"""Documents of the account before anything is issued."""

STEPS = {
    "ours-plan": ("plan", "--from", "{rows}", "--max-documents", "100000", "--max-clp", "9" * 12),
    "ours-send": ("send", "--wait", "600"),
    "ours-status": ("status",),
}
_COLUMNS = (
    "row_key,dte_type,issuer_rut,receiver_rut,date_issued,payment_method,due_date,item_name,"
    "quantity,unit_price"
)


def outbox(bench: Bench, server: Server, key: str, condition: Condition) -> Iterator[Sample]:
    """``documents`` rows of one line each, from a CSV file, in a home that was synced once."""
    with (
        folder(bench) as work,
        sandbox(work / "world.sqlite", WORLD, condition.latency_ms) as url,
    ):
        environ = ALL[key].environ(
            url.removesuffix("/v1"), work, condition.in_flight, condition.mode
        )
        environ["TUPANA_API_KEY"] = DEMO_KEY
        log = bench.logs / "outbox.log"
        _run(ALL["ours-marts"], environ, log, condition)
        rows = work / "rows.csv"
        rows.write_text(_csv(_issuer(work), condition.documents), encoding="utf-8")
        for name, words in STEPS.items():
            told = [word.format(rows=rows) for word in words]
            command = ("-m", "tupana_etl", "outbox", *told)
            sample = _run(replace(ALL[name], command=command), environ, log, condition)
            bench.tell(sample)
            yield sample


def _run(
    contestant: Contestant, environ: dict[str, str], log: Path, condition: Condition
) -> Sample:
    cost = measure.run([str(contestant.python), *contestant.command], environ, log)
    if cost.status:
        print(f"{contestant.name}: exit {cost.status}, see {log.relative_to(ROOT)}")
    return Sample(
        condition,
        contestant.key,
        round(cost.seconds, 3),
        round(cost.cpu, 3),
        round(cost.peak_mb, 1),
        cost.status,
    )


def _issuer(work: Path) -> str:
    """RUT of a company of the account."""
    import duckdb

    with duckdb.connect(str(work / "home" / "warehouse.duckdb"), read_only=True) as con:
        found = con.execute("SELECT min(tax_id) FROM raw.master_entities").fetchone()
    return str(found[0]) if found else ""


def _csv(issuer: str, count: int) -> str:
    lines = [
        f"bench:{n},33,{issuer},96790240-3,{today()},2,{today()},Servicio mensual,1,{10_000 + n}"
        for n in range(count)
    ]
    return "\n".join([_COLUMNS, *lines]) + "\n"
