"""Named places where a test ends this process as a power cut would: at once, nothing tidied.

``TUPANA_FAILPOINT=name`` kills at the first time the place is reached, ``name:3`` at the
third. Without the variable nothing happens. The names are those below, so that a test can
try all of them.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

VARIABLE = "TUPANA_FAILPOINT"

POST_STAGES = {
    "send_request_headers.complete": "post.headers_out",
    "send_request_body.complete": "post.body_out",
    "receive_response_headers.complete": "post.answered",
}
"""How far a request has come, as the transport tells it."""

NAMES = (
    *("recover.before", "recover.after"),
    *("bind.before", "bind.after"),
    *("attempt.before", "attempt.after"),
    *POST_STAGES.values(),
    *("result.before", "result.after"),
    *("rebind.before", "rebind.after"),
    *("lookup.before", "lookup.after", "adopt.after"),
    *("poll.before", "poll.after", "issued.after"),
    *("verify.before", "verify.after"),
)
"""Of sending."""

PURGING = ("purge.before", "purge.inside", "purge.after", "purge.compacted")
"""Of purging content."""

_seen: Counter[str] = Counter()


def hit(name: str) -> None:
    """Ends the process if the environment says that it shall end here."""
    wanted = os.environ.get(VARIABLE, "")
    if not wanted:
        return
    place, _, times = wanted.partition(":")
    if place == name:
        _seen[name] += 1
        if _seen[name] >= int(times or 1):
            os.kill(os.getpid(), signal.SIGKILL)


def watch(stage: str) -> None:
    """The same for a stage of a POST."""
    name = POST_STAGES.get(stage)
    if name is not None:
        hit(name)
