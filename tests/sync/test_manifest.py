"""The manifest stays short however long a home is used: what is old is sealed."""

from __future__ import annotations

import gzip
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from tupana_etl.errors import LakeCorrupt
from tupana_etl.lake import manifest
from tupana_etl.lake.compact import compact
from tupana_etl.lake.manifest import Manifest
from tupana_etl.pipeline import rebuild_marts

from .helpers import TODAY, Site, differences, unpublished, versions


def put_away(here: Site) -> Manifest:
    """Seals and compacts as a run does."""
    found = Manifest(here.settings.lake)
    found.open_for_append()
    compact(found, lambda moved: None)
    return found


def sealed(here: Site) -> list[Path]:
    return sealed_in(here.settings.lake)


def sealed_in(lake: Path) -> list[Path]:
    return sorted(lake.glob("manifest-*"))


def test_what_is_old_is_sealed_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unpublished(tmp_path, documents=60, companies=2, months=2) as here:
        start = TODAY - timedelta(days=400)
        here.sync(since=start, marts=False)
        before = list(Manifest(here.settings.lake).entries())
        monkeypatch.setattr(manifest, "SEAL_BYTES", 1_000)
        here.admin("pay", document_id=int(here.truth("documents")[0]["id"]))
        here.sync(marts=False)
        here.sync()
        assert [path.suffix for path in sealed(here)] == [".gz", ".gz"]
        after = list(Manifest(here.settings.lake).entries())
        assert after[: len(before)] == before
        assert [e.seq for e in after] == list(range(1, len(after) + 1))
        # The oldest date ever asked for is remembered from before the seal.
        assert {e.body["start"] for e in after if e.kind == "run"} == {start.isoformat()}
        assert differences(here) == {}
        counted = versions(here)
        rebuild_marts(here.settings, from_lake=True)
        assert versions(here) == counted
        assert differences(here) == {}
        assert here.sync().complete


def test_a_seal_may_be_interrupted_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unpublished(tmp_path, documents=30, companies=1, months=2) as here:
        here.sync(marts=False)
        entries = list(Manifest(here.settings.lake).entries())
        monkeypatch.setattr(manifest, "SEAL_BYTES", 1_000)
        put_away(here)
        (packed,) = sealed(here)
        plain = packed.with_suffix("")
        tail = here.settings.lake / "manifest.jsonl"
        lines = gzip.decompress(packed.read_bytes())

        def go_on() -> None:
            assert list(Manifest(here.settings.lake).entries()) == entries
            again = put_away(here)
            assert sealed(here) == [packed]
            assert list(again.entries()) == entries
            assert again.lines() == len(entries)

        plain.write_bytes(lines)  # both are there
        go_on()
        packed.unlink()
        plain.write_bytes(lines)
        tail.unlink()  # renamed, and no more than that
        go_on()


def test_a_sealed_part_that_is_gone_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with unpublished(tmp_path, documents=30, companies=1, months=2) as here:
        monkeypatch.setattr(manifest, "SEAL_BYTES", 1_000)
        for _ in range(3):
            here.sync(marts=False)
        first, second = sealed(here)
        first.unlink()
        with pytest.raises(LakeCorrupt, match="not in"):
            rebuild_marts(here.settings, from_lake=True)
        assert second.exists()


@pytest.mark.parametrize("damage", ["cut", "short", "no gzip"])
def test_a_sealed_part_that_is_not_whole_is_named(tmp_path: Path, damage: str) -> None:
    lake = tmp_path / "home" / "lake"
    whole = Manifest(lake)
    whole.open_for_append()
    for number in range(10):
        whole.append("end", {"run": str(number)})
    lines = (lake / "manifest.jsonl").read_bytes()
    part = lake / "manifest-000000001-000000010.jsonl.gz"
    packed = gzip.compress(lines)
    short = gzip.compress(b"".join(lines.splitlines(keepends=True)[:-1]))
    part.write_bytes({"cut": packed[:-12], "short": short, "no gzip": lines}[damage])
    (lake / "manifest.jsonl").write_bytes(lines)
    with pytest.raises(LakeCorrupt, match=part.name):
        list(Manifest(lake).entries())
    with pytest.raises(LakeCorrupt, match=part.name):
        list(Manifest(lake).entries(after=5))
    part.write_bytes(packed)
    assert [entry.seq for entry in Manifest(lake).entries()] == list(range(1, 21))


def test_reading_without_the_lock_survives_seals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ``tupana doctor`` reads while a run begins: a state that was, never an error."""
    monkeypatch.setattr(manifest, "SEAL_BYTES", 1)
    lake = tmp_path / "home" / "lake"
    writer = Manifest(lake)
    writer.open_for_append()
    ended = threading.Event()

    def run() -> None:
        try:
            for number in range(60):
                writer.append("end", {"run": str(number)})
                writer.open_for_append()
                compact(writer, lambda moved: None)
        finally:
            ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    reads, most = 0, 0
    while not ended.is_set():
        least = Manifest(lake).lines()
        numbers = [entry.seq for entry in Manifest(lake).entries()]
        assert numbers == list(range(1, len(numbers) + 1))
        assert most <= least <= len(numbers)
        reads, most = reads + 1, len(numbers)
    thread.join()
    assert reads > 1
    assert len(list(Manifest(lake).entries())) == 60


def test_a_seal_in_the_middle_of_a_reading_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = tmp_path / "home" / "lake"
    writer = Manifest(lake)
    writer.open_for_append()
    for number in range(4):
        writer.append("end", {"run": str(number)})
    reading = Manifest(lake).entries()
    assert next(reading).seq == 1
    monkeypatch.setattr(manifest, "SEAL_BYTES", 1)
    writer.open_for_append()
    writer.append("end", {"run": "4"})
    assert sealed_in(lake)
    assert [entry.seq for entry in reading] == [2, 3, 4]
