"""The repo's outside says what is true: locks, documents, Makefile, docstrings."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tupana_etl import settings

REPO = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock")
CODE = re.compile(r"(?s:```\w*\n(.+?)```)|`([^`\n]+)`")
MAKEFILE = (REPO / "Makefile").read_text(encoding="utf-8")


def name_of(requirement: str) -> str:
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert match, requirement
    return re.sub(r"[-_.]+", "-", match[0]).lower()


RUNTIME = {name_of(r) for r in PROJECT["project"]["dependencies"]}
EXTRAS = {name_of(r) for x in PROJECT["project"]["optional-dependencies"].values() for r in x}
GROUPS = {name_of(r) for group in PROJECT["dependency-groups"].values() for r in group}


def text(name: str) -> str:
    return (REPO / name).read_text(encoding="utf-8")


def locked(lock: str) -> set[str]:
    """Requirement lines without their hashes: ``name==version ; marker``."""
    lines = text(lock).splitlines()
    return {line.removesuffix(" \\") for line in lines if not line.startswith((" ", "#"))}


def documents() -> list[Path]:
    return [p for p in (*REPO.glob("*.md"), *REPO.glob("docs/**/*.md")) if p.is_file()]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_is_pinned_and_hashed(lock: str) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^#.*\n", "", text(lock)))
    assert len(entries) > len(RUNTIME)
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9._-]*(\[[a-z,]+\])?==[^ ]+ ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_no_host_and_no_path(lock: str) -> None:
    for line in text(lock).splitlines():
        bare = line.partition("==")[0]
        assert not re.search(r"://| @ |index-url|find-links|(^| )/|\.(org|com|net|io)\b", bare)
        assert "://" not in line


def test_locks_hold_every_direct_dependency_and_agree() -> None:
    runtime, dev = locked(LOCKS[0]), locked(LOCKS[1])
    assert {name_of(line) for line in runtime} >= RUNTIME
    assert {name_of(line) for line in dev} >= RUNTIME | EXTRAS | GROUPS
    # A test tool may want an extra of what runs: the version is what must agree.
    same = {re.sub(r"\[[a-z,]+\]", "", line) for line in dev}
    assert runtime <= dev | same, "run `make lock`: the two locks disagree"
    assert "pytest" not in {name_of(line) for line in runtime}


def test_the_build_backend_is_locked_too() -> None:
    assert PROJECT["dependency-groups"]["build"] == PROJECT["build-system"]["requires"]


def test_every_direct_dependency_is_argued_once() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \| (.+) \|$", text("docs/dependencies.md"), re.M)
    names = [name for name, _, _ in rows]
    assert sorted(names) == sorted(RUNTIME | EXTRAS | GROUPS)
    assert all(why.strip() and rejected.strip() for _, why, rejected in rows)


def test_env_example_lists_exactly_what_settings_read() -> None:
    read = set(re.findall(r"TUPANA_[A-Z_]+[A-Z]", text("tupana_etl/settings.py")))
    listed = re.findall(r"(?m)^# (TUPANA_[A-Z_]+)=", text(".env.example"))
    assert sorted(listed) == sorted(read)
    assert all(line.startswith("#") for line in text(".env.example").splitlines() if line)


def test_env_example_is_valid_once_uncommented(tmp_path: Path) -> None:
    example = re.sub(r"(?m)^# (?=TUPANA_)", "", text(".env.example"))
    (tmp_path / ".env").write_text(example, encoding="utf-8")
    assert settings.load({}, tmp_path).environment == "sandbox"


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout


def targets() -> set[str]:
    phony = re.search(r"(?m)^\.PHONY: (.+)$", MAKEFILE)
    assert phony
    return set(phony[1].split()) - {"stale"}


def test_make_alone_lists_every_target() -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make on this machine")
    said = run(make, "-s", "--no-print-directory")
    assert set(re.findall(r"(?m)^  make (\S+) +\S", said)) == targets()


def test_documents_name_only_targets_that_exist() -> None:
    for document in documents():
        pieces = CODE.findall(document.read_text(encoding="utf-8"))
        code = "\n".join(block or span for block, span in pieces)
        named = set(re.findall(r"(?m)^(?:\$ )?make ([a-z][a-z-]*)", code))
        assert named <= targets(), f"{document.name} names {named - targets()}"


def test_readme_gives_the_two_commands() -> None:
    if not (REPO / "README.md").exists():
        pytest.skip("README.md is not written yet")
    assert {"make demo", "make test"} <= set(re.findall(r"make \w+", text("README.md")))
    assert {"demo", "test"} <= targets()


def test_links_between_documents_resolve() -> None:
    for document in documents():
        for link in re.findall(r"\]\(([^)\s#]+)", document.read_text(encoding="utf-8")):
            if "://" not in link and not link.startswith("mailto:"):
                assert (document.parent / link).exists(), f"{document.name} links to {link}"


def modules() -> Iterator[Path]:
    for top in ("tupana_etl", "dagster_project"):
        yield from (REPO / top).rglob("*.py")


def test_every_module_says_what_it_is_for() -> None:
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        empty = path.name == "__init__.py" and not tree.body
        assert empty or ast.get_docstring(tree), f"{path.relative_to(REPO)} has no docstring"


def test_no_file_names_a_registry_or_this_machine() -> None:
    git = shutil.which("git")
    if git is None or not (REPO / ".git").exists():
        pytest.skip("not a git checkout")
    tracked = run(git, "-c", "safe.directory=*", "ls-files", "-z")
    told = re.compile(
        "|".join([r"\bpypi" + r"\.org", "python" + "hosted", "/wo" + "rk/", "/ro" + "ot/"])
    )
    for name in filter(None, tracked.split("\0")):
        path = REPO / name
        if path.is_file():
            found = told.search(path.read_text(encoding="utf-8", errors="replace"))
            assert not found, f"{name} holds {found and found[0]}"
