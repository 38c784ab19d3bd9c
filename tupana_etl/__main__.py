"""``python -m tupana_etl`` is ``tupana``."""

from __future__ import annotations

import sys

from tupana_etl.cli import main

if __name__ == "__main__":
    sys.exit(main())
