"""Runs ``tupana`` as a person would: another process, its own folder, its own home."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from unittest import mock

from tupana_etl.cli import main

CANARY = "canary-key-0123456789"
"""The key of the tests' sandbox: it may stand in no output and in no file."""

ANSI = re.compile(r"\x1b\[")


@dataclass(frozen=True)
class Done:
    """A run that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout; with --json nothing else is written at all."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


@dataclass
class Runner:
    folder: Path
    server: str
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def environment(self, changes: Mapping[str, str] | None = None) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TUPANA_")}
        for name in ("COLUMNS", "FORCE_COLOR", "NO_COLOR"):
            clean.pop(name, None)
        ours = {
            "TUPANA_HOME": str(self.home),
            "TUPANA_BASE_URL": self.server,
            "TUPANA_API_KEY": CANARY,
        }
        return {**clean, **ours, **self.extra, **(changes or {})}

    def start(self, *words: str, changes: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and words
            [sys.executable, "-m", "tupana_etl", *words],
            cwd=self.folder,
            env=self.environment(changes),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(
        self, *words: str, stdin: str = "", changes: Mapping[str, str] | None = None
    ) -> Done:
        """Runs to the end, and checks what holds for every command."""
        process = self.start(*words, changes=changes)
        out, err = process.communicate(stdin, timeout=60)
        return self._checked(words, Done(process.returncode, out, err))

    def inside(self, *words: str, changes: Mapping[str, str] | None = None) -> Done:
        """The same in this process: saves half a second where only the words matter."""
        out, err = io.StringIO(), io.StringIO()
        environment = {**self.environment(changes), "COLUMNS": "80"}
        with (
            chdir(self.folder),
            mock.patch.dict(os.environ, environment, clear=True),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = main(words)
        return self._checked(words, Done(code, out.getvalue(), err.getvalue()))

    def _checked(self, words: Sequence[str], done: Done) -> Done:
        both = done.out + done.err
        assert CANARY not in both
        assert "Traceback" not in both
        assert not ANSI.search(both)
        if "--json" in words:
            assert done.json
            assert done.err == ""
        else:
            wide = [line for line in both.splitlines() if len(line) > 80]
            # A path is as long as it is; the others must fit.
            assert not [line for line in wide if gettempdir() not in line], wide
        return done
