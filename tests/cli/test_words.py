"""The words themselves: help, version, mistakes."""

from __future__ import annotations

import json

import pytest

from tupana_etl.cli import main
from tupana_etl.cli.commands import COMMANDS
from tupana_etl.cli.parser import build_parser

from .runner import Runner

NAMES = [c.name for c in COMMANDS]
SPECIFIED = (
    "demo sync marts query export report companies streams files outbox scheduled webhooks "
    "credentials doctor sandbox"
)


def test_the_commands_are_the_ones_that_exist() -> None:
    assert SPECIFIED.split() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"example:\n  tupana {name}" in shown
    assert "--json" in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_every_example_is_understood(command: object) -> None:
    import shlex

    example = next(c for c in COMMANDS if c is command).example
    words = shlex.split(example.replace("\n", " ") if '"' in example else example.splitlines()[-1])
    assert build_parser().parse_args(words[1:]).module == words[1]


def test_alone_it_shows_the_commands_and_the_home(tupana: Runner) -> None:
    shown = tupana()
    assert shown.code == 0
    assert all(f"tupana {name}" in shown.out for name in NAMES)
    assert str(tupana.home) in shown.out
    assert "Nothing is ever issued unless a person plans, approves and sends it." in shown.out
    assert tupana.inside("--json").json["home"] == str(tupana.home)


def test_help_and_version(tupana: Runner) -> None:
    shown = tupana("--help")
    assert shown.code == 0
    assert all(f"\n    {name} " in shown.out for name in NAMES)
    assert tupana("--version").out.startswith("tupana ")
    assert tupana.inside("--version", "--json").json["version"]


def test_help_imports_nothing_heavy(tupana: Runner) -> None:
    heavy = ("duckdb", "pyarrow", "httpx", "rich", "dotenv", "openpyxl", "asyncio", "tupana_etl.p")
    process = tupana.start("--help", changes={"PYTHONPROFILEIMPORTTIME": "1"})
    _, err = process.communicate(timeout=60)
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "argparse" in imported
    assert not [name for name in imported if name.startswith(heavy)]


def test_query_imports_no_more_than_it_needs(synced: Runner) -> None:
    heavy = ("pyarrow", "httpx", "pandas", "openpyxl", "dagster", "tupana_etl.pipeline")
    process = synced.start("query", "SELECT 1", changes={"PYTHONPROFILEIMPORTTIME": "1"})
    _, err = process.communicate(timeout=60)
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    assert "duckdb" in imported
    assert not [name for name in imported if name.startswith(heavy)]


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense"],
        ["sync", "--nonsense"],
        ["sync", "--wait", "soon"],
        ["query"],
        ["query", "SELECT 1", "--limit", "-1"],
        ["export", "marts.receivables", "--format", "pdf"],
        ["sandbox", "--port", "http"],
    ],
)
def test_a_mistyped_command_is_one_sentence(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("tupana: ")
    assert "--help" in shown.err
    assert main([*words, "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.err == ""
    assert json.loads(shown.out)["error"]["kind"] == "ConfigError"


def test_a_wrong_setting_is_named(tupana: Runner) -> None:
    failed = tupana.inside("streams", changes={"TUPANA_MAX_CONCURRENCY": "many"})
    assert failed.code == 2
    assert "TUPANA_MAX_CONCURRENCY" in failed.err
