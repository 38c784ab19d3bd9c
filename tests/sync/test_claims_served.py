"""A claim is published by the receiver's own process, within a minute and without a sync."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cli.runner import Runner
from tupana_etl.sandbox.server import DEMO_KEY

from .helpers import Site, site
from .receiving import SECRET, until

MINUTE = 60.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, documents=80, months=3) as found:
        assert found.sync().complete
        yield found


def pending(here: Site, side: str, which: str) -> tuple[str, str]:
    """A document that nobody has accepted or claimed yet, and the RUT of our company in it."""
    rows = here.query(
        f"SELECT d.{side}_document_id, m.tax_id FROM marts.documents d "
        f"JOIN raw.documents r ON r.id = d.{side}_document_id "
        "JOIN raw.master_entities m ON m.id = r.master_entity_id "
        f"WHERE {which} AND d.acceptance = 'pending' AND d.payment_method = '2' "
        "AND d.dte_type_code = '33' ORDER BY d.date_issued DESC, d.doc_key LIMIT 1"
    )
    return str(rows[0][0]), str(rows[0][1])


def acceptance(here: Site, document: str) -> str:
    column = "coalesce(received_document_id, issued_document_id)"
    sql = f"SELECT acceptance FROM marts.documents WHERE {column} = '{document}'"
    ((told,),) = here.query(sql)
    return str(told)


@pytest.mark.long
def test_claims_of_both_sides_are_published_within_a_minute(here: Site, tmp_path: Path) -> None:
    mine = pending(here, "received", "our_role = 'buyer'")
    theirs = pending(here, "issued", "our_role = 'seller' AND NOT counterparty_is_own")
    secret = {"TUPANA_WEBHOOK_SECRET": SECRET, "TUPANA_API_KEY": DEMO_KEY}
    tupana = Runner(tmp_path, here.url, secret)
    serving = tupana.start("webhooks", "serve", "--port", "0", "--json")
    try:
        assert serving.stdout is not None
        url = json.loads(serving.stdout.readline())["url"]
        for rut in {mine[1], theirs[1]}:
            assert tupana("webhooks", "create", url, "--entity", rut).code == 0
        before = here.stats()["requests"]
        path = f"{here.url}/documents/{mine[0]}/states"
        answer = httpx.post(
            path, json={"event_code": "RCD"}, headers={"Authorization": f"Api-Key {DEMO_KEY}"}
        )
        assert answer.status_code == 200, answer.text
        here.admin("claim", document_id=theirs[0])
        wanted = ["claimed", "claimed"]
        until(lambda: [acceptance(here, d[0]) for d in (mine, theirs)] == wanted, MINUTE)
        assert here.stats()["requests"] - before < 12, "a few reads, no sync"
    finally:
        serving.send_signal(signal.SIGINT)
        _, err = serving.communicate(timeout=60)
    assert serving.returncode == 0, err
