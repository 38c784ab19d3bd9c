"""Removes what an interrupted run left behind: files that no line of the manifest names."""

from __future__ import annotations

from tupana_etl.lake.manifest import Manifest


def remove_leftovers(manifest: Manifest) -> int:
    """Deletes half-written files, and whole segments of unfinished runs that were never
    committed. The caller holds the home's lock. Returns how many.
    """
    leftovers = list(manifest.lake.rglob(".*.tmp"))
    entries = list(manifest.recent())
    ended = {e.body["run"] for e in entries if e.kind == "end"}
    open_runs = {e.body["run"] for e in entries if e.kind == "run"} - ended
    named = {
        segment["path"]
        for e in entries
        if e.kind == "window" and e.body["run"] in open_runs
        for segment in e.body["segments"].values()
    }
    for run in open_runs:
        written = manifest.lake.glob(f"*/{run}/*.parquet")
        leftovers += [p for p in written if str(p.relative_to(manifest.lake)) not in named]
    for path in leftovers:
        path.unlink()
    return len(leftovers)
