"""Looks rows up in the API by their row key: what is there, and whether all was seen.

A look-up that finds nothing proves something only if it would have found what is there. So
the filter is used when it finds a document known to exist and nothing for a key that
nobody has; otherwise the company's list is read, newest first, with the details that it
takes to see the row key.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from tupana_etl.api.client import Reply
from tupana_etl.api.pages import Page, parse_page, read_pages
from tupana_etl.errors import ApiError, Fatal, NotFound
from tupana_etl.outbox import facts, failpoints, rows
from tupana_etl.outbox.custody import TAG_PARAM
from tupana_etl.outbox.facts import Facts
from tupana_etl.outbox.run import Run, together
from tupana_etl.outbox.states import State

PASSES = 3
"""Times a list is read that changed while it was read."""


@dataclass
class Sight:
    """What a look-up of rows of one company saw."""

    began: datetime
    """Our clock, before the first request: what was sent later it cannot have seen."""
    found: dict[str, list[Facts]] = field(default_factory=dict)
    """By row tag, every document that carries it."""
    complete: bool = True
    """Whether a row that was not found was not there."""
    why: str = ""
    """Why it is not complete."""
    how: str = ""
    """``filter`` or ``listing``."""
    skews: list[float] = field(default_factory=list)
    """Seconds by which the server's clock was ahead, by its answers."""

    def of(self, intent: rows.Intent) -> list[Facts]:
        return self.found.get(intent.row_tag, [])

    def issued(self, intent: rows.Intent) -> list[Facts]:
        """The documents of a row that exist, drafts and failures left out."""
        return [each for each in self.of(intent) if each.issued]


class _Unsure(Exception):
    """The look-up cannot say what is not there."""


async def look_up(run: Run, entity: str, intents: Sequence[rows.Intent]) -> Sight:
    """Every document of a company that carries the row key of one of ``intents``.

    What goes wrong makes the look-up incomplete; only a key that no longer works is raised.
    """
    failpoints.hit("lookup.before")
    sight = Sight(run.ledger.clock())
    company = run.companies.get(entity)
    try:
        if company is None:
            raise _Unsure(f"the key does not see company {entity}")
        look = _Look(run, company, entity, sight)
        if await look.filter_works(intents):
            sight.how = "filter"
            await look.by_filter(intents)
        else:
            sight.how = "listing"
            await look.by_listing(intents)
    except Fatal:
        raise
    except (ApiError, _Unsure) as error:
        sight.complete, sight.why = False, str(error)
    failpoints.hit("lookup.after")
    return sight


