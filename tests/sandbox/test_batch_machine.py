"""Whatever is sent, lost, moved or forgotten: the oracle, the lists and the folios agree."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tupana_etl.sandbox.server import DEMO_KEY, PRODUCTION_KEY

from .batches import invoice, issued, play, send
from .helpers import companies, get, post, read_all, truth
from .test_write_faults import BROKEN

FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "lost"},
    {"kind": "close"},
    {"kind": "later", "argument": 600},
    {"kind": "done_status"},
    {"kind": "502_html"},
    {"kind": "outcome", "argument": "0:invalid"},
    {"kind": "outcome", "argument": "0:permanent_error"},
    {"kind": "outcome", "argument": "0:temporary_error>success"},
    {"kind": "outcome", "argument": "1:incomplete>success"},
    {"kind": "sii_reject", "argument": 100},
    {"kind": "intake_failed"},
)


class Issuing(RuleBasedStateMachine):
    """A client that replays at will, a server that misbehaves but forgets no key."""

    api: httpx.Client

    def __init__(self) -> None:
        super().__init__()
        post(self.api, "/_admin/reset")
        self.company = companies(self.api)[0]
        self.template = invoice(self.api)
        self.before = {r["id"] for r in self.listed()}
        self.sent: set[int] = set()

    def listed(self) -> list[dict[str, Any]]:
        return read_all(self.api, "/documents", master_entity_id=self.company)

    @rule(number=st.integers(0, 3), production=st.booleans())
    def hand_in(self, number: int, production: bool) -> None:
        rows = [{**self.template, "json_param": {"row_key": f"{number}/{i}"}} for i in range(2)]
        api_key = PRODUCTION_KEY if production else DEMO_KEY
        self.sent.add(number)
        try:
            answer = send(self.api, *rows, key=f"batch-{number}", api_key=api_key)
        except BROKEN:
            return
        assert answer.status_code in {202, 502}

    @rule(fault=st.sampled_from(FAULTS))
    def misbehave(self, fault: dict[str, Any]) -> None:
        play(self.api, {**fault, "path": "/documents/batch", "method": "POST"})

    @rule(seconds=st.sampled_from((10, 31, 300, 700)))
    def wait(self, seconds: int) -> None:
        post(self.api, "/_admin/clock", seconds=seconds)

    @rule(seconds=st.sampled_from((0, 60)), drafts=st.booleans())
    def change_pace(self, seconds: int, drafts: bool) -> None:
        post(self.api, "/_admin/switches", processing_seconds=seconds, drafts_first=drafts)

    @invariant()
    def each_row_is_issued_at_most_once(self) -> None:
        counts = issued(self.api)["counts"].get("row_key", {})
        assert set(counts.values()) <= {1}
        assert {int(key.split("/")[0]) for key in counts} <= self.sent

    @invariant()
    def lists_show_what_the_oracle_knows(self) -> None:
        rows = [r for r in self.listed() if r["id"] not in self.before]
        oracle = {r["document_id"]: r for r in issued(self.api)["issued"]}
        with_folio = {r["id"]: r for r in rows if r["folio"] is not None}
        assert len(rows) == len({r["id"] for r in rows})
        assert with_folio.keys() == oracle.keys()
        assert all(r["folio"] == oracle[i]["folio"] for i, r in with_folio.items())
        folios = Counter(r["folio"] for r in oracle.values())
        assert set(folios.values()) <= {1}

    def teardown(self) -> None:
        """Once all is over, each row of each batch that came in has one end."""
        post(self.api, "/_admin/faults", faults=[])
        post(self.api, "/_admin/clock", hours=1)
        self.each_row_is_issued_at_most_once()
        told = get(self.api, "/_admin/issued")
        assert not [e for e in told["not_issued"] if e["is_open"]]
        assert len(told["issued"]) + len(told["not_issued"]) == 2 * told["batches"]
        true = {r["id"] for r in truth(self.api, "documents")}
        assert {str(r["document_id"]) for r in told["issued"]} <= true


@pytest.mark.parametrize(
    "examples", [8, pytest.param(300, marks=pytest.mark.long)], ids=["short", "long"]
)
def test_any_history(desk: httpx.Client, examples: int) -> None:
    Issuing.api = desk
    run_state_machine_as_test(
        Issuing,
        settings=settings(
            max_examples=examples,
            stateful_step_count=12,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
