"""Reads issued documents back and holds them against what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime

from tupana_etl.api.pages import read_pages
from tupana_etl.domain import SANTIAGO
from tupana_etl.errors import ApiError, ConfigError, Fatal
from tupana_etl.outbox import facts, failpoints, proof, rows
from tupana_etl.outbox.facts import Facts
from tupana_etl.outbox.look import look_up, read_document
from tupana_etl.outbox.reconcile import twice
from tupana_etl.outbox.run import Run, by_company, together
from tupana_etl.outbox.settle import quarantine
from tupana_etl.outbox.states import State
from tupana_etl.settings import Settings

ACTOR = "verifier"

FEW = 16
"""Rows for which two pages of the list are read and no more: their details cost less."""

SII_REJECTED = "rejected"


async def verify(run: Run, settings: Settings) -> None:
    """Reads back every ISSUED row: VERIFIED when it is what was asked, else QUARANTINED."""
    issued = [i for i in rows.in_state(run.ledger, {State.ISSUED}) if not i.sii_state]
    for entity, intents in by_company(issued).items():
        failpoints.hit("verify.before")
        try:
            found = await _read_back(run, entity, intents)
        except Fatal:
            raise
        except ApiError as error:
            run.notice(f"Documents of company {entity} could not be read back: {error}")
            continue
        _judge(run, settings, intents, found)
        failpoints.hit("verify.after")


async def _read_back(
    run: Run, entity: str, intents: Sequence[rows.Intent]
) -> dict[int, list[Facts]]:
    """Per row, the documents that carry its key or its id. Rows not seen yet are left out."""
    doubtful = [i for i in intents if i.ever_ambiguous]
    plain = [i for i in intents if not i.ever_ambiguous]
    found: dict[int, list[Facts]] = {}
    if doubtful:
        found |= await _by_row_key(run, entity, doubtful)
    listed = await _listed(run, entity, plain) if plain else {}
    missing = [i for i in plain if i.id not in listed]
    details = await together(_detail(run, i) for i in missing)
    singles = {i.id: [d] for i, d in zip(missing, details, strict=True) if d is not None}
    return found | listed | singles


async def _by_row_key(
    run: Run, entity: str, intents: Sequence[rows.Intent]
) -> dict[int, list[Facts]]:
    """Rows once in doubt: a second document may exist, so their key must find exactly one,
    and that one must be the row's. A row whose key finds nothing yet is left out."""
    sight = await look_up(run, entity, intents)
    if not sight.complete:
        return {}
    details = await together(_detail(run, intent) for intent in intents)
    found: dict[int, list[Facts]] = {}
    for intent, own in zip(intents, details, strict=True):
        documents = sight.issued(intent)
        if documents and own is not None:
            found[intent.id] = _once([own, *documents])
        elif own is not None and own.tag is None:
            found[intent.id] = [own]
    return found


async def _detail(run: Run, intent: rows.Intent) -> Facts | None:
    document_id = str(intent.document_id)
    return run.seen.get(document_id) or await read_document(run, document_id)


async def _listed(run: Run, entity: str, intents: Sequence[rows.Intent]) -> dict[int, list[Facts]]:
    """Rows whose document the company's list shows with all that is to be compared.

    The list also shows a second document of a row, which its own detail never would.
    """
    company = run.companies.get(entity)
    if company is None:
        return {}
    by_id = {str(i.document_id): i for i in intents}
    by_tag = {i.row_tag: i for i in intents}
    oldest = min(i.date_issued for i in intents)
    params = {"master_entity_id": company, "document_type": "issued"}
    found: dict[int, list[Facts]] = {}
    pages = read_pages(run.client, "/documents", params, company=entity)
    async with aclosing(pages) as reading:
        async for page in reading:
            listed = facts.of_rows(page.rows) or []
            _tell_strangers(run, entity, listed)
            for each in listed:
                intent = by_id.get(each.id) or by_tag.get(each.tag or "")
                if intent is not None and each.comparable:
                    found.setdefault(intent.id, []).append(each)
            days = [each.date for each in listed if each.date]
            enough = len(intents) <= FEW and page.number >= 2
            useless = listed and not any(each.comparable for each in listed)
            if useless or enough or (days and max(days) < oldest):
                break
    return {key: _once(documents) for key, documents in found.items()}


