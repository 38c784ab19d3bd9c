"""``tupana report``: pages that equal the marts to the peso, and run nothing."""

from __future__ import annotations

import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tupana_etl.errors import ConfigError
from tupana_etl.reports import Terms, build, write
from tupana_etl.reports.documents import EVENTS
from tupana_etl.reports.offer import REASONS
from tupana_etl.reports.provenance import CHECKS
from tupana_etl.settings import Settings

from .runner import Runner

SQL = Path(__file__).resolve().parents[2] / "sql"
HOSTILE = "<script>alert(1)</script> $x_1$ & =HYPERLINK(1)"


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8").replace("\u00a0", " ")


def pesos(amount: int) -> str:
    return f"$ {amount:,}".replace(",", ".")


def ask(home: Path, query: str) -> Any:
    with duckdb.connect(str(home / "analytics.duckdb"), read_only=True) as con:
        return con.execute(query).fetchall()


def changed(home: Path, to: Path, *statements: str) -> Settings:
    """A copy of the published database after these statements."""
    shutil.copyfile(home / "analytics.duckdb", to / "analytics.duckdb")
    with duckdb.connect(str(to / "analytics.duckdb")) as con:
        for statement in statements:
            con.execute(statement)
    return Settings(home=to)


def test_receivables_equal_the_marts(synced: Runner) -> None:
    told = synced("report", "receivables", "--json").json
    [(balance, overdue, documents)] = ask(
        synced.home,
        """SELECT sum(open_balance_clp), sum(open_balance_clp) FILTER (bucket <> 'not_due'),
            count(*) FROM marts.receivables WHERE bucket IS NOT NULL""",
    )
    figures = told["figures"]
    assert figures["open_balance_clp"] == balance
    assert figures["overdue_clp"] == overdue
    assert figures["documents"] + figures["documents_without_clp"] == documents
    assert told["complete"] is True
    path = Path(told["path"])
    assert path == synced.home / "exports" / f"receivables-{told['as_of']}.html"
    assert path.stat().st_mode & 0o077 == 0
    page = read(path)
    assert page.startswith("<!doctype html>")
    assert 'lang="es-CL"' in page
    assert f'<dd class="value">{pesos(balance)}</dd>' in page
    for (bucket,) in ask(
        synced.home,
        """SELECT sum(open_balance_clp)::BIGINT FROM marts.receivables
        WHERE bucket IS NOT NULL GROUP BY bucket""",
    ):
        assert f">{pesos(bucket)}</td>" in page
    assert "DATOS DE PRUEBA" in page


def test_foreign_documents_count_at_their_own_rate_and_are_said_apart(
    synced: Runner, tmp_path: Path
) -> None:
    largest = "(SELECT max_by(doc_key, open_balance_clp) FROM marts.receivables)"
    # a dollar at 1,000 pesos; of a second document nobody knows the rate
    settings = changed(
        synced.home,
        tmp_path,
        f"""UPDATE marts.documents SET currency = 'USD', exchange_rate = 1000
        WHERE doc_key = {largest}""",
        """UPDATE marts.documents SET currency = 'EUR', exchange_rate = NULL WHERE doc_key = (
            SELECT min_by(doc_key, open_balance_clp) FROM marts.receivables
            WHERE open_balance_clp > 0)""",
    )
    [(balance, foreign, in_dollars, unpriced)] = ask(
        tmp_path,
        """SELECT sum(open_balance_clp), sum(open_balance_clp) FILTER (currency <> 'CLP'),
            sum(open_balance) FILTER (currency = 'USD'),
            count(*) FILTER (open_balance_clp IS NULL)
        FROM marts.receivables_as_of((SELECT max(as_of) FROM marts.receivables))""",
    )
    report = build("receivables", settings)
    assert foreign == in_dollars * 1000 > 0
    assert report.figures["open_balance_clp"] == balance
    assert report.figures["in_foreign_currency_clp"] == foreign
    assert report.figures["in_pesos_clp"] == balance - foreign
    assert report.figures["documents_without_clp"] == unpriced == 1
    page = read(write(report, settings))
    assert f"de ello, {pesos(foreign)} en moneda extranjera" in page
    assert "1 documento abierto está en moneda extranjera y sin tipo de cambio" in page


def test_the_page_needs_nothing_and_runs_nothing(synced: Runner) -> None:
    page = read(Path(synced.inside("report", "receivables", "--json").json["path"]))
    assert re.findall(r"<script|\son\w+=|@import|url\(", page) == []
    sources = re.findall(r'(?:src|srcset|href)="([^"]+)"', page)
    assert sources
    assert all(s.startswith(("data:image/svg+xml;base64,", "#")) for s in sources)
    assert "default-src 'none'" in page
    images = re.findall(r"<img [^>]+>", page)
    assert len(images) >= 5
    assert all(re.search(r'alt="[^"]{20,}"', image) for image in images)
    assert len(re.findall(r"<th scope=", page)) > 50


