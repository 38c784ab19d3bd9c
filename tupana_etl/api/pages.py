"""Pages of a list: page 1 says how many there are, the others are read at once.

Rows are never decoded here, only counted; their bytes go on as they came.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from tupana_etl.api.client import Client, Reply
from tupana_etl.api.origin import refuse_foreign_next
from tupana_etl.errors import NotFound, ServerError


@dataclass(frozen=True)
class Page:
    """One page as it came. What the answer did not say is None."""

    rows: bytes = field(repr=False)
    """The JSON array of rows, byte for byte."""
    number: int
    """From 1."""
    count: int | None
    """Rows of the whole list, as this page's answer says."""
    total_pages: int | None
    has_next: bool | None
    size: int
    """Rows on this page."""
    first_id: str | None
    """Id of the first row, as text: on page 1 of a newest-first list, the newest."""
    reply: Reply
    """The answer without its body: many pages wait in memory, each once."""
    bare: bool = False
    """The answer was the array itself, with nothing around it."""

    @property
    def facts(self) -> PageFacts:
        return PageFacts(self.number, self.count, self.size, self.first_id)


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What is remembered of a page once its rows are gone."""

    number: int
    count: int | None
    size: int
    first_id: str | None


class _Envelope(msgspec.Struct):
    results: msgspec.Raw
    count: int | None = None
    total_pages: int | None = None
    next: str | int | msgspec.UnsetType | None = msgspec.UNSET


class _Row(msgspec.Struct):
    id: str | int | None = None


# Lax: "123" for a count is understood. What cannot be understood is refused.
_ENVELOPE = msgspec.json.Decoder(_Envelope, strict=False)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_ROW = msgspec.json.Decoder(_Row)


def parse_page(reply: Reply, number: int) -> Page:
    """The page in an answer: ``{results, …}`` with or without its totals, or an array.

    Raises ServerError for anything else, and for a ``next`` on another host.
    """
    bare = reply.body.lstrip()[:1] == b"["
    try:
        head = _Envelope(msgspec.Raw(reply.body)) if bare else _ENVELOPE.decode(reply.body)
        rows = _ARRAY.decode(head.results)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ServerError(
            f"Page {number} of {reply.path.partition('?')[0]} is not a list as the API promises.",
            status=reply.status,
            request_id=reply.request_id,
            path=reply.path,
        ) from None
    if reply.origin and isinstance(head.next, str) and head.next:
        try:
            refuse_foreign_next(reply.origin, head.next)
        except ServerError as error:
            error.path = reply.path
            raise
    return Page(
        rows=reply.body.strip() if bare else bytes(head.results),
        number=number,
        count=head.count,
        total_pages=head.total_pages,
        has_next=None if head.next is msgspec.UNSET else bool(head.next),
        size=len(rows),
        first_id=_id_of(rows[0]) if rows else None,
        reply=replace(reply, body=b""),
        bare=bare,
    )


def _id_of(row: msgspec.Raw) -> str | None:
    """None also when the row is no object or its id is odd: that row is judged later."""
    try:
        found = _ROW.decode(row).id
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return None if found is None else str(found)


async def read_pages(
    client: Client,
    path: str,
    params: Mapping[str, str] | None = None,
    *,
    company: str | None = None,
    page_size: int = 100,
    first: Page | None = None,
    answered: Callable[[], None] = lambda: None,
) -> AsyncGenerator[Page, None]:
    """Pages of a list in order, read several at once, few of them held.

    At most ``2 × max_concurrency`` pages are read ahead of the consumer. ``first`` is page
    1 if it was read before, with the same ``page_size``. Wrap the iterator in
    ``contextlib.aclosing`` if it may be left early: that stops what is still being read.
    ``answered`` is called when the last page has come, perhaps before it is taken; not
    when nobody knew that it would be the last.

    It ends at the last page that page 1 promises (the greater of ``total_pages`` and
    ``count`` ÷ rows on page 1, since a server may cap ``page_size``), on an empty page, on
    a 404 past the start, when ``next`` is null, or when a server that ignores ``page``
    repeats itself. Whether the pages fit together is for :func:`torn` to say. Raises what
    ``Client.get`` and :func:`parse_page` raise.
    """
    asked = {**(params or {}), "page_size": str(page_size)}

    async def ask(number: int) -> Page | None:
        try:
            reply = await client.get(path, {**asked, "page": str(number)}, company=company)
        except NotFound:
            if number == 1:
                raise
            return None
        return parse_page(reply, number)

    page = first or await ask(1)
    if page is None:  # only a page past the first may be missing
        return
    last = _last(page)
    ahead: deque[asyncio.Task[Page | None]] = deque()
    asked_for = came = 1
    final: Page | None = page

    async def ask_ahead(number: int) -> Page | None:
        nonlocal came, final
        found = await ask(number)
        came += 1
        final = found if number == last else final
        if came == last and not (final and final.size and _may_go_on(final)):
            answered()
        return found

    def fill() -> None:
        nonlocal asked_for
        while asked_for < last and len(ahead) < 2 * client.max_concurrency:
            asked_for += 1
            ahead.append(asyncio.create_task(ask_ahead(asked_for)))

    try:
        fill()
        if last == 1 and not (page.size and _may_go_on(page)):
            answered()
        yield page
        while ahead:
            found = await ahead[0]
            ahead.popleft()
            if found is None:
                _refuse_silent_end(page, last)
                return
            page = found
            fill()
            yield page
            if page.size == 0:
                return
    finally:
        await _stop(ahead)

    # Nobody knows how many there are, or there are more than was said: one by one.
    while page.size and _may_go_on(page):
        found = await ask(page.number + 1)
        if found is None or found.size == 0 or _repeats(page, found):
            return
        page = found
        yield page


def _last(page: Page) -> int:
    """Number of the last page, by page 1; 1 when it does not say."""
    if page.size == 0:
        return 1
    by_count = -(-page.count // page.size) if page.count else 1
    return max(page.total_pages or 1, by_count)


def _may_go_on(page: Page) -> bool:
    if page.has_next is not None:
        return page.has_next
    return page.count is None and page.total_pages is None


def _repeats(page: Page, found: Page) -> bool:
    """A server that ignores ``page`` answers the same rows for ever."""
    same_start = page.first_id is not None and page.first_id == found.first_id
    return page.rows == found.rows or (same_start and page.size == found.size > 1)


def _refuse_silent_end(before: Page, last: int) -> None:
    """With a count, :func:`torn` sees that rows are missing; without one, nobody would."""
    if before.count is None and before.number < last:
        raise ServerError(
            f"Page {before.number + 1} of {last} is not there, and no count says why.",
            status=404,
            request_id=before.reply.request_id,
            path=before.reply.path,
        )


async def _stop(tasks: deque[asyncio.Task[Page | None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def torn(pages: list[PageFacts], distinct: int | None = None) -> str | None:
    """Why the pages of one pass cannot be one state of the list, or None.

    ``pages`` may hold a page twice, read at two moments; ``distinct`` is the number of
    different row ids among them all, where it is known. Totals alone hide a lost row
    behind a repeated one, so pass ``distinct``.
    """
    counts = {page.count for page in pages if page.count is not None}
    if len(counts) > 1:
        return f"count went between {min(counts)} and {max(counts)} while it was read"
    by_number: dict[int, PageFacts] = {}
    starts: dict[str, int] = {}
    for page in pages:
        before = by_number.setdefault(page.number, page)
        if before.first_id != page.first_id:
            return f"page {page.number} starts with {page.first_id}, before with {before.first_id}"
        if page.first_id is not None and starts.setdefault(page.first_id, page.number) != (
            page.number
        ):
            return f"pages {starts[page.first_id]} and {page.number} start with the same row"
    rows = sum(page.size for page in by_number.values())
    for count in counts:
        if rows != count:
            return f"{rows} rows came, count says {count}"
    if distinct is not None and distinct != rows:
        return f"{rows} rows came, only {distinct} of them different"
    return None
