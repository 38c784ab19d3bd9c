"""What becomes of accepted rows, and whether what was issued is what was asked."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from tupana_etl.outbox.states import State

from .office import Office


def test_a_batch_of_another_envelope_is_nobodys_success(office: Office) -> None:
    office.approve("a")
    office.send()
    office.approve("b")
    batch = office.vendor.batches["b1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            office.vendor,
            "_execute",
            lambda key, body, at: httpx.Response(202, json=office.vendor._told(batch, "batch_id")),
        )
        result = office.send()
    assert result.counts == {State.QUARANTINED: 1}
    assert office.row("b").reason_code == "foreign_batch"


def test_an_answer_with_positions_beyond_the_batch_is_for_a_person(office: Office) -> None:
    office.approve("a")
    told = office.vendor._told

    def more(batch: object, name: str) -> dict[str, object]:
        answer = told(batch, name)  # type: ignore[arg-type]
        return {**answer, "documents": [*answer["documents"], {"index": 7, "status": "success"}]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(office.vendor, "_told", more)
        assert office.send().counts == {State.QUARANTINED: 1}
    assert office.row("a").reason_code == "batch_mismatch"


def test_results_come_by_position_in_any_order(office: Office) -> None:
    keys = [f"r{i}" for i in range(12)]
    office.approve(*keys)
    told = office.vendor._told

    def shuffled(batch: object, name: str) -> dict[str, object]:
        answer = told(batch, name)  # type: ignore[arg-type]
        return {**answer, "documents": answer["documents"][::-1][: 6 if name == "batch_id" else 99]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(office.vendor, "_told", shuffled)
        assert office.send().counts == {State.VERIFIED: 12}
    office.check()


def test_an_api_that_drops_json_param_is_stopped(office: Office) -> None:
    office.approve("a")
    office.vendor.keeps_params = False
    result = office.send()
    assert result.counts == {State.QUARANTINED: 1}
    assert office.row("a").reason_code == "tag_missing"
    office.approve("b")
    assert office.send().counts == {State.QUARANTINED: 1, State.READY: 1}


def test_a_document_with_other_amounts_is_for_a_person(office: Office) -> None:
    office.approve("a")
    office.vendor.net_off = 1
    assert office.send().counts == {State.QUARANTINED: 1}
    assert "net +1" in office.row("a").reason or office.row("a").reason_code == "readback"


@pytest.mark.parametrize(("off", "state"), [(1, "VERIFIED"), (-1, "VERIFIED"), (2, "QUARANTINED")])
def test_a_peso_of_iva_is_flagged_two_are_not_let_through(
    office: Office, off: int, state: str
) -> None:
    office.approve("a")
    office.vendor.iva_off = off
    office.send()
    row = office.row("a")
    assert row.state == state
    assert (row.flags == "iva_off_by_one") is (state == "VERIFIED")


@pytest.mark.parametrize("status", ["invalid", "permanent_error"])
def test_a_document_refused_after_acceptance_is_rejected(office: Office, status: str) -> None:
    office.approve("a", "b")
    office.vendor.statuses[office.row("a").row_tag] = status
    result = office.send()
    assert result.counts == {State.REJECTED: 1, State.VERIFIED: 1}
    assert office.row("a").reason_code == status
    office.check()


@pytest.mark.parametrize(
    "status", ["temporary_error", "incomplete", "confirmation_pending", "something_new"]
)
def test_a_status_that_is_not_final_is_stuck_and_never_sent_again(
    office: Office, status: str
) -> None:
    office.approve("a")
    office.vendor.statuses[office.row("a").row_tag] = status
    office.send()
    assert office.states()["a"] is State.ACCEPTED
    office.at += timedelta(minutes=16)
    result = office.send()
    assert result.counts == {State.STUCK: 1}
    for _ in range(4):
        office.at += timedelta(hours=10)
        office.send()
    assert office.states()["a"] is State.QUARANTINED  # after three look-ups over a day
    assert len(office.vendor.posts) == 1
    office.check()


def test_a_result_that_comes_late_still_counts(office: Office) -> None:
    office.approve("a")
    office.vendor.processing = timedelta(hours=2)
    office.send()
    office.at += timedelta(minutes=16)
    office.send()
    assert office.states()["a"] is State.STUCK
    office.at += timedelta(hours=2)
    assert office.send().counts == {State.VERIFIED: 1}
    office.check()


def test_a_document_that_sii_rejects_is_kept_and_told(office: Office) -> None:
    office.approve("a")
    office.vendor.state = "rejected"
    result = office.send()
    assert (office.row("a").state, office.row("a").sii_state) == (State.ISSUED, "rejected")
    assert not result.complete
    assert "rejected by SII" in result.notices[0]
    assert len(office.vendor.posts) == 1
    before = office.at
    assert not office.send().complete
    assert office.at == before  # nothing to wait for
