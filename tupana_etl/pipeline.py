"""The main moves: what the command line, Dagster and notebooks call.

``sync`` reads the API into the lake, applies the lake to the warehouse, rebuilds the
models and publishes. ``rebuild_marts`` does the last three without asking the API;
``at_rest`` lends the warehouse between two runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from tupana_etl import home
from tupana_etl.domain import utcnow
from tupana_etl.errors import ConfigError, TupanaError
from tupana_etl.event_loop import run_async
from tupana_etl.extract.bounds import bounded
from tupana_etl.extract.intake import Order, Taken, take_in
from tupana_etl.extract.preview import Ahead, look_ahead
from tupana_etl.extract.reading import OnRows
from tupana_etl.extract.refresh import refresh_document, refresh_documents
from tupana_etl.inbox import drain as hints
from tupana_etl.inbox.drain import Drained
from tupana_etl.inbox.mirror import mirror as mirror_inbox
from tupana_etl.lake.clean import remove_leftovers
from tupana_etl.lake.compact import compact
from tupana_etl.lake.manifest import Entry, Manifest
from tupana_etl.outbox.mirror import mirror as mirror_outbox
from tupana_etl.settings import Settings
from tupana_etl.streams import STREAMS, Stream
from tupana_etl.warehouse.apply import apply
from tupana_etl.warehouse.beside import applying
from tupana_etl.warehouse.database import Connection, discard, writer
from tupana_etl.warehouse.known import Known
from tupana_etl.warehouse.models import ModelRun, run_models
from tupana_etl.warehouse.moved import follow
from tupana_etl.warehouse.progress import deleted_in
from tupana_etl.warehouse.publish import check_publishable, publish

if TYPE_CHECKING:
    from tupana_etl.outbox.run import Tell
    from tupana_etl.outbox.send import SendResult


@dataclass(frozen=True)
class StreamResult:
    """What one sync did to one stream of one company."""

    stream: str
    entity: str
    """RUT; empty for streams that are not read by company."""
    seen: int
    new: int
    changed: int
    deleted: int
    rejected: int
    requests: int
    seconds: float
    complete: bool
    reasons: tuple[str, ...] = ()
    """Why it is not complete, one sentence a window."""
    windows: int = 0
    """Parts it was read in, each whole or not at all; ``reasons`` has one for each that is not."""
    requests_saved: int = 0
    """Requests not needed because events came with the lists."""
    refused: bool = False
    """The API answered 403: the key may not see this company (any more)."""


@dataclass(frozen=True)
class SyncResult:
    """What one sync did."""

    run_id: str
    complete: bool
    """False when any window could not be read whole; the next sync reads it again."""
    streams: list[StreamResult]
    models: list[ModelRun] = field(default_factory=list)
    unknown_fields: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Per stream, keys the API sent that no declaration names: kept in ``_extra``."""
    hidden: tuple[str, ...] = ()
    """RUTs of companies once read that the key no longer shows; they were tried all the same."""
    requests: int = 0
    """Requests sent, retries included."""
    requests_saved: int = 0
    """Requests not needed because events came with the lists."""
    seconds: float = 0.0

    @property
    def rejected(self) -> int:
        return sum(r.rejected for r in self.streams)


def sync(
    settings: Settings,
    streams: Sequence[str] = (),
    *,
    entity: str | None = None,
    since: date | None = None,
    full: bool = False,
    marts: bool = True,
    wait: float = 60.0,
    on_rows: OnRows = lambda stream, found, read: None,
) -> SyncResult:
    """Reads ``streams`` (all by default), applies, rebuilds the models, publishes.

    ``entity`` is one company's RUT or id; ``since`` the oldest issue date, which can only
    move back from the first sync's; ``full`` reads again even what an interrupted run had
    committed. Without ``marts`` it stops after applying, for a caller that rebuilds and
    publishes in a step of its own. Waits ``wait`` seconds for another run of the same home.

    Raises ConfigError, AuthError, OriginError (nothing was written), LockHeld, or what the
    server answered when not even the companies could be read. A window that fails after
    that is in the result, not raised. Works with an event loop running (a notebook).
    """
    wanted = choose(streams)
    order = Order(settings.need_key(), wanted, entity, since, full)
    return _run_one(
        order,
        lambda manifest, known: take_in(order, manifest, known, on_rows),
        marts=marts,
        wait=wait,
    )


