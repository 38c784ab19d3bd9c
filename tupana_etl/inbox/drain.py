"""Pending events become reads: what they name is read once, whatever they say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tupana_etl.errors import DataError, LockHeld, Refused, TupanaError
from tupana_etl.inbox.store import Inbox, Pending, exists, open_inbox

MOST_DOCUMENTS = 500
"""In one go; the rest waits for the next."""
LOOKS = 3
"""How often what the API does not show is asked for: an event may overtake it."""
RESULTS = frozenset({"document.issued", "document.issue_failed", "document.rejected"})
"""Events that may be the end of a document that was sent from here."""

_log = logging.getLogger(__name__)

Ask = Callable[[Sequence[str]], dict[str, TupanaError]]
"""Reads documents, or follows batches, by id; those that could not be, each with why."""


@dataclass
class Drained:
    """What one drain did, in ids of documents and batches."""

    read: list[str] = field(default_factory=list)
    """Documents."""
    followed: list[str] = field(default_factory=list)
    """Batches whose rows of the outbox were looked up."""
    ignored: dict[str, str] = field(default_factory=dict)
    """Not the user's, or not there: each with why."""
    failed: dict[str, str] = field(default_factory=dict)
    """Tried again later: each with why."""
    events: int = 0
    """Events settled."""

    @property
    def complete(self) -> bool:
        return not self.failed


def drain(home: Path, read: Ask, follow: Ask, clock: Callable[[], datetime]) -> Drained:
    """Reads the documents of every event that is due, follows the batches, and notes what
    became of each event.

    When no document could be read at all, their events are put off and the error is raised;
    when another run holds the home they stay due. ``follow`` is also asked, for nothing in
    particular, when a document came that a batch may have made.
    """
    done = Drained()
    if not exists(home):
        return done
    with open_inbox(home) as inbox:
        due = inbox.due(clock())
        documents = _by(due, lambda event: event.document_id, MOST_DOCUMENTS)
        batches = _by(due, lambda event: "" if event.document_id else event.batch_id)
        if documents:
            errors = _read(inbox, documents, read, clock)
            done.read = _settle(inbox, documents, errors, done, clock)
        if batches or any(event.event_type in RESULTS for event in _all(documents)):
            errors = _follow(list(batches), follow)
            done.followed = _settle(inbox, batches, errors, done, clock)
    return done


Due = dict[str, list[Pending]]
"""Events by the id of what they are about."""


def _by(due: Iterable[Pending], subject: Callable[[Pending], str], most: int | None = None) -> Due:
    found: Due = {}
    for event in due:
        about = subject(event)
        if about and (about in found or most is None or len(found) < most):
            found.setdefault(about, []).append(event)
    return found


def _all(due: Due) -> list[Pending]:
    return [event for events in due.values() for event in events]


def _read(
    inbox: Inbox, documents: Due, read: Ask, clock: Callable[[], datetime]
) -> dict[str, TupanaError]:
    try:
        return read(list(documents))
    except LockHeld:
        raise
    except TupanaError as error:
        inbox.put_off(_all(documents), clock(), str(error))
        raise


def _follow(batches: list[str], follow: Ask) -> dict[str, TupanaError]:
    """What ends the look ends it for every batch: they are looked for again later."""
    try:
        return follow(batches)
    except LockHeld as sender:  # it polls by itself
        return dict.fromkeys(batches, sender)
    except TupanaError as error:
        if not batches:
            _log.warning("what was sent from the outbox was not looked up: %s", error)
        return dict.fromkeys(batches, error)


def _settle(
    inbox: Inbox,
    due: Due,
    errors: dict[str, TupanaError],
    done: Drained,
    clock: Callable[[], datetime],
) -> list[str]:
    """Notes what became of each event; returns the ids that were read."""
    found = []
    for subject, events in due.items():
        wrong = errors.get(subject)
        if wrong is None:
            inbox.settle(events, "handled", clock())
            found.append(subject)
        elif _is_hopeless(wrong, events):
            inbox.settle(events, "ignored", clock(), str(wrong))
            done.ignored[subject] = str(wrong)
        else:
            inbox.put_off(events, clock(), str(wrong))
            done.failed[subject] = str(wrong)
            continue
        done.events += len(events)
    return found


def _is_hopeless(error: TupanaError, events: list[Pending]) -> bool:
    """Somebody else's, or not shown after several looks."""
    looks = max(event.attempts for event in events) + 1
    return isinstance(error, DataError) or (isinstance(error, Refused) and looks >= LOOKS)
