"""From an event to a published row: sandbox, receiver and home over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.outbox.office import put_ready
from tupana_etl import pipeline
from tupana_etl.domain import today, utcnow
from tupana_etl.errors import AuthError, LockHeld, NetworkError
from tupana_etl.home import lock
from tupana_etl.inbox.store import open_inbox
from tupana_etl.outbox import rows
from tupana_etl.outbox.ledger import open_ledger
from tupana_etl.outbox.states import State
from tupana_etl.sandbox.postman import Delivery

from .helpers import Site, site
from .receiving import OLDER, SECRET, Receiver, event, receiving, until

EVERYTHING = ["document.paid", "document.unpaid", "document.trace_updated", "document.issued"]
EVERYTHING += ["batch.intake_failed"]
DOCUMENTED = {
    "webhook_copies": 1,
    "webhook_order": "given",
    "webhook_body": "new",
    "webhook_signature": "hex",
    "webhook_header": "X-Pana-Event-Type",
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("drain"), documents=80, months=3) as found:
        assert found.sync().complete
        yield found


@pytest.fixture(scope="module")
def ahead(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A world for tests that move its clock: elsewhere it is this machine's."""
    with site(tmp_path_factory.mktemp("ahead"), documents=40, months=2) as found:
        assert found.sync().complete
        yield found


@pytest.fixture(scope="module")
def receiver(here: Site) -> Iterator[Receiver]:
    with receiving(here.settings.home) as found:
        for company in here.truth("master_entities"):
            register(here, found.url, company["id"])
        yield found


@pytest.fixture(autouse=True)
def as_documented(request: pytest.FixtureRequest) -> None:
    """Whatever order tests run in, each finds deliveries as the vendor documents them, and
    nothing that waits."""
    if "here" in request.fixturenames:
        here = request.getfixturevalue("here")
        here.admin("switches", **DOCUMENTED)
        pipeline.drain(here.settings, clock=lambda: utcnow() + timedelta(hours=1))


def register(here: Site, url: str, company: str) -> None:
    wanted = {"master_entity_id": company, "url": url, "events": EVERYTHING, "secret": SECRET}
    key = {"Authorization": f"Api-Key {here.settings.api_key}"}
    httpx.post(f"{here.url}/webhooks", json=wanted, headers=key).raise_for_status()


def settled(here: Site, receiver: Receiver) -> list[dict[str, Any]]:
    """All deliveries to the receiver, once none is due."""
    key = {"Authorization": f"Api-Key {here.settings.api_key}"}
    registered = httpx.get(f"{here.url}/webhooks", headers=key).json()
    mine = {int(hook["id"]) for hook in registered if hook["url"] == receiver.url}

    def done() -> list[dict[str, Any]]:
        told = [d for d in here.look("deliveries")["deliveries"] if d["webhook_id"] in mine]
        return told if told and all(d["statuses"] for d in told) else []

    found: list[dict[str, Any]] = until(done)
    return found


_GIVEN: set[str] = set()


def unpaid(here: Site, count: int) -> list[str]:
    """Invoices of the user's to strangers that nobody has paid or claimed, and that no other
    test was given."""
    rows = here.query(
        "SELECT id FROM raw.documents d WHERE document_type = 'issued' AND NOT is_paid AND "
        "dte_type_code = '33' AND folio IS NOT NULL AND (SELECT count(*) FROM raw.documents o "
        "WHERE o.id = d.id) = 1 AND id IN (SELECT document_id FROM marts.documents) "
        "ORDER BY date_issued DESC, id"
    )
    found = [row[0] for row in rows if row[0] not in _GIVEN][:count]
    assert len(found) == count
    _GIVEN.update(found)
    return found


def is_paid(here: Site, document: str) -> bool:
    return bool(here.query(f"SELECT is_paid FROM raw.documents WHERE id = '{document}'")[0][0])


