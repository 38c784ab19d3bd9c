"""``tupana webhooks drain``: reads now what the kept events name."""

from __future__ import annotations

import argparse

from tupana_etl import pipeline, settings
from tupana_etl.cli import output
from tupana_etl.inbox.drain import Drained


def run(args: argparse.Namespace) -> int:
    done = pipeline.drain(settings.load(), wait=args.wait)
    if args.json:
        output.write_json({"complete": done.complete, **vars(done)})
    else:
        for line in told(done) or ["Nothing was pending."]:
            output.write(output.paragraph(line))
    return 0 if done.complete else 1


def told(done: Drained) -> list[str]:
    """What was done, a sentence each."""
    lines = [f"Read and published: document {', '.join(done.read)}."] if done.read else []
    if done.followed:
        lines += [f"Asked for the results of batch {', '.join(done.followed)}."]
    lines += [f"Ignored: {why}" for why in done.ignored.values()]
    lines += [f"Tried again later: {why}" for why in done.failed.values()]
    return lines
