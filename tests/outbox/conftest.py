from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .office import Office

SHM = Path("/dev/shm")  # noqa: S108 - memory, so that a thousand commits cost nothing


@pytest.fixture
def office() -> Iterator[Office]:
    """A home in memory where there is one: these tests are about order, not about disks."""
    folder = Path(tempfile.mkdtemp(prefix="tupana-outbox-", dir=SHM if SHM.is_dir() else None))
    yield Office(folder / "home")
    shutil.rmtree(folder)