def test_a_payment_is_published_by_one_small_read(here: Site, receiver: Receiver) -> None:
    (document,) = unpaid(here, 1)
    here.admin("pay", document_id=document)
    settled(here, receiver)
    assert not is_paid(here, document), "an event is no fact"
    before = here.stats()["requests"]
    done = pipeline.drain(here.settings)
    assert (done.read, done.complete, done.events) == ([document], True, 1)
    assert is_paid(here, document)
    told = f"SELECT announced_at FROM inbox.events WHERE document_id = '{document}'"
    dated = f"SELECT paid_at FROM marts.documents WHERE document_id = '{document}' AND "
    assert here.query(dated + "paid_at_source = 'webhook'") == here.query(told)
    assert here.stats()["requests"] - before == 2  # the companies, and the document
    assert pipeline.drain(here.settings).events == 0
    assert here.stats()["requests"] - before == 2, "nothing pending costs nothing"


def test_copies_in_any_order_and_generation_end_at_what_the_api_says(
    here: Site, receiver: Receiver
) -> None:
    first, second = unpaid(here, 2)
    before = len(here.look("deliveries")["deliveries"])
    for how in (
        {"webhook_copies": 5, "webhook_order": "reversed", "webhook_signature": "sha256"},
        {"webhook_body": "old", "webhook_signature": "hmac-sha256"},
        {"webhook_header": "X-Pana-Event"},
    ):
        here.admin("switches", **how)
        here.admin("pay", document_ids=[first, second])
        here.admin("unpay", document_id=second)
    here.admin("switches", **DOCUMENTED)
    mine = settled(here, receiver)
    assert {d["state"] for d in mine if d["number"] > before} == {"delivered"}
    assert sorted(pipeline.drain(here.settings).read) == sorted([first, second])
    assert (is_paid(here, first), is_paid(here, second)) == (True, False)


def test_forged_altered_and_replayed_deliveries_do_nothing(here: Site, receiver: Receiver) -> None:
    (document,) = unpaid(here, 1)
    here.admin("pay", document_id=document)
    last = settled(here, receiver)[-1]["number"]
    pipeline.drain(here.settings)
    kept = len(receiver.rows())
    hows = ("forge", "unsigned", "altered", "reserialised", "again", "replay")
    numbers = {how: here.admin("deliver", number=last, how=how)["number"] for how in hows}
    told = {d["number"]: d for d in settled(here, receiver)}
    statuses = {how: told[number]["statuses"] for how, number in numbers.items()}
    assert statuses == {how: [401 if how in hows[:4] else 200] for how in hows}
    assert len(receiver.rows()) == kept
    assert pipeline.drain(here.settings).read == []


def test_a_claim_reaches_the_marts(here: Site, receiver: Receiver) -> None:
    rows = here.query(
        "SELECT id FROM raw.documents WHERE document_type = 'issued' AND has_trace AND NOT is_paid "
        "AND dte_type_code = '33' AND NOT coalesce(latest_trace_info.has_claims, false) LIMIT 1"
    )
    (document,) = rows[0]
    here.admin("claim", document_id=document)
    settled(here, receiver)
    assert document in pipeline.drain(here.settings).read
    codes = f"SELECT event_code FROM raw.document_states WHERE document_id = '{document}'"
    assert ("RCD",) in here.query(codes)


def test_a_strangers_or_missing_document_is_ignored_and_named(
    here: Site, receiver: Receiver
) -> None:
    assert receiver.post(event(999_999_999)) == 200
    now = utcnow()
    for look in range(3):
        done = pipeline.drain(here.settings, clock=partial(now.__add__, timedelta(hours=look + 1)))
        assert bool(done.failed) == (look < 2), "an event may overtake its document"
    assert list(done.ignored) == ["999999999"]
    assert "999999999" in done.ignored["999999999"]
    assert receiver.rows("state")[-1] == ("ignored",)


