"""Settings: what wins, what is refused and with which words, and what never shows."""

from __future__ import annotations

import platform
from datetime import date
from pathlib import Path

import pytest

from tupana_etl import settings
from tupana_etl.errors import ConfigError

SECRET = "k3y-that-must-not-show"


def test_nothing_set_gives_the_documented_defaults(tmp_path: Path) -> None:
    got = settings.load({}, tmp_path)
    assert got.base_url == "https://api.tupana.ai/v1"
    assert got.home == Path.cwd() / "tupana_home"
    assert (got.api_key, got.entities, got.start_date, got.environment) == ("", (), None, "")
    assert got.max_concurrency == 8
    assert got.analytics == got.home / "analytics.duckdb"


def test_the_environment_wins_over_dotenv_and_dotenv_over_defaults(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "# comment\nTUPANA_MAX_CONCURRENCY=3\nTUPANA_ENVIRONMENT='sandbox'\nTUPANA_API_KEY=\n",
        encoding="utf-8",
    )
    got = settings.load({"TUPANA_MAX_CONCURRENCY": "4"}, tmp_path)
    assert (got.max_concurrency, got.environment, got.api_key) == (4, "sandbox", "")


def test_dotenv_is_that_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("TUPANA_HOME=here\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert settings.load({}).home == tmp_path / "here"
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert settings.load({}).home == tmp_path / "below" / "tupana_home"


def test_every_variable_is_read(tmp_path: Path) -> None:
    got = settings.load(
        {
            "TUPANA_API_KEY": f"  Api-Key {SECRET} ",
            "TUPANA_BASE_URL": "http://127.0.0.1:8000/v1/",
            "TUPANA_HOME": str(tmp_path / "home"),
            "TUPANA_ENTITIES": "76543210-3, 12 ,,",
            "TUPANA_START_DATE": "2025-01-31",
            "TUPANA_MAX_CONCURRENCY": "64",
            "TUPANA_ENVIRONMENT": "production",
            "TUPANA_WEBHOOK_SECRET": "new,old",
            "TUPANA_PUBLISH": str(tmp_path / "out"),
        },
        tmp_path,
    )
    assert got.need_key() is got
    assert got == settings.Settings(
        api_key=SECRET,
        base_url="http://127.0.0.1:8000/v1",
        home=tmp_path / "home",
        entities=("76543210-3", "12"),
        start_date=date(2025, 1, 31),
        max_concurrency=64,
        environment="production",
        webhook_secrets=("new", "old"),
        publish=tmp_path / "out",
    )
    assert got.analytics == tmp_path / "out" / "analytics.duckdb"
    assert got.with_home(tmp_path).warehouse == tmp_path / "warehouse.duckdb"


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("TUPANA_API_KEY", "two words", "copy it again"),
        ("TUPANA_API_KEY", "clavé", "copy it again"),
        ("TUPANA_API_KEY", "a\x00b", "copy it again"),
        ("TUPANA_BASE_URL", "api.tupana.ai", "http(s) URL"),
        ("TUPANA_BASE_URL", "ftp://api.tupana.ai", "http(s) URL"),
        ("TUPANA_BASE_URL", "https://", "http(s) URL"),
        ("TUPANA_BASE_URL", "http://[::1", "http(s) URL"),
        ("TUPANA_BASE_URL", "http://api.tupana.ai/v1", "Use https"),
        ("TUPANA_BASE_URL", "http://localhost.example.com/v1", "Use https"),
        ("TUPANA_BASE_URL", "https://me:pass@api.tupana.ai", "no user"),
        ("TUPANA_BASE_URL", "https://api.tupana.ai/v1?key=1", "query"),
        ("TUPANA_START_DATE", "31-01-2025", "YYYY-MM-DD"),
        ("TUPANA_START_DATE", "2025-02-30", "YYYY-MM-DD"),
        ("TUPANA_MAX_CONCURRENCY", "0", "from 1 to 64"),
        ("TUPANA_MAX_CONCURRENCY", "65", "from 1 to 64"),
        ("TUPANA_MAX_CONCURRENCY", "-1", "from 1 to 64"),
        ("TUPANA_MAX_CONCURRENCY", "eight", "from 1 to 64"),
        ("TUPANA_MAX_CONCURRENCY", "²", "from 1 to 64"),
        ("TUPANA_ENVIRONMENT", "prod", "sandbox, production"),
    ],
)
def test_a_wrong_variable_is_one_sentence_that_names_it(
    name: str, value: str, cure: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.load({name: value}, tmp_path)
    said = str(caught.value)
    assert name in said
    assert cure in said
    assert "\n" not in said
    assert caught.value.exit_code == 2
    if name == "TUPANA_API_KEY":
        assert value not in said


def test_a_missing_key_says_how_to_set_one_and_what_needs_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"TUPANA_API_KEY.*tupana demo"):
        settings.load({}, tmp_path).need_key()


def test_secrets_do_not_show(tmp_path: Path) -> None:
    got = settings.load({"TUPANA_API_KEY": SECRET, "TUPANA_WEBHOOK_SECRET": SECRET}, tmp_path)
    assert SECRET not in repr(got)
    assert SECRET not in f"{got} {got!r} {[got]}"


def test_windows_is_refused_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    with pytest.raises(ConfigError, match="Linux and macOS"):
        settings.load({}, tmp_path)


def test_a_group_that_may_read_needs_a_way_in(tmp_path: Path) -> None:
    shared = {"TUPANA_PUBLISH": str(tmp_path), "TUPANA_PUBLISH_GROUP": "users"}
    assert settings.load(shared, tmp_path).publish_group == "users"
    with pytest.raises(ConfigError, match="TUPANA_PUBLISH is not"):
        settings.load({"TUPANA_PUBLISH_GROUP": "users"}, tmp_path)
