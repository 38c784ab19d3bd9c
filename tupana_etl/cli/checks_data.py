"""What ``tupana doctor`` asks of the data on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from tupana_etl import analysis
from tupana_etl.cli import output
from tupana_etl.cli.checks import Check
from tupana_etl.cli.streams import states
from tupana_etl.domain import utcnow
from tupana_etl.errors import LakeCorrupt, TupanaError
from tupana_etl.inbox import store as inbox
from tupana_etl.lake.manifest import Manifest
from tupana_etl.lake.segments import Committed
from tupana_etl.settings import Settings

RUNS = """
SELECT run_id, started_at, finished_at, complete FROM raw.syncs ORDER BY started_at DESC LIMIT 1
"""
ERRORS = "SELECT count(*) FROM marts.data_quality WHERE severity = 'error'"


def check_data(configured: Settings) -> Iterator[Check]:
    """The lake, what was published, the last sync, its freshness and its findings."""
    yield _check_lake(configured)
    if inbox.exists(configured.home):
        yield _check_inbox(configured)
    if not configured.analytics.exists():
        yield Check("analytics", "warn", "nothing is published yet", "Run `tupana sync`.")
        return
    try:
        published = datetime.fromtimestamp(configured.analytics.stat().st_mtime, utcnow().tzinfo)
        age = output.number(round((utcnow() - published).total_seconds() / 3600, 1))
        with analysis.connect(configured):
            yield Check("analytics", "ok", f"{configured.analytics}, published {age} h ago")
        yield _check_last_sync(configured)
        yield _check_freshness(configured)
        yield _check_findings(configured)
    except TupanaError as error:
        yield Check("analytics", "fail", "cannot be used", str(error))


def _check_lake(configured: Settings) -> Check:
    try:
        try:
            segments = _segments(configured)
        except LakeCorrupt:
            segments = _segments(configured)  # a run may have put files together meanwhile
    except TupanaError as error:
        return Check("lake", "fail", "damaged", str(error))
    if segments is None:
        return Check("lake", "ok", "empty")
    return Check("lake", "ok", f"{output.number(segments)} segments, all there")


def _segments(configured: Settings) -> int | None:
    """Files of the lake, each looked at; None if nothing was ever written."""
    committed, files, entries = Committed(configured.lake), set(), 0
    for entry in Manifest(configured.lake).entries():
        entries += 1
        files |= {committed.file(s) for s in entry.body.get("segments", {}).values()}
    return len(files) if entries else None


def _check_inbox(configured: Settings) -> Check:
    with inbox.open_inbox(configured.home) as events:
        waiting = events.waiting()
    late = [event for event in waiting if event.attempts]
    if late:
        told = f"{output.number(len(late))} webhook events wait: {late[0].reason}"
        cure = "They are tried again by `tupana webhooks serve` or `tupana webhooks drain`."
        return Check("inbox", "warn", told, cure)
    if waiting:
        told = f"{output.number(len(waiting))} webhook events to be read"
        return Check("inbox", "ok", told)
    return Check("inbox", "ok", "every webhook event is settled")


def _check_last_sync(configured: Settings) -> Check:
    with analysis.answer(RUNS, configured) as found:
        runs = list(found.rows)
    if not runs:
        return Check("last sync", "warn", "none", "Run `tupana sync`.")
    _, started, finished, complete = runs[0]
    if finished is None:
        text = f"begun {output.moment(started)} and not ended"
        return Check("last sync", "fail", text, "Run `tupana sync`: it goes on from there.", 1)
    if complete:
        return Check("last sync", "ok", f"complete, {output.moment(finished)}")
    text = f"not complete, {output.moment(finished)}"
    cure = "`tupana streams` names what is missing; run `tupana sync` again."
    return Check("last sync", "fail", text, cure, code=1)


def _check_freshness(configured: Settings) -> Check:
    behind = [s.stream for s in states(configured) if s.status in ("stale", "never read")]
    if behind:
        return Check("freshness", "warn", f"behind: {', '.join(behind)}", "Run `tupana sync`.")
    return Check("freshness", "ok", "every stream is fresh")


def _check_findings(configured: Settings) -> Check:
    with analysis.answer(ERRORS, configured) as found:
        ((errors,),) = found.rows
    if errors:
        cure = "tupana query \"FROM marts.data_quality WHERE severity = 'error'\""
        return Check("findings", "warn", f"{output.number(errors)} errors in the data", cure)
    return Check("findings", "ok", "no errors in marts.data_quality")