def test_what_fails_is_kept_and_tried_again_later(here: Site, receiver: Receiver) -> None:
    (document,) = unpaid(here, 1)
    here.admin("pay", document_id=document)
    settled(here, receiver)
    with lock(here.settings.home, 1), pytest.raises(LockHeld):
        pipeline.drain(here.settings, wait=0)
    assert receiver.rows("attempts")[-1] == (0,)
    nowhere = replace(here.settings, base_url="http://127.0.0.1:9/v1")
    with pytest.raises(NetworkError):
        pipeline.drain(nowhere)
    assert pipeline.drain(here.settings).read == [], "not before 30 s are over"
    later = utcnow() + timedelta(seconds=31)
    wrong = replace(here.settings, api_key="wrong")
    with pytest.raises(AuthError):
        pipeline.drain(wrong, clock=lambda: later)
    later += timedelta(seconds=61)
    assert pipeline.drain(here.settings, clock=lambda: later).read == [document]
    assert is_paid(here, document)


def test_the_schedule_of_redelivery_is_the_documented_one(ahead: Site, tmp_path: Path) -> None:
    with receiving(tmp_path / "other") as other:
        url = other.url
    company = ahead.truth("master_entities")[0]["id"]
    register(ahead, url, company)  # nobody listens there any more
    paid = ahead.query(
        f"SELECT id FROM raw.documents WHERE master_entity_id = '{company}' AND "
        "document_type = 'issued' AND dte_type_code = '33' AND folio IS NOT NULL LIMIT 1"
    )[0][0]
    ahead.admin("pay", document_id=paid)

    def mine() -> dict[str, Any]:
        hook = max(d["webhook_id"] for d in ahead.look("deliveries")["deliveries"])
        found: list[dict[str, Any]] = ahead.look("deliveries")["deliveries"]
        return next(d for d in reversed(found) if d["webhook_id"] == hook)

    def has_tried(times: int) -> bool:
        return len(mine()["statuses"]) == times

    for attempt, pause in enumerate((60, 300, 900, 3600, 21_600), 1):
        until(partial(has_tried, attempt))
        ahead.admin("clock", seconds=pause - 30)
        time.sleep(0.12)
        assert len(mine()["statuses"]) == attempt
        ahead.admin("clock", seconds=30)
    until(lambda: mine()["state"] == "failed")
    assert mine()["statuses"] == [0] * 6


def test_the_vendors_own_package_agrees_on_signatures(here: Site, receiver: Receiver) -> None:
    sdk = pytest.importorskip("tupana.webhooks", reason="`make setup` installs the package")
    delivery = Delivery(0, 1, receiver.url, SECRET, "document.paid", event("sdk-1"), due=0.0)
    for spelling in ("hex", "sha256"):
        headers = replace(delivery, spelling=spelling).headers(now=0.0)
        assert sdk.construct_webhook_event(delivery.body, headers, SECRET)["data"]["id"] == "sdk-1"
    signed = sdk.compute_webhook_signature(delivery.body, OLDER)
    assert receiver.post(delivery.body, signed) == 200
    assert receiver.post(delivery.body + b" ", signed) == 401
    assert receiver.rows()[-1] == ("document.paid", "sdk-1", "pending", 0)
    with open_inbox(here.settings.home) as inbox:
        inbox.settle(inbox.waiting(), "handled", utcnow())


def test_a_batch_that_failed_is_told_by_its_webhook_and_rejected(ahead: Site) -> None:
    fault = {"kind": "intake_failed", "path": "/documents/batch", "method": "POST", "times": 1}
    ahead.admin("faults", faults=[fault])
    ahead.admin("switches", processing_seconds=600)
    with open_ledger(ahead.settings.home) as ledger:
        issuer = ahead.truth("master_entities")[0]["tax_id"].replace(".", "")
        options = {"issuer": issuer, "date": today().isoformat()}
        put_ready(ledger, {"sale:1": options}, utcnow())
    with receiving(ahead.settings.home) as receiver:
        for company in ahead.truth("master_entities"):
            register(ahead, receiver.url, company["id"])
        pipeline.issue(ahead.settings, wait=0)
        ahead.admin("switches", processing_seconds=0)
        ahead.admin("clock", seconds=700)

        def failed() -> bool:
            ahead.look("deliveries")
            return ("batch.intake_failed",) in receiver.rows("event_type")

        until(failed)
    assert len(pipeline.drain(ahead.settings).followed) == 1
    with open_ledger(ahead.settings.home) as ledger:
        row = rows.newest(ledger)["sale:1"]
    assert (row.state, row.reason_code) == (State.REJECTED, "permanent_error")


