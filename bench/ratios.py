"""How many times slower than ours: what is compared from run to run, never seconds.

python -m bench.ratios RESULTS             against bench/reference.json; exit 1 if worse
python -m bench.ratios RESULTS --write     makes these the reference
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.samples import Results, Summary, load, summaries
from bench.tables import OURS, title_of

REFERENCE = Path(__file__).with_name("reference.json")
LEAST_CPU = 0.5
"""Seconds; the CPU of anything shorter is mostly what the clock's grain makes of it."""
SLACK = 0.75
"""A ratio may fall to so much of the reference: two noisy times make one ratio."""


def ratios(results: Results) -> dict[str, float]:
    """Wall and CPU time of every floor and peer by ours, and rows of ours that are wrong.

    A peer above 1 is slower than ours; a floor below 1 is faster.
    """
    found = list(summaries(results.samples))
    ours = {s.condition: s for s in found if s.contestant == OURS}
    told: dict[str, float] = {}
    for s in found:
        mine = ours.get(s.condition)
        if mine is None:
            continue
        if s is mine:
            told[f"{title_of(s.condition)}: wrong rows of ours"] = float(s.wrong or 0)
        else:
            told |= _against(s, mine)
    return told


def _against(other: Summary, mine: Summary) -> dict[str, float]:
    about = f"{title_of(other.condition)}: {other.contestant} by ours"
    wall, cpu = other.seconds / mine.seconds, other.cpu / mine.cpu
    told = {f"{about}, wall": round(wall, 3)}
    return told | ({f"{about}, CPU": round(cpu, 3)} if other.cpu >= LEAST_CPU else {})


def worse(now: Mapping[str, float], before: Mapping[str, float]) -> list[str]:
    """What fell behind the reference, in words; only what both have is compared."""
    told = []
    for name, was in before.items():
        value = now.get(name)
        if value is None:
            continue
        if name.endswith("wrong rows of ours"):
            told += [f"{name}: {value:.0f}"] if value else []
        elif value < was * SLACK:
            told.append(f"{name}: {value:.2f}, in the reference {was:.2f}")
    return told


def check(results: Results) -> int:
    """Prints what is worse than the reference; 1 when something is."""
    now = ratios(results)
    before = json.loads(REFERENCE.read_text(encoding="utf-8"))
    common = now.keys() & before.keys()
    if not common:
        print("Nothing here is in the reference.", file=sys.stderr)
        return 1
    found = worse(now, before)
    for line in found:
        print(f"worse: {line}", file=sys.stderr)
    print(f"{len(common)} ratios compared with {REFERENCE.name}, {len(found)} worse.")
    return 1 if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--write", action="store_true", help="make these the reference")
    given = parser.parse_args()
    results = load(given.results)
    if not given.write:
        return check(results)
    told = json.dumps(ratios(results), indent=1, ensure_ascii=False)
    REFERENCE.write_text(told + "\n", encoding="utf-8")
    print(f"{REFERENCE.name} written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
