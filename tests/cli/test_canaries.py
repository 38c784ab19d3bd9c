"""Secrets are used everywhere and written nowhere: a home is lived in, then searched.

Every store is read as what it is (Parquet, DuckDB and packed lines are compressed), so that
a secret inside one is seen.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import httpx
import pytest

from dagster_project.dev import instance as made_instance
from tests.sync.receiving import event
from tupana_etl.domain import today, utcnow
from tupana_etl.inbox import event as events
from tupana_etl.inbox.store import open_inbox
from tupana_etl.sandbox.server import World, running

from .runner import CANARY, Runner

HOOK, OLDER_HOOK = "canary-hook-new-5521", "canary-hook-old-5521"
PASSWORD, CERTIFICATE = "canary-sii-password-7", "canary-certificate-password-7"
WRONG = "canary-wrong-key-99"
SECRETS = (CANARY, HOOK, OLDER_HOOK, PASSWORD, CERTIFICATE, WRONG)


@dataclass
class Lived:
    """A home after all that people do with it, and everything they were shown."""

    tupana: Runner
    shown: list[str] = field(default_factory=list)

    def do(self, *words: str, changes: Mapping[str, str] | None = None) -> int:
        done = self.tupana.inside(*words, changes=changes)
        self.shown += [done.out, done.err]
        return done.code

    def dagster(self, job: str, changes: Mapping[str, str] | None = None) -> int:
        home = made_instance(self.tupana.home)
        process = subprocess.run(  # noqa: S603 - our own interpreter and words
            [
                *(sys.executable, "-m", "dagster", "job", "execute", "-j", job),
                *("-m", "dagster_project.definitions"),
            ],
            cwd=Path(__file__).parents[2],
            env=self.tupana.environment({"DAGSTER_HOME": str(home), **(changes or {})}),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        self.shown += [process.stdout, process.stderr]
        return process.returncode


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    folder = tmp_path_factory.mktemp("lived")
    world = World(documents=30, companies=1, months=2, seed=5)
    with running(folder / "world.sqlite", world, key=CANARY) as url:
        (folder / "cwd").mkdir()
        secrets = {
            "TUPANA_WEBHOOK_SECRET": f"{HOOK},{OLDER_HOOK}",
            "TUPANA_SII_PASSWORD": PASSWORD,
            "TUPANA_CERTIFICATE_PASSWORD": CERTIFICATE,
        }
        found = Lived(Runner(folder / "cwd", url, secrets))
        found.tupana.home.mkdir()
        live(found, url)
        yield found


def live(here: Lived, url: str) -> None:
    """What goes well, and what fails: a wrong key, no server, a refused signature."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Api-Key {CANARY}"}) as api:
        company = api.get("/credentials").json()[0]["master_entities"][0]
    issuer = company["tax_id"].replace(".", "")
    assert here.do("webhooks", "create", "http://127.0.0.1:9/", "--entity", issuer) == 0
    user = ("--user", "12345678-5", "--type", "sii")
    assert here.do("credentials", "create", "--entity", issuer, *user) == 0
    assert here.do("sync", "-vv") == 0
    rows = here.tupana.folder / "rows.csv"
    rows.write_text(
        "row_key,dte_type,issuer_rut,receiver_rut,receiver_name,date_issued,payment_method,"
        f"item_name,quantity,unit_price\nk1,33,{issuer},96790240-3,Cía.,{today()},1,Cosa,1,1000\n"
    )
    assert here.do("outbox", "plan", "--from", str(rows)) == 0
    assert here.do("outbox", "send", "-vv", changes={"TUPANA_API_KEY": WRONG}) != 0
    assert here.do("outbox", "send", "-vv") == 0
    with open_inbox(here.tupana.home) as inbox:
        inbox.keep(events.read(event(1), {}), utcnow())
    here.do("webhooks", "drain", "-vv")
    assert here.do("webhooks", "list") == 0
    here.do("doctor")
    nobody = {"TUPANA_BASE_URL": "http://127.0.0.1:9/v1"}
    assert here.do("sync", "-vv", "--wait", "0", changes=nobody) == 1
    assert here.do("sync", "-vv", changes={"TUPANA_API_KEY": WRONG}) == 2