def preview(
    settings: Settings,
    streams: Sequence[str] = (),
    *,
    entity: str | None = None,
    since: date | None = None,
) -> list[Ahead]:
    """What a sync with these arguments would read, by stream and company; writes nothing.

    Costs the reading of the companies and one request for each paged list. Raises
    ConfigError, AuthError, OriginError, or what the server answered.
    """
    order = Order(settings.need_key(), choose(streams), entity, since)
    return run_async(look_ahead(order))


def refresh(
    settings: Settings,
    *,
    document: str | None = None,
    company: str | None = None,
    wait: float = 60.0,
) -> SyncResult:
    """Reads one document, or everything of one company (RUT or id), again now.

    For a webhook, a change of ``/sync-status`` or a person who waits for it: a document
    costs one request. Applies, rebuilds the models and publishes as :func:`sync`, and
    raises the same; NotFound or DataError when the document is not the user's.
    """
    if (document is None) == (company is None):
        raise ConfigError("refresh takes either a document or a company.")
    if document is None:
        return sync(settings, entity=company, full=True, wait=wait)
    order = Order(settings.need_key(), choose(["documents"]))
    return _run_one(
        order,
        lambda manifest, known: refresh_document(order, document, manifest, known),
        marts=True,
        wait=wait,
    )


def drain(
    settings: Settings, *, wait: float = 60.0, clock: Callable[[], datetime] = utcnow
) -> Drained:
    """Reads the documents that webhooks named since the last time, in one run.

    An event is only a hint: its document is read from the API, and what the API says is
    applied, modelled and published as by :func:`refresh`. An event of a batch, or of a
    document that one may have made, polls what was sent from the outbox and awaits its
    end; nothing is sent. Nothing pending costs nothing.
    What could not be read is tried again later; ``clock`` says what is due.

    Raises what :func:`refresh` raises when none could be read; events stay pending.
    """

    def read(documents: Sequence[str]) -> dict[str, TupanaError]:
        order = Order(settings.need_key(), choose(["documents"]))
        failed: dict[str, TupanaError] = {}

        async def several(manifest: Manifest, known: Known) -> Taken:
            taken, errors = await refresh_documents(order, documents, manifest, known)
            failed.update(errors)
            if taken is None:
                raise _NothingRead
            return taken

        with suppress(_NothingRead):
            _run_one(order, several, marts=True, wait=wait)
        return failed

    def follow(batches: Sequence[str]) -> dict[str, TupanaError]:
        from tupana_etl.outbox.hints import follow as follow_batches  # noqa: PLC0415

        return run_async(follow_batches(settings, batches))

    return hints.drain(settings.home, read, follow, clock)


class _NothingRead(Exception):
    """Nothing to apply or to publish."""


def issue(
    settings: Settings,
    *,
    wait: float = 120.0,
    tell: Tell = lambda counts: None,
    follow_only: bool = False,
    only: str = "",
) -> SendResult:
    """Sends every approved row of the outbox and follows what was sent to its end.

    Waits up to ``wait`` seconds for another sender, and as long for results after the last
    batch was taken in; ``tell`` is told how many rows stand in each state. What it raises
    and returns: :func:`tupana_etl.outbox.send.send`. Nothing is sent that nobody approved,
    except plans under their caps in a proven sandbox, and nothing at all with ``follow_only``:
    then what was sent is looked up, followed and read back. ``only`` is a kind of row, such as
    ``schedule``: the others are left as they are.
    """
    # A sync need not wait a tenth of a second for what only issuing loads.
    from tupana_etl.outbox.send import send  # noqa: PLC0415

    return run_async(send(settings, wait=wait, tell=tell, follow_only=follow_only, only=only))


def _run_one(
    order: Order,
    read: Callable[[Manifest, Known], Coroutine[Any, Any, Taken]],
    *,
    marts: bool,
    wait: float,
) -> SyncResult:
    """Reading, applying, building and publishing under the home's lock."""
    started = time.monotonic()
    settings = order.settings
    with home.lock(settings.home, wait):
        with writer(settings.warehouse) as con:
            manifest = Manifest(settings.lake)
            manifest.open_for_append()
            remove_leftovers(manifest)
            apply(con, manifest)
            with bounded(con) as known, applying(con, manifest, known.merging):
                taken = run_async(read(manifest, known))
            apply(con, manifest)
            compact(manifest, lambda moved: follow(con, moved))
            models = _build(con, settings) if marts else []
            results = _results(con, taken)
        if marts:
            publish(settings.warehouse, settings.analytics, settings.publish_group)
    return SyncResult(
        run_id=taken.run_id,
        complete=all(r.complete for r in results),
        streams=results,
        models=models,
        unknown_fields=taken.unknown_fields,
        hidden=tuple(taken.hidden),
        requests=taken.requests,
        requests_saved=sum(e.body["requests_saved"] for e in taken.entries),
        seconds=round(time.monotonic() - started, 3),
    )