def _tell_strangers(run: Run, entity: str, listed: Sequence[Facts]) -> None:
    """Two ledgers of one company cannot be kept apart from here, but they can be seen: by a
    row key that this one never made, on a document from after it began."""
    began = datetime.fromisoformat(run.ledger.meta("created_at")).astimezone(SANTIAGO)
    recent = [each for each in listed if each.tag and (each.date or "") >= began.date().isoformat()]
    strange = next((e for e in recent if not rows.by_tag(run.ledger, str(e.tag))), None)
    if strange is not None and entity not in run.strangers:
        run.strangers.add(entity)
        run.notice(
            f"Company {entity}: document {strange.id} carries a row key that this ledger never "
            "made. Either it came back from a backup that is older than that, or another ledger "
            "issues for the company too: neither sees the other's rows, so both may issue the "
            "same. Keep one a company."
        )


def _once(documents: Sequence[Facts]) -> list[Facts]:
    return list({each.id: each for each in documents}.values())


def _judge(
    run: Run, settings: Settings, intents: Sequence[rows.Intent], found: dict[int, list[Facts]]
) -> None:
    with run.ledger.transaction():
        last: Facts | None = None
        for intent in intents:
            documents = found.get(intent.id)
            if documents:
                last = _judge_one(run, intent, documents) or last
        if last is not None:
            _learn_environment(run, settings, last)


def _judge_one(run: Run, intent: rows.Intent, documents: Sequence[Facts]) -> Facts | None:
    """Moves one row. Its document when there is no doubt which it is."""
    if len(documents) > 1:
        reason = twice(documents)
        _quarantine(run, intent, "duplicate", reason)
        run.hold(intent.entity, f"row {intent.row_key} was {reason}.")
        return None
    document = documents[0]
    comparison = facts.compare(intent, document)
    if document.tag is None:
        reason = f"document {document.id} lost its row key: it can never be looked up again"
        _quarantine(run, intent, "tag_missing", reason)
        run.stop(f"The API does not keep json_param ({reason}). Nothing more is sent.")
    elif run.proof.is_sandbox and not run.proof.by_address and document.real:
        reason = f"document {document.id} is real, and this was proven to be the sandbox"
        _quarantine(run, intent, "environment", reason)
        run.stop(f"{reason.capitalize()}. The key has been activated: nothing more is sent.")
    elif comparison.differences:
        reason = f"document {document.id} differs: {', '.join(comparison.differences)}"
        _quarantine(run, intent, "readback", reason)
        run.notice(f"Row {intent.row_key}: {reason}.")
    elif document.state == SII_REJECTED:
        rows.note(
            run.ledger,
            intent.id,
            actor=ACTOR,
            reason="issued, then rejected by SII: a person decides what follows",
            evidence={"document": document.id},
            restate=True,
            sii_state=document.state,
            flags="sii_rejected",
            reason_code="sii_rejected",
            **document.amounts,
        )
        run.notice(f"Row {intent.row_key}: document {document.id} was rejected by SII.")
    else:
        rows.move(
            run.ledger,
            intent.id,
            State.VERIFIED,
            actor=ACTOR,
            reason="read back as asked",
            evidence={"document": document.id},
            folio=document.folio,
            flags=" ".join(comparison.flags),
            **document.amounts,
        )
    return document


def _quarantine(run: Run, intent: rows.Intent, code: str, reason: str) -> None:
    quarantine(run.ledger, [intent], code, reason, actor=ACTOR)


def _learn_environment(run: Run, settings: Settings, document: Facts) -> None:
    """The last document of this key proves where the next one goes."""
    if not document.issued:
        return
    proof.remember(run.ledger, settings, document.id)
    if run.proof.environment == proof.UNPROVEN:
        run.proof = proof.of_document(document)
        try:
            proof.check_label(settings, run.proof)
        except ConfigError as contradiction:
            run.stop(str(contradiction))