def holding(top: Path, secrets: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Files below a folder that hold a secret, each with its name."""
    return [
        (str(file.relative_to(top)), name)
        for file in sorted(top.rglob("*"))
        if file.is_file()
        for content in contents(file)
        for name, secret in secrets.items()
        if secret in content
    ]


def contents(file: Path) -> Iterator[bytes]:
    yield file.read_bytes()
    if file.suffix == ".gz":
        yield gzip.decompress(file.read_bytes())
    elif file.suffix == ".parquet":
        yield _text(duckdb.connect(), f"read_parquet('{file}')")
    elif file.suffix == ".duckdb":
        with duckdb.connect(str(file), read_only=True) as con:
            tables = con.execute(
                """SELECT schema_name || '."' || table_name || '"' FROM duckdb_tables()"""
            ).fetchall()
            assert tables
            for (table,) in tables:
                yield _text(con, table)


def _text(con: duckdb.DuckDBPyConnection, table: str) -> bytes:
    rows = con.execute(f"SELECT t::VARCHAR FROM {table} AS t").fetchall()
    return " ".join(row[0] for row in rows).encode()


def told(home: Path) -> dict[str, bytes]:
    """The secrets to look for: those that were given, and the ledger's own pepper."""
    pepper = (home / "ledger.pepper").read_text().strip()
    named = {secret: secret.encode() for secret in SECRETS}
    return named | {"pepper": pepper.encode(), "raw pepper": bytes.fromhex(pepper)}


def test_no_secret_is_shown(lived: Lived) -> None:
    assert len("".join(lived.shown)) > 1_000
    secrets = told(lived.tupana.home)
    shown = "".join(lived.shown).encode()
    assert [name for name, secret in secrets.items() if secret in shown] == []


def test_no_secret_is_in_any_file(lived: Lived) -> None:
    home = lived.tupana.home
    kinds = {file.suffix for file in home.rglob("*") if file.is_file()}
    assert {".parquet", ".duckdb", ".sqlite"} <= kinds
    assert holding(home, told(home)) == [("ledger.pepper", "pepper")]


@pytest.mark.parametrize(
    ("key", "fails"),
    [(WRONG, True), pytest.param(CANARY, False, marks=pytest.mark.long)],
    ids=["refused", "done"],
)
def test_no_secret_is_in_dagsters_storage_or_output(lived: Lived, key: str, fails: bool) -> None:
    """A run in a process of its own, its output kept by Dagster."""
    code = lived.dagster("sync_all", {"TUPANA_API_KEY": key})
    assert (code != 0) is fails
    storage = lived.tupana.home / "dagster"
    names = {file.name for file in storage.rglob("*") if file.is_file()}
    assert any(name.endswith(".db") for name in names)
    assert any(name.endswith(".err") for name in names), "what runs wrote is kept"
    test_no_secret_is_shown(lived)
    test_no_secret_is_in_any_file(lived)


@pytest.mark.parametrize("kind", ["txt", "gz", "parquet", "duckdb"])
def test_the_search_would_find_one(tmp_path: Path, kind: str) -> None:
    told = "canary-planted " * 500
    file = tmp_path / f"planted.{kind}"
    if kind == "txt":
        file.write_text(told)
    elif kind == "gz":
        file.write_bytes(gzip.compress(told.encode()))
    elif kind == "parquet":
        sql = f"COPY (SELECT {{'a': ['{told}']}} AS x FROM range(3)) TO '{file}' (CODEC zstd)"
        duckdb.connect().execute(sql)
    else:
        with duckdb.connect(str(file)) as con:
            con.execute(f"CREATE TABLE t AS SELECT '{told}' AS x FROM range(3)")
    assert holding(tmp_path, {"it": b"canary-planted"})
    assert holding(tmp_path, {"it": b"canary-other"}) == []