def rebuild_marts(
    settings: Settings, *, from_lake: bool = False, wait: float = 60.0
) -> list[ModelRun]:
    """Applies what is committed, rebuilds the models and publishes; asks nobody.

    ``from_lake`` applies the whole lake to a new warehouse, which takes the old one's
    place only when all went well.
    Raises ConfigError when there is nothing yet, ModelError, LakeCorrupt, LockHeld.
    """
    manifest = Manifest(settings.lake)
    if not manifest.exists:
        raise ConfigError(f"{settings.home} holds no data yet. Run `tupana sync` first.")
    with home.lock(settings.home, wait):
        path = settings.warehouse
        if from_lake:
            path = discard(path.with_name(f".{path.name}.rebuilt"))
        with writer(path) as con:
            apply(con, manifest)
            models = _build(con, settings)
        if from_lake:
            discard(settings.warehouse)
            path.replace(settings.warehouse)
        publish(settings.warehouse, settings.analytics, settings.publish_group)
    return models


@contextmanager
def at_rest(settings: Settings, wait: float = 60.0) -> Iterator[Connection]:
    """The warehouse while no run has it: for checks before anything is published.

    Analysts use :func:`tupana_etl.connect`, which blocks nobody. Raises LockHeld.
    """
    with home.lock(settings.home, wait), writer(settings.warehouse) as con:
        yield con


def choose(names: Sequence[str]) -> list[Stream]:
    """The streams to ask for; a child stands for its parent. ConfigError names a wrong one."""
    for name in names:
        if name not in STREAMS:
            raise ConfigError(f"There is no stream {name!r}. There are: {', '.join(STREAMS)}.")
    asked = [STREAMS[STREAMS[n].parent or n] for n in names or STREAMS]
    return list(dict.fromkeys(asked))


def _build(con: Connection, settings: Settings) -> list[ModelRun]:
    check_publishable(con)
    mirror_outbox(con, settings.home)
    mirror_inbox(con, settings.home)
    return run_models(con, home_is_sandbox=home.is_sandbox(settings.home))


def _results(con: Connection, taken: Taken) -> list[StreamResult]:
    counted = con.execute(
        """SELECT stream, coalesce(master_entity_id, ''), sum(new), sum(changed)
        FROM raw.windows WHERE run_id = ? GROUP BY ALL""",
        [taken.run_id],
    ).fetchall()
    versions = {(stream, company): (int(n), int(c)) for stream, company, n, c in counted}
    deleted = deleted_in(con, taken.run_id)
    by_slice: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in taken.entries:
        b = entry.body
        by_slice.setdefault((b["stream"], b["company"] or "", b["rut"] or ""), []).append(entry)
    order = list(STREAMS)
    results = []
    for (stream, company, rut), entries in sorted(
        by_slice.items(), key=lambda item: (order.index(item[0][0]), item[0][2])
    ):
        new, changed = versions.get((stream, company), (0, 0))
        counts = {"new": new, "changed": changed, "deleted": deleted.get((stream, company), 0)}
        results.append(_result(stream, rut, [e.body for e in entries], counts))
    return results


def _result(
    stream: str, rut: str, windows: list[dict[str, Any]], counts: dict[str, int]
) -> StreamResult:
    begun = min(datetime.fromisoformat(w["started_at"]) for w in windows)
    ended = max(datetime.fromisoformat(w["read_at"]) for w in windows)
    return StreamResult(
        stream=stream,
        entity=rut,
        seen=sum(w["seen"] for w in windows),
        new=counts["new"],
        changed=counts["changed"],
        deleted=counts["deleted"],
        rejected=sum(w["rejected"] + w["rejected_children"] for w in windows),
        requests=sum(w["requests"] for w in windows),
        seconds=round((ended - begun).total_seconds(), 3),
        complete=all(w["complete"] for w in windows),
        reasons=tuple(f"{w['label']}: {w['reason']}" for w in windows if w["reason"]),
        windows=len(windows),
        requests_saved=sum(w["requests_saved"] for w in windows),
        refused=any(w.get("status") == 403 for w in windows if w["reason"]),
    )
