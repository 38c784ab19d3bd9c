"""``tupana webhooks list``: what is registered at Tu Pana, and what this home received."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec

from tupana_etl import settings
from tupana_etl.api.client import Client
from tupana_etl.api.reads import Company, companies
from tupana_etl.cli import output
from tupana_etl.domain import canonical_rut
from tupana_etl.errors import ConfigError, ServerError
from tupana_etl.event_loop import run_async
from tupana_etl.inbox import store
from tupana_etl.settings import Settings

SHOWN = ("id", "url", "events", "is_active", "last_status_code", "last_sent_at", "success_rate")
"""Of a webhook. Its secret, which the API tells, is read by nobody here."""

UNSIGNED = 401
"""What a receiver answers to a signature of none of its secrets."""


def run(args: argparse.Namespace) -> int:
    configured = settings.load()
    hooks = run_async(registered(configured, args.entity))
    counts, waiting = received(configured)
    if args.json:
        output.write_json({"webhooks": hooks, "received": counts, "waiting": waiting})
        return 0
    for hook in hooks:
        _tell(hook)
    if not hooks:
        output.write("No webhook is registered. `tupana webhooks create` registers one.")
    told = ", ".join(f"{output.number(n)} {state}" for state, n in counts.items())
    output.write(f"Events received here: {told or 'none'}")
    for line in waiting:
        output.write(output.paragraph(line, indent="  "))
    return 0


async def registered(configured: Settings, entity: str | None) -> list[dict[str, Any]]:
    """Webhooks of every company of the key, or of one. Source: GET /webhooks."""
    async with Client(configured.need_key()) as client:
        chosen = [one_of(await companies(client), entity)] if entity else [None]
        found = []
        for company in chosen:
            asked = {"master_entity_id": company.id} if company else None
            reply = await client.get("/webhooks", asked)
            try:
                rows = msgspec.json.decode(reply.body, type=list[dict[str, Any]])
            except (msgspec.MsgspecError, ValueError, RecursionError):
                raise ServerError("GET /webhooks answered something else than a list.") from None
            found += [{name: row.get(name) for name in SHOWN} for row in rows]
        return found


def one_of(visible: list[Company], entity: str | None) -> Company:
    """The company of a RUT or id; without one, the only one there is. Raises ConfigError."""
    if entity is None and len(visible) == 1:
        return visible[0]
    wanted = {entity, canonical_rut(entity) if entity else None}
    for company in visible:
        if entity is not None and {company.id, company.rut} & wanted:
            return company
    known = ", ".join(f"{c.rut} ({c.name})" for c in visible)
    said = f"No company {entity!r} is visible to this key" if entity else "Whose? Use --entity"
    raise ConfigError(f"{said}. There are: {known}.")


def received(configured: Settings) -> tuple[dict[str, int], list[str]]:
    """Events by state, and a sentence for each that was tried in vain."""
    if not store.exists(configured.home):
        return {}, []
    with store.open_inbox(configured.home) as inbox:
        late = [
            f"{e.event_type} of {_subject(e)}: tried {e.attempts} times, {e.reason}"
            for e in inbox.waiting()
            if e.attempts
        ]
        return inbox.counts(), late


def _subject(event: store.Pending) -> str:
    return f"document {event.document_id}" if event.document_id else f"batch {event.batch_id}"


def _tell(hook: dict[str, Any]) -> None:
    state = "on" if hook["is_active"] else "OFF"
    events = ", ".join(map(str, hook["events"] or ()))
    output.write(output.paragraph(f"{hook['id']}  {state}  {hook['url']}"))
    output.write(output.paragraph(events, indent="    "))
    last = hook["last_status_code"]
    told = f"last answer {last}" if last else "no answer yet"
    output.write(f"    {told}, {hook['success_rate']} % delivered")
    if last == UNSIGNED:
        text = "The receiver refused the signature: TUPANA_WEBHOOK_SECRET lacks the secret of "
        output.write(output.paragraph(f"{text}this webhook.", indent="    "))
