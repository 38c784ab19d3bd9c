"""Pending events become reads: each document they name is read once, whatever they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tupana_etl.errors import DataError, LockHeld, Refused, TupanaError
from tupana_etl.inbox.store import Pending, exists, open_inbox

MOST_DOCUMENTS = 500
"""In one go; the rest waits for the next."""
LOOKS = 3
"""How often a document that the API does not show is asked for: an event may overtake it."""

Read = Callable[[Sequence[str]], dict[str, TupanaError]]
"""Reads documents by id; those that could not be read, each with why."""


@dataclass
class Drained:
    """What one drain did, in ids of documents."""

    read: list[str] = field(default_factory=list)
    ignored: dict[str, str] = field(default_factory=dict)
    """Not the user's, or not there: each with why."""
    failed: dict[str, str] = field(default_factory=dict)
    """Tried again later: each with why."""
    events: int = 0
    """Events settled."""

    @property
    def complete(self) -> bool:
        return not self.failed


def drain(home: Path, read: Read, clock: Callable[[], datetime]) -> Drained:
    """Reads the documents of every event that is due, and notes what became of it.

    When nothing could be read at all, events are put off and the error is raised; when
    another run holds the home they stay due.
    """
    done = Drained()
    if not exists(home):
        return done
    with open_inbox(home) as inbox:
        due: dict[str, list[Pending]] = {}
        for event in inbox.due(clock()):
            if event.document_id in due or len(due) < MOST_DOCUMENTS:
                due.setdefault(event.document_id, []).append(event)
        if not due:
            return done
        try:
            errors = read(list(due))
        except LockHeld:
            raise
        except TupanaError as error:
            every = [event for events in due.values() for event in events]
            inbox.put_off(every, clock(), str(error))
            raise
        for document, events in due.items():
            wrong = errors.get(document)
            if wrong is None:
                inbox.settle(events, "handled", clock())
                done.read.append(document)
            elif _is_hopeless(wrong, events):
                inbox.settle(events, "ignored", clock(), str(wrong))
                done.ignored[document] = str(wrong)
            else:
                inbox.put_off(events, clock(), str(wrong))
                done.failed[document] = str(wrong)
                continue
            done.events += len(events)
    return done


def _is_hopeless(error: TupanaError, events: list[Pending]) -> bool:
    """Somebody else's, or not shown after several looks."""
    looks = max(event.attempts for event in events) + 1
    return isinstance(error, DataError) or (isinstance(error, Refused) and looks >= LOOKS)
