"""Every notebook, run as a reader runs it: on the demo, on one company and day, on nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import nbformat
import pytest
from nbclient import NotebookClient

from tupana_etl.errors import ConfigError
from tupana_etl.pipeline import sync
from tupana_etl.reports import KINDS, build
from tupana_etl.reports.notebook import abrir
from tupana_etl.sandbox.server import DEMO_KEY, World, running
from tupana_etl.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
RECEIVABLES = ROOT / "notebooks" / "receivables.ipynb"

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@dataclass
class Page:
    """What a reader sees."""

    text: str
    figures: int
    errors: list[str]


Run = Callable[..., Page]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("demo")
    with running(base / "world.db", World(documents=300)) as url:
        assert sync(Settings(api_key=DEMO_KEY, base_url=url, home=base / "home")).complete
    return base / "home"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a notebook with these parameters; the same run is not done twice."""
    cwd = tmp_path_factory.mktemp("cwd")

    @cache
    def execute(path: Path, home: Path, **parameters: str) -> Page:
        patch.setenv("TUPANA_HOME", str(home))
        notebook = load(path)
        notebook.cells[0].source += "".join(f"\n{k} = {v!r}" for k, v in parameters.items())
        NotebookClient(
            notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": cwd}}
        ).execute()
        outputs: list[Any] = [o for c in notebook.cells for o in c.get("outputs", [])]
        shown = [o.data for o in outputs if o.output_type in ("display_data", "execute_result")]
        text = "\n".join(data.get("text/html", "") for data in shown)
        return Page(
            text.replace("\u00a0", " "),
            text.count("<img "),
            [
                o.get("text", o.get("ename"))
                for o in outputs
                if o.output_type in ("error", "stream")
            ],
        )

    with pytest.MonkeyPatch.context() as patch:
        for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        for name in ("TUPANA_API_KEY", "TUPANA_BASE_URL", "TUPANA_PUBLISH", "MPLBACKEND"):
            patch.delenv(name, raising=False)
        yield execute


def load(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def value(home: Path, query: str) -> Any:
    with duckdb.connect(str(home / "analytics.duckdb"), read_only=True) as con:
        row = con.execute(query).fetchone()
        assert row is not None
        return row[0]


def emptied(home: Path, to: Path) -> Path:
    """A copy of the publication without a single row in its marts and staging."""
    to.mkdir()
    shutil.copy(home / "analytics.duckdb", to)
    with duckdb.connect(str(to / "analytics.duckdb")) as con:
        for schema, name in con.execute(
            """SELECT schema_name, table_name FROM duckdb_tables()
            WHERE schema_name IN ('marts', 'staging') AND table_name <> 'calendar'"""
        ).fetchall():
            con.execute(f"DELETE FROM {schema}.{name}")
    return to


def test_every_report_has_its_notebook() -> None:
    assert {p.stem for p in NOTEBOOKS} == set(KINDS)


@every_notebook
def test_stored_without_outputs(path: Path) -> None:
    notebook = load(path)
    nbformat.validate(notebook)
    assert notebook.nbformat_minor >= 5
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert "parameters" in notebook.cells[0].metadata.tags
    for cell in notebook.cells:
        assert not cell.get("outputs"), cell.id
        assert cell.get("execution_count") is None, cell.id


@every_notebook
def test_shows_every_section_of_its_report(path: Path, home: Path) -> None:
    shown = re.findall(r'informe\["([a-z-]+)"\]', str(load(path).cells))
    report = build(path.stem, Settings(home=home))
    assert sorted(shown) == sorted(section.key for section in report.sections)


@every_notebook
def test_runs_on_the_demo(path: Path, home: Path, run: Run) -> None:
    page = run(path, home)
    assert page.errors == []
    assert page.figures >= 2


@every_notebook
def test_runs_on_nothing(path: Path, home: Path, tmp_path: Path, run: Run) -> None:
    page = run(path, emptied(home, tmp_path / "empty"))
    assert page.errors == []
    assert page.figures == 0
    assert "No hay " in page.text


def test_one_company_on_a_day_of_the_past(home: Path, run: Run) -> None:
    rut = value(home, "SELECT company_rut FROM marts.receivables GROUP BY 1 ORDER BY count(*) DESC")
    total = value(
        home,
        f"""SELECT sum(open_balance_clp) FROM marts.receivables_as_of(
            (SELECT max(as_of) - 60 FROM marts.receivables))
        WHERE company_rut = '{rut}'""",
    )
    then = value(home, "SELECT strftime(max(as_of) - 60, '%d-%m-%Y') FROM marts.receivables")
    body, digit = rut.split("-")
    written = f"{int(body):,}-{digit.lower()}".replace(",", ".")
    page = run(RECEIVABLES, home, EMPRESA=written, FECHA=then)
    assert f">$ {total:,}</dd>".replace(",", ".") in page.text
    assert f"Cifras al {then}, reconstruidas" in page.text


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"empresa": "1-9"}, "There is no company 1-9"),
        ({"fecha": "31-31-2020"}, "FECHA es"),
        ({"documento": "33-0"}, "There is no document 33-0"),
    ],
)
def test_a_wrong_parameter_says_so(home: Path, parameters: dict[str, str], words: str) -> None:
    with pytest.raises((ConfigError, ValueError), match=words):
        abrir("receivables", carpeta=str(home), **parameters)  # type: ignore[arg-type]
