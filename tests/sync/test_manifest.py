"""The manifest stays short however long a home is used: what is old is sealed."""

from __future__ import annotations

import gzip
from datetime import timedelta
from pathlib import Path

import pytest

from tupana_etl.errors import LakeCorrupt
from tupana_etl.lake import manifest
from tupana_etl.lake.manifest import Manifest
from tupana_etl.pipeline import rebuild_marts

from .helpers import TODAY, Site, differences, site, versions


def sealed(here: Site) -> list[Path]:
    return sorted(here.settings.lake.glob("manifest-*"))


def test_what_is_old_is_sealed_and_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site(tmp_path, documents=60, companies=2, months=2) as here:
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
    with site(tmp_path, documents=30, companies=1, months=2) as here:
        here.sync(marts=False)
        entries = list(Manifest(here.settings.lake).entries())
        monkeypatch.setattr(manifest, "SEAL_BYTES", 1_000)
        Manifest(here.settings.lake).open_for_append()
        (packed,) = sealed(here)
        plain = packed.with_suffix("")
        tail = here.settings.lake / "manifest.jsonl"
        lines = gzip.decompress(packed.read_bytes())

        def go_on() -> None:
            assert list(Manifest(here.settings.lake).entries()) == entries
            again = Manifest(here.settings.lake)
            again.open_for_append()
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
    with site(tmp_path, documents=30, companies=1, months=2) as here:
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