@dataclass(frozen=True)
class _Look:
    run: Run
    company: str
    entity: str
    sight: Sight

    async def filter_works(self, intents: Sequence[rows.Intent]) -> bool:
        """Whether the filter finds what is known to be there, and nothing for a key of nobody."""
        if self.run.filters.get(self.entity) is False:
            return False
        known = self._known(intents)
        if known is None:
            return False
        try:
            nobody = await self._filtered(f"none_{secrets.token_hex(16)}")
            there = await self._filtered(known.row_tag)
        except ApiError as error:
            if error.status not in (400, 422):
                raise
            nobody, there = [], []
        works = not nobody and any(each.id == known.document_id for each in there)
        self.run.filters[self.entity] = works
        if not works:
            self.run.notice(
                f"The search by row key does not work for company {self.entity} (a document "
                "known to be there was not found, or a key of nobody was); its list is read "
                "instead."
            )
        return works

    async def by_filter(self, intents: Sequence[rows.Intent]) -> None:
        found = await together(self._filtered(i.row_tag) for i in intents)
        for intent, documents in zip(intents, found, strict=True):
            for each in documents:
                seen = each if each.tag is not None else await self._detail(each)
                if seen.tag != intent.row_tag:
                    raise _Unsure("the search by row key finds documents of other rows")
                self._add(seen)

    async def by_listing(self, intents: Sequence[rows.Intent]) -> None:
        """The list, until it is older than any of the rows, and details where it takes them."""
        oldest = min(intent.date_issued for intent in intents)
        for _ in range(PASSES):
            read = await self._list(oldest)
            if read is not None:
                break
        else:
            raise _Unsure("the list of documents changed each time it was read")
        known = self._known(intents)
        if (
            known is not None
            and known.date_issued >= oldest
            and all(each.id != known.document_id for each in read)
        ):
            raise _Unsure(f"document {known.document_id} is known, and not in the list")
        shows = any(each.tag is not None for each in read)
        wanted = {(i.dte_type, i.date_issued) for i in intents}
        taken = self._taken({i.row_tag for i in intents})
        candidates = [
            each
            for each in read
            if each.tag is None
            and not shows
            and each.id not in taken
            and any(
                each.dte_type in (None, kind) and each.date in (None, day) for kind, day in wanted
            )
        ]
        seen = await together(self._detail(each) for each in candidates)
        for document in (*read, *seen):
            if document.tag is not None:
                self._add(document)

    async def _list(self, oldest: str) -> list[Facts] | None:
        """Documents of the list, newest first, down to a day before ``oldest``.

        None when it shrank while it was read: something may have slipped past.
        """
        found: dict[str, Facts] = {}
        counts: list[int] = []
        pages = read_pages(self.run.client, "/documents", self._params(), company=self.entity)
        ordered, last, whole = True, "9999-12-31", True
        async with aclosing(pages) as reading:
            async for page in reading:
                self._keep_time(page.reply)
                if page.count is not None:
                    counts.append(page.count)
                listed = self._rows(page)
                days = [each.date for each in listed if each.date]
                ordered = (
                    ordered
                    and sorted(days, reverse=True) == days
                    and max(days, default=last) <= last
                )
                last = min([*days, last])
                found.update({each.id: each for each in listed})
                if ordered and days and max(days) < oldest:
                    whole = False
                    break
        shrank = any(later < earlier for earlier, later in pairwise(counts))
        short = whole and bool(counts) and len(found) < counts[0]
        return None if shrank or short else list(found.values())

    async def _filtered(self, tag: str) -> list[Facts]:
        params = {**self._params(), f"json_param__{TAG_PARAM}": tag, "page_size": "100"}
        reply = await self.run.client.get("/documents", params, company=self.entity)
        self._keep_time(reply)
        return self._rows(parse_page(reply, 1))

    async def _detail(self, listed: Facts) -> Facts:
        found = self.run.seen.get(listed.id) or await read_document(self.run, listed.id)
        if found is None:
            raise _Unsure(f"document {listed.id} is listed, and cannot be read")
        return found

    def _params(self) -> dict[str, str]:
        return {"master_entity_id": self.company, "document_type": "issued"}

    def _rows(self, page: Page) -> list[Facts]:
        found = facts.of_rows(page.rows)
        if found is None:
            raise _Unsure("the list of documents holds something that is no document")
        return found

    def _keep_time(self, reply: Reply) -> None:
        if reply.date is not None:
            now = self.run.ledger.clock()
            self.sight.skews.append((reply.date - now).total_seconds())

    def _add(self, document: Facts) -> None:
        found = self.sight.found.setdefault(document.tag or "", [])
        if all(each.id != document.id for each in found):
            found.append(document)

    def _known(self, intents: Sequence[rows.Intent]) -> rows.Intent | None:
        """The newest row of the company whose document was read back: it must be found."""
        return rows.newest_verified(self.run.ledger, self.entity, without={i.id for i in intents})

    def _taken(self, tags: set[str]) -> set[str]:
        """Documents that are known to be other rows'."""
        return {
            str(row.document_id)
            for row in rows.in_state(self.run.ledger, {State.VERIFIED})
            if row.row_tag not in tags
        }


async def read_document(run: Run, document_id: str) -> Facts | None:
    """A document as its detail tells it; None when it is not there. Raises ApiError."""
    try:
        reply = await run.client.get(f"/documents/{document_id}", document=document_id)
    except NotFound:
        return None
    found = facts.of_body(reply.body)
    if found is not None and found.tag is not None and found.issued:
        run.seen[found.id] = found
    return found