def test_factoring_equals_the_marts(synced: Runner) -> None:
    offer = ("--monthly-rate", "1.5", "--advance-rate", "95", "--commission", "20000")
    told = synced.inside("report", "factoring", *offer, "--json").json["figures"]
    [(outstanding, documents)] = ask(
        synced.home,
        """SELECT coalesce(sum(outstanding_clp), 0)::BIGINT,
            count(*) FILTER (outstanding_clp > 0) FROM marts.factoring_portfolio""",
    )
    assert told["outstanding_clp"] == outstanding
    assert told["ceded_documents"] == documents
    eligible = ask(
        synced.home,
        """SELECT open_balance_clp, greatest(days_to_due, 0) FROM marts.factoring_candidates
        WHERE eligible""",
    )
    assert told["eligible_documents"] == len(eligible)
    assert told["eligible_clp"] == sum(balance for balance, _ in eligible)
    paid = sum(
        ask(
            synced.home,
            f"""SELECT payout_clp FROM marts.factoring_offer(
                {balance}, {days}, 0.015, advance_rate := 0.95, commission := 20000)""",
        )[0][0]
        for balance, days in eligible
    )
    assert told["offer"]["payout_clp"] == paid


def test_no_rate_is_invented(synced: Runner) -> None:
    told = synced.inside("report", "factoring", "--json").json
    assert "offer" not in told["figures"]
    assert "aquí no se inventan tasas" in read(Path(told["path"]))


def test_a_day_of_the_past(synced: Runner, tmp_path: Path) -> None:
    [(newest,)] = ask(synced.home, "SELECT max(as_of) FROM marts.receivables")
    [(then, rut)] = ask(
        synced.home,
        """SELECT max(as_of) - 45, any_value(company_rut) FROM marts.receivables
        WHERE company_rut = (SELECT min(company_rut) FROM marts.receivables)""",
    )
    words = ("report", "receivables", "--as-of", f"{then}", "--entity", rut)
    told = synced.inside(*words, "--json").json
    [(balance, unknown)] = ask(
        synced.home,
        f"""SELECT sum(open_balance_clp),
            count(*) FILTER (basis = 'before_first_sync' AND NOT is_closed_at_issue)
        FROM marts.receivables_as_of(DATE '{then}') WHERE company_rut = '{rut}'""",
    )
    assert told["as_of"] == then.isoformat() < newest.isoformat()
    assert told["figures"]["open_balance_clp"] == balance
    assert told["figures"]["unknown_documents"] == unknown > 0
    page = read(Path(told["path"]))
    assert "reconstruidas con lo que se sabe hoy" in page
    [(last,)] = ask(
        synced.home,
        f"""SELECT strftime(max(month_end), '%d-%m-%Y') FROM marts.dso_monthly
        WHERE month_end <= DATE '{then}' AND company_rut = '{rut}'""",
    )
    assert f"Por cobrar al {last}: " in page
    assert f"El último mes cerrado al {then:%d-%m-%Y} es el que termina el {last}." in page
    assert f"hasta {pesos(told['figures']['unknown_clp'])} mayor" in page
    assert "lies before the first sync" in synced.inside(*words).out
    factoring = synced.inside("report", "factoring", "--as-of", f"{then}", "--json").json
    assert "eligible_clp" not in factoring["figures"]


def test_names_are_inert_and_trouble_is_told(synced: Runner, tmp_path: Path) -> None:
    settings = changed(
        synced.home,
        tmp_path,
        f"UPDATE marts.documents SET buyer_name = '{HOSTILE}'",
        f"UPDATE staging.balance_periods SET assignee_name = '{HOSTILE}'",
        f"UPDATE marts.factoring_candidates SET counterparty_name = '{HOSTILE}'",
        "UPDATE raw.syncs SET complete = false",
        "UPDATE raw.windows SET complete = false, reason = 'torn' WHERE stream = 'cessions'",
    )
    for kind in ("receivables", "factoring"):
        report = build(kind, settings, terms=Terms(Decimal("0.015")))
        assert not report.complete
        page = read(write(report, settings))
        assert "<script" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt; $x_1$ &amp;" in page
        assert "La última lectura quedó incompleta" in page
        assert "cessions, " in page