class Tupana:
    """The command line, in a process of its own, with the home's settings."""

    def __init__(self, here: Site, folder: Path) -> None:
        self.folder = folder
        clean = {k: v for k, v in os.environ.items() if not k.startswith("TUPANA_")}
        self.environment = {
            **clean,
            "TUPANA_HOME": str(here.settings.home),
            "TUPANA_BASE_URL": here.url,
            "TUPANA_API_KEY": here.settings.api_key,
            "TUPANA_WEBHOOK_SECRET": f"{SECRET},{OLDER}",
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and words
            [sys.executable, "-m", "tupana_etl", *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: str) -> tuple[int, str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=60)
        return process.returncode, out + err


def test_serve_publishes_within_seconds_and_tells_no_secret(here: Site, tmp_path: Path) -> None:
    tupana = Tupana(here, tmp_path)
    (document,) = unpaid(here, 1)
    (issuer,) = here.query(
        "SELECT m.id, m.tax_id FROM raw.documents d JOIN raw.master_entities m "
        f"ON m.id = d.master_entity_id WHERE d.id = '{document}'"
    )
    process = tupana.start("webhooks", "serve", "--port", "0", "--json", "-vv")
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        code, made = tupana("webhooks", "create", url, "--entity", issuer[1])
        assert (code, made) == (0, f"Registered: {url}\n")
        code, again = tupana("webhooks", "create", url, "--entity", issuer[0], "--json")
        assert json.loads(again)["created"] is False
        here.admin("pay", document_id=document)
        until(lambda: is_paid(here, document), 60)
        for _ in range(3):
            httpx.post(url, content=event(), headers={"X-Pana-Signature": "0"})
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"Read and published: document {document}." in err
    assert err.count("signed with none of the secrets") == 1, "strangers do not fill the log"
    code, listed = tupana("webhooks", "list")
    assert (code, url in listed, "handled" in listed) == (0, True, True)
    assert not [text for text in (out, err, made, again, listed) if "canary-secret" in text]
    files = [path for path in here.settings.home.rglob("*") if path.is_file()]
    assert {"inbox.sqlite", "warehouse.duckdb", "analytics.duckdb"} <= {p.name for p in files}
    assert not [path for path in files if b"canary-secret" in path.read_bytes()]


def test_serve_without_a_secret_is_a_configuration_error(here: Site, tmp_path: Path) -> None:
    tupana = Tupana(here, tmp_path)
    del tupana.environment["TUPANA_WEBHOOK_SECRET"]
    code, said = tupana("webhooks", "serve")
    assert code == 2
    assert "TUPANA_WEBHOOK_SECRET" in said
    code, said = tupana("webhooks", "create", "https://hooks.example/x")
    assert code == 2


def test_a_webhook_of_another_secret_is_told_by_the_list(
    here: Site, receiver: Receiver, tmp_path: Path
) -> None:
    (document,) = unpaid(here, 1)
    (company,) = here.query(
        f"SELECT master_entity_id FROM raw.documents WHERE id = '{document}' LIMIT 1"
    )[0]
    wanted = {"master_entity_id": company, "url": f"{receiver.url}?other", "secret": "another"}
    key = {"Authorization": f"Api-Key {here.settings.api_key}"}
    told = wanted | {"events": ["document.paid"]}
    httpx.post(f"{here.url}/webhooks", json=told, headers=key).raise_for_status()
    here.admin("pay", document_id=document)

    def refused() -> bool:
        return any(401 in d["statuses"] for d in here.look("deliveries")["deliveries"])

    until(refused)
    code, listed = Tupana(here, tmp_path)("webhooks", "list")
    assert code == 0
    assert "last answer 401" in listed
    assert "TUPANA_WEBHOOK_SECRET lacks the secret" in " ".join(listed.split())
