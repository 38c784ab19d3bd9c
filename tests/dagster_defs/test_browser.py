"""The Dagster UI as a person meets it: `make dev`, a browser, and a kill in mid-sync.

Screenshots are left in build/screenshots, to be looked at.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import duckdb
import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from tupana_etl import analysis
from tupana_etl.settings import Settings

pytestmark = pytest.mark.long

T = TypeVar("T")
SHOTS = Path(__file__).parents[2] / "build" / "screenshots"
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--window-size=1500,1200"),
)


def wait_for(what: Callable[[], T | None], seconds: float = 180) -> T:
    """The first true answer; pages and daemons take their time."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain"
        time.sleep(0.5)
    return found


class Ui:
    """A running `make dev`, and a browser before it."""

    def __init__(self, url: str, home: Path, driver: webdriver.Chrome) -> None:
        self.url = url
        self.settings = Settings(home=home / "demo")
        self.driver = driver
        self.instance = dg.DagsterInstance.from_config(str(home / "dagster"))

    def open(self, path: str, *expected: str) -> None:
        """Opens a page and waits until it shows every one of these texts."""
        self.driver.get(self.url + path)
        for text in expected:
            wait_for(lambda text=text: text in self.text, 60)  # type: ignore[misc]

    @property
    def text(self) -> str:
        return str(self.driver.execute_script("return document.body.innerText"))

    def click(self, label: str) -> None:
        button = f"//button[contains(normalize-space(.), '{label}')][not(@disabled)]"
        wait_for(lambda: self.driver.find_elements(By.XPATH, button), 60)[0].click()

    def shot(self, name: str) -> None:
        """Keeps what a person sees now; a moment for what still moves."""
        time.sleep(2)
        SHOTS.mkdir(parents=True, exist_ok=True)
        assert self.driver.save_screenshot(str(SHOTS / f"{name}.png"))

    def runs(self) -> list[dg.DagsterRun]:
        """Newest first."""
        return list(self.instance.get_runs())

    def next_run(self, click: str) -> dg.DagsterRun:
        """The run that a click starts."""
        before = {run.run_id for run in self.runs()}
        self.click(click)
        return wait_for(lambda: next((r for r in self.runs() if r.run_id not in before), None))

    def ended(self, run: dg.DagsterRun) -> str:
        def status() -> str | None:
            found = self.instance.get_run_by_id(run.run_id)
            return found.status.value if found and found.is_finished else None

        return wait_for(status)

    def count(self, table: str) -> int:
        with analysis.connect(self.settings) as con:
            row = con.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(row[0]) if row else -1


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    chromedriver = shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.skip("no Chromium with its driver (Debian: apt-get install chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=Service(chromedriver))
        yield browser
        browser.quit()


@pytest.fixture(scope="module")
def ui(driver: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("dev")
    home = folder / "home"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TUPANA_")}
    began = time.monotonic()
    running = subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "dagster_project.dev", "-p", port],
        cwd=folder,
        env={**kept, "TUPANA_HOME": str(home)},
        stdout=(folder / "log").open("w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"

    def is_up() -> bool:
        assert running.poll() is None, (folder / "log").read_text()
        ask = {"query": "{ workspaceOrError { ... on Workspace { locationEntries { name } } } }"}
        try:
            answer = httpx.post(f"{url}/graphql", json=ask)
        except httpx.HTTPError:
            return False
        return answer.is_success and "tupana" in answer.text

    try:
        wait_for(is_up)
        sys.stdout.write(f"make dev to a usable UI: {time.monotonic() - began:.1f} s\n")
        yield Ui(url, home, driver)
    finally:
        os.killpg(running.pid, signal.SIGINT)
        running.wait(timeout=60)


def test_a_newcomer_makes_the_graph_green_and_looks_around(ui: Ui) -> None:
    ui.open("/asset-groups", "Materialize all", "staging", "published")
    ui.shot("1-graph")
    began = time.monotonic()
    run = ui.next_run("Materialize all")
    assert ui.ended(run) == "SUCCESS"
    sys.stdout.write(f"Materialize all, click to green: {time.monotonic() - began:.1f} s\n")
    assert ui.count("raw.documents") >= 1500

    ui.open(f"/runs/{run.run_id}", "Success")
    ui.shot("2-run")
    ui.open("/asset-groups", "Materialize all")
    assert ui.ended(ui.next_run("Materialize all")) == "SUCCESS"
    ui.open("/locations/tupana/asset-groups/raw/lineage", "document_lines", "Passed")
    ui.shot("3-graph-after")

    ui.open("/assets/raw/documents", "Tax documents issued and received", "Demo data")
    ui.shot("4-stream")
    ui.open("/assets/raw/documents?view=events", "requests_saved")
    ui.shot("5-stream-events")
    ui.driver.set_window_size(1500, 2600)
    ui.open("/assets/marts/receivables_aging?view=overview", "Open receivables by customer")
    ui.shot("6-mart")
    ui.click("Plots")
    ui.shot("6-mart-plots")
    ui.driver.set_window_size(1500, 1200)
    ui.open("/assets/marts/receivables_aging?view=events", "chart")
    ui.shot("7-mart-events")
    ui.open("/assets/marts/receivables_aging?view=lineage&column=open_balance_clp", "receivables")
    ui.shot("8-lineage")
    ui.open("/locations/tupana/jobs/sync_all/playground", "dry_run", "Launch Run")
    ui.shot("9-launchpad")
    ui.open("/automation", "nightly_sweep", "rebuild_marts")
    ui.shot("10-automation")


def test_a_failed_check_says_what_is_wrong(ui: Ui) -> None:
    with duckdb.connect(str(ui.settings.analytics)) as con:
        con.execute(
            """UPDATE marts.book_reconciliation SET status = 'differs', total_difference = 119000
            WHERE rowid < 3"""
        )
    ui.open("/assets/marts/book_reconciliation?view=checks", "equals_sii_books")
    assert ui.ended(ui.next_run("Execute")) == "SUCCESS", "it fails, and does not block"
    page = "/assets/marts/book_reconciliation?view=checks&checkDetail=equals_sii_books"
    ui.open(page, "SII's purchase and sales books", "3 found. The first: ")
    ui.shot("11-failed-check")


def test_a_killed_run_frees_its_place_and_the_next_gives_the_same_tables(ui: Ui) -> None:
    before = {name: ui.count(name) for name in ("history.documents", "raw.document_lines")}
    ui.open("/locations/tupana/jobs/sync_full/playground", "Launch Run")
    run = ui.next_run("Launch Run")
    syncs = ui.count("raw.syncs")
    manifest = ui.settings.lake / "manifest.jsonl"
    size = manifest.stat().st_size
    wait_for(lambda: manifest.stat().st_size > size)
    worker = int((ui.settings.home / ".lock").read_text())
    os.kill(worker, signal.SIGKILL)
    assert ui.ended(run) == "FAILURE"
    assert ui.count("raw.syncs") == syncs, "nothing of it was published"

    ui.open("/locations/tupana/jobs/sync_all/playground", "Launch Run")
    assert ui.ended(ui.next_run("Launch Run")) == "SUCCESS", "the pool let it in"
    assert ui.count("raw.syncs") == syncs + 1, "it went on with what was begun"
    assert {name: ui.count(name) for name in before} == before


def test_the_companies_backfill_one_by_one(ui: Ui) -> None:
    with analysis.connect(ui.settings) as con:
        ruts = [r for (r,) in con.execute("SELECT company_rut FROM marts.companies").fetchall()]
    ui.instance.add_dynamic_partitions("company", ruts)
    launch: dict[str, Any] = {
        "query": """mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(
            backfillParams: $p) { __typename ... on PythonError { message } } }""",
        "variables": {
            "p": {
                "selector": {
                    "repositorySelector": {
                        "repositoryLocationName": "tupana",
                        "repositoryName": "__repository__",
                    },
                    "partitionSetName": "backfill_company_partition_set",
                },
                "partitionNames": ruts[:2],
            }
        },
    }
    answer = httpx.post(f"{ui.url}/graphql", json=launch)
    assert "LaunchBackfillSuccess" in answer.text, answer.text
    tag = {"dagster/partition": ruts[1]}
    run = wait_for(lambda: next(iter(ui.instance.get_runs(dg.RunsFilter(tags=tag))), None))
    assert ui.ended(run) == "SUCCESS"
