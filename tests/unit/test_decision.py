"""The UpdateModelPackage request of a decision, and what can be read back from the registry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_retraining.requests import validate
from sagemaker_retraining.requests.approval import (
    CHANNELS,
    CLI,
    MOST_CHANGES,
    PENDING,
    decision_of,
    decision_request,
    is_recorded,
    record_request,
    status_changes,
)

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/demo-model/8"
STUDIO = "arn:aws:sts::123456789012:assumed-role/studio/jane"
AT = datetime(2013, 12, 2, 9, 30, tzinfo=UTC)


def package(status: str = PENDING, **members: Any) -> dict[str, Any]:
    """A described version as registration leaves it."""
    metadata = {"period": "2013-11", "environment": "prod", "metric.auc": "0.7"}
    found = {
        "ModelPackageArn": ARN,
        "ModelPackageVersion": 8,
        "ModelApprovalStatus": status,
        "CreationTime": AT - timedelta(days=1),
        "CustomerMetadataProperties": metadata,
        "LastModifiedTime": AT,
        "LastModifiedBy": {"IamIdentity": {"Arn": STUDIO}},
    }
    return {**found, **members}


def updated(before: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """What SageMaker makes of the request: named members are replaced, metadata is merged."""
    metadata = {**before["CustomerMetadataProperties"], **request["CustomerMetadataProperties"]}
    for key in request.get("CustomerMetadataPropertiesToRemove", []):
        del metadata[key]
    kept = {key: value for key, value in request.items() if not key.startswith("CustomerMetadata")}
    return {**before, **kept, "CustomerMetadataProperties": metadata}


def decided(
    status: str, reason: str = "better on every metric", before: dict[str, Any] | None = None
) -> dict[str, Any]:
    return decision_request(before or package(), status, by="jane", channel=CLI, reason=reason, at=AT)


def test_an_approval_is_one_request() -> None:
    request = decided("Approved")
    validate("UpdateModelPackage", request)
    assert request == {
        "ModelPackageArn": ARN,
        "ModelApprovalStatus": "Approved",
        "ApprovalDescription": "better on every metric",
        "ModelLifeCycle": {
            "Stage": "prod",
            "StageStatus": "Approved",
            "StageDescription": "better on every metric",
        },
        "CustomerMetadataProperties": {
            "decided_by": "jane",
            "decided_at": "2013-12-02T09:30:00+00:00",
            "decided_from": "cli",
            "transition.01": "2013-12-02T09:30:00+00:00 PendingManualApproval-Approved by jane from cli: "
            "better on every metric",
        },
    }


def test_it_can_be_read_back() -> None:
    after = updated(package(), decided("Rejected", "too many false alarms"))
    [line] = status_changes(after)
    assert (line.number, line.from_status, line.to_status, line.by) == (1, PENDING, "Rejected", "jane")
    assert (line.channel, line.reason, line.at) == ("cli", "too many false alarms", AT.isoformat())
    decision = decision_of(after)
    assert (decision.status, decision.by, decision.channel) == ("Rejected", "jane", "cli")
    assert str(decision) == (
        "demo-model/8 is Rejected by jane from cli at 2013-12-02T09:30:00+00:00: too many false alarms"
    )
    assert is_recorded(after)
    assert record_request(after) is None


def test_times_are_utc() -> None:
    at = AT.astimezone(timezone(timedelta(hours=2)))
    request = decision_request(package(), "Approved", by="jane", channel=CLI, reason="", at=at)
    assert request["CustomerMetadataProperties"]["decided_at"] == AT.isoformat()


def test_the_stage_of_registration_is_kept() -> None:
    assert decided("Approved", before=package(ModelLifeCycle={"Stage": "eu"}))["ModelLifeCycle"]["Stage"] == "eu"
    foreign = package(CustomerMetadataProperties={})
    assert "ModelLifeCycle" not in decided("Approved", before=foreign)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"status": "Rejected", "reason": " "}, "demo-model/8: a rejection needs a reason"),
        ({"status": "Approved", "by": " "}, "demo-model/8: who decides"),
        ({"status": "Approved", "reason": "x" * 1025}, "the reason has 1025 characters; SageMaker takes 1024"),
        ({"status": PENDING}, "expected Approved or Rejected"),
        ({"status": "Approved", "channel": "window"}, "from 'window'"),
    ],
)
def test_what_is_no_decision(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decision_request(package(), **{"by": "jane", "channel": CLI, "reason": "", "at": AT, **arguments})


def test_the_longest_reason_is_kept_whole_and_cut_in_the_history() -> None:
    request = decided("Approved", "x" * 1024)
    validate("UpdateModelPackage", request)
    assert len(request["ApprovalDescription"]) == 1024
    assert len(request["CustomerMetadataProperties"]["transition.01"]) == 256


@given(
    by=st.text(min_size=1, max_size=80).filter(lambda text: text.strip() != ""),
    reason=st.text(max_size=300),
    channel=st.sampled_from(CHANNELS),
)
def test_whatever_people_type_is_a_valid_request(by: str, reason: str, channel: str) -> None:
    request = decision_request(package(), "Approved", by=by, channel=channel, reason=reason, at=AT)
    validate("UpdateModelPackage", request)
    [line] = status_changes(updated(package(), request))
    assert line.to_status == "Approved"


def test_the_newest_transitions_are_kept() -> None:
    found = package()
    for number in range(1, 25):
        request = decided("Approved" if number % 2 else "Rejected", f"reason {number}", found)
        validate("UpdateModelPackage", request)
        found = updated(found, request)
        assert len(status_changes(found)) == min(number, MOST_CHANGES)
    assert [line.number for line in status_changes(found)] == list(range(15, 25))
    assert status_changes(found)[-1].from_status == "Approved"
    assert status_changes(found)[-1].reason == "reason 24"


def test_a_decision_of_nobody_we_know_is_written_down_as_metadata_only() -> None:
    found = package("Approved", ApprovalDescription="looks fine")
    decision = decision_of(found)
    assert (decision.by, decision.channel, decision.reason, decision.at) == (
        STUDIO,
        "registry",
        "looks fine",
        AT.isoformat(),
    )
    request = record_request(found)
    assert request is not None
    validate("UpdateModelPackage", request)
    assert set(request) == {"ModelPackageArn", "CustomerMetadataProperties"}
    after = updated(found, request)
    [line] = status_changes(after)
    assert (line.from_status, line.to_status, line.by, line.channel) == (PENDING, "Approved", STUDIO, "registry")
    assert (line.reason, line.at) == ("looks fine", AT.isoformat())
    assert record_request(after) is None


def test_who_changes_a_decision_afterwards_is_not_hidden_by_the_first() -> None:
    approved = updated(package(), decided("Approved"))
    found = {**approved, "ModelApprovalStatus": "Rejected", "ApprovalDescription": "no, wait"}
    assert (decision_of(found).by, decision_of(found).channel) == (STUDIO, "registry")
    request = record_request(found)
    assert request is not None
    assert [line.by for line in status_changes(updated(found, request))] == ["jane", STUDIO]


def test_the_quality_gate_s_own_refusal() -> None:
    found = package("Rejected", ApprovalDescription="quality gate: auc 0.59 misses its minimum of 0.6")
    assert (decision_of(found).by, decision_of(found).channel) == ("quality gate", "quality gate")


def test_a_studio_user_is_named() -> None:
    found = package("Approved", LastModifiedBy={"UserProfileName": "jane", "IamIdentity": {"Arn": STUDIO}})
    assert decision_of(found).by == "jane"
    assert decision_of(package("Approved", LastModifiedBy={})).by == "unknown"


def test_lines_of_others_are_left_alone() -> None:
    metadata = {"transition.01": "hello", "transition.x": "2013 a-b by c from cli: d", "transition": "x"}
    assert status_changes(package(CustomerMetadataProperties=metadata)) == []