def test_one_company_of_one(synced: Runner) -> None:
    settings = Settings(home=synced.home)
    [(rut, total)] = ask(
        synced.home,
        """SELECT company_rut, sum(open_balance_clp) FROM marts.receivables
        GROUP BY 1 ORDER BY 1 LIMIT 1""",
    )
    report = build("receivables", settings, entity=rut.replace("-", ""))
    assert report.figures["open_balance_clp"] == total
    body, digit = rut.split("-")
    assert report.company.endswith(f"RUT {int(body):,}-{digit}".replace(",", "."))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("payables",), "There are: receivables, factoring."),
        (("receivables", "--entity", "1-9"), "There is no company 1-9 in the data."),
        (("receivables", "--as-of", "1999-01-01"), "the oldest document in the data is of"),
        (("receivables", "--as-of", "2999-01-01"), "lies after that"),
        (("receivables", "--as-of", "1-1-26"), "write it as YYYY-MM-DD"),
        (("factoring", "--monthly-rate", "1,5"), "write percent from 0 to 100"),
        (("receivables", "--out", "/nowhere/x.html"), "There is no folder /nowhere"),
    ],
)
def test_mistakes(synced: Runner, words: tuple[str, ...], said: str) -> None:
    done = synced.inside("report", *words)
    assert done.code == 2
    assert said in " ".join(done.err.split())


def test_every_code_has_its_words() -> None:
    sql = {p.stem: p.read_text(encoding="utf-8") for p in SQL.rglob("*.sql")}
    reasons = set(re.findall(r"'([a-z_]+)', NULL\s*\)\s+AS r\d+", sql["factoring_candidates"]))
    assert len(reasons) == len(re.findall(r"\)\s+AS r\d+\b", sql["factoring_candidates"]))
    assert reasons == set(REASONS)
    (events,) = re.findall(r"^-- event: (.+)\.$", sql["document_timeline"], re.M)
    assert set(re.split(r", | or ", re.sub(r" \(.+?\)", "", events))) == set(EVENTS)
    found = "".join(text for name, text in sql.items() if name.startswith("quality_"))
    checks = re.findall(r"'([a-z_]+)'(?: AS check_name)?,\s+'(?:error|warning|info)'", found)
    excluded = re.findall(r"THEN '(\w+)'", sql["sides"].split("AS exclusion")[0])
    severities = {"error", "warning", "info"}
    assert {*checks, *(f"excluded_{e}" for e in excluded)} - severities == set(CHECKS)


@pytest.mark.parametrize(
    ("statement", "words", "said"),
    [
        ("DROP TABLE marts.dso_monthly", ("report", "receivables"), "it has no marts.dso_monthly."),
        (
            "DROP MACRO TABLE marts.receivables_as_of",
            ("query", "FROM marts.receivables_as_of('2026-01-01')"),
            "it has no marts.receivables_as_of.",
        ),
        (
            "ALTER TABLE marts.companies DROP COLUMN company_name",
            ("query", "SELECT company_name FROM marts.companies"),
            "it has no marts.companies.company_name.",
        ),
        ("DROP TABLE marts.companies", ("export", "marts.companies"), "has no marts.companies."),
    ],
)
def test_a_file_of_another_version(
    synced: Runner, tupana: Runner, statement: str, words: tuple[str, ...], said: str
) -> None:
    tupana.home.mkdir()
    changed(synced.home, tupana.home, statement)
    done = tupana.inside(*words)
    assert done.code == 2
    told = " ".join(done.err.split())
    assert said in told
    assert "Run `tupana marts`" in told
    assert ("Error" in told) == (words[0] == "query")


def test_a_foreign_or_damaged_file(tupana: Runner) -> None:
    tupana.home.mkdir()
    path = tupana.home / "analytics.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE t AS SELECT 1")
    for said in ("was not published by Tupana ETL", "is damaged, or is not a DuckDB database"):
        for words in (("report", "factoring"), ("query", "SELECT 1"), ("export", "raw.documents")):
            done = tupana.inside(*words)
            assert done.code == 1
            assert f"{said}. Move it away and run `tupana marts`" in " ".join(done.err.split())
        path.write_bytes(b"no database")


def test_without_a_home(tupana: Runner) -> None:
    done = tupana.inside("report", "receivables")
    assert done.code == 2
    assert "Run `tupana sync` first" in " ".join(done.err.split())


def test_a_file_of_ones_own(synced: Runner, tmp_path: Path) -> None:
    out = tmp_path / "x.html"
    settings = Settings(home=synced.home)
    report = build("factoring", settings)
    first = write(report, settings, out=out).read_bytes()
    with pytest.raises(ConfigError, match="--force"):
        write(report, settings, out=out)
    again = build("factoring", settings)
    assert write(again, settings, out=out, force=True).read_bytes() == first
