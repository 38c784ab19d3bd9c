"""Our own sync up to the tables in the warehouse: where floors and peers stop too.

    python -m bench.ours [STREAM ...]

The models and the published file, which ``tupana sync`` makes after that, are measured apart.
"""

from __future__ import annotations

import sys

from tupana_etl import pipeline, settings


def main() -> int:
    result = pipeline.sync(settings.load(), sys.argv[1:], marts=False)
    for stream in result.streams:
        for reason in stream.reasons:
            print(reason, file=sys.stderr)
    return 0 if result.complete else 1


if __name__ == "__main__":
    sys.exit(main())
