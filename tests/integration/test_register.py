"""Registration: twice is once, and nothing half-made is left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from airflow.sdk.exceptions import AirflowFailException
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import model_archive
from tests.kits.registry_kit import GATE, TAGS, Release, lose_answers, switch

pytestmark = pytest.mark.usefixtures("aws_connection")


@pytest.fixture
def release(sagemaker_local: LocalSageMaker, request: pytest.FixtureRequest) -> Release:
    return Release(sagemaker_local, request.node.name)


@pytest.mark.usefixtures("as_dag_role")
def test_registering_twice_gives_one_version(release: Release) -> None:
    first, second = release.register("job-1"), release.register("job-1")
    assert first == second
    assert first["status"] == "PendingManualApproval"
    assert release.register("job-2")["version"] == first["version"] + 1
    package = release.sagemaker.describe_model_package(ModelPackageName=first["model_package_arn"])
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["CustomerMetadataProperties"]["metric.auc"] == "0.7"
    assert package["CustomerMetadataProperties"]["training_job"] == "job-1"
    statistics = {"ContentType": "application/json", "S3Uri": release.uri("evaluation/evaluation.json")}
    assert package["ModelMetrics"] == package["DriftCheckBaselines"] == {"ModelQuality": {"Statistics": statistics}}
    assert package["ModelLifeCycle"]["StageStatus"] == "PendingApproval"
    assert json.loads(package["ModelCard"]["ModelCardContent"])["model_overview"]["model_artifact"] == [
        release.uri("job-1/model.tar.gz")
    ]


def test_a_retry_with_another_request_finds_the_version(release: Release) -> None:
    """New code was deployed between two tries: the token alone would be a ConflictException."""
    first = release.register("job-1")
    changed = release.package("2013-02") | {"ModelPackageDescription": "new words"}
    config = {"group": {"ModelPackageGroupName": release.name, "Tags": TAGS}, "package": changed}
    assert release.operator("job-1", config=config).execute({}) == first
    assert len(release.versions()) == 1


def test_a_registration_whose_answer_is_lost_is_found(release: Release) -> None:
    lose_answers(release.server, "CreateModelPackage")
    assert release.register("job-1")["version"] == 1
    assert len(release.versions()) == 1


def test_a_token_that_was_used_for_another_run_is_explained(release: Release) -> None:
    first = release.register("job-1", period="2013-02")["model_package_arn"]
    with pytest.raises(AirflowException, match=f"{release.uri('job-1/model.tar.gz')} was registered by an earlier try"):
        release.register("job-1", period="2013-03")
    assert [version["ModelPackageArn"] for version in release.versions()] == [first]


@pytest.mark.usefixtures("as_dag_role")
def test_what_the_scripts_left_is_registered(release: Release) -> None:
    for path in ("evaluation/constraints.json", "baseline/statistics.json", "baseline/constraints.json"):
        release.put(f"release/{release.name}/{path}", b"{}")
    release.register("job-1")
    [version] = release.versions()
    assert version["ModelMetrics"] == version["DriftCheckBaselines"]
    assert {
        f"{block}.{member}": source["S3Uri"]
        for block, members in version["ModelMetrics"].items()
        for member, source in members.items()
    } == {
        "ModelQuality.Statistics": release.uri("evaluation/evaluation.json"),
        "ModelQuality.Constraints": release.uri("evaluation/constraints.json"),
        "ModelDataQuality.Statistics": release.uri("baseline/statistics.json"),
        "ModelDataQuality.Constraints": release.uri("baseline/constraints.json"),
    }


@pytest.mark.parametrize("missing", ["job-1/model.tar.gz", "evaluation/evaluation.json"])
def test_what_is_not_in_s3_is_not_registered(release: Release, missing: str) -> None:
    for path in {"job-1/model.tar.gz", "evaluation/evaluation.json"} - {missing}:
        release.put(f"release/{release.name}/{path}", b"{}")
    with pytest.raises(AirflowFailException, match=f"{release.uri(missing)}: there is no such object"):
        release.operator("job-1").execute({})
    assert not release.sagemaker.list_model_package_groups(NameContains=release.name)["ModelPackageGroupSummaryList"]


def test_a_request_that_sagemaker_would_refuse_fails_at_once(release: Release) -> None:
    release.register("job-1")
    wrong = release.package("2013-02") | {"ModelPackageDescription": "a\x07"}
    config = {"group": {"ModelPackageGroupName": release.name, "Tags": TAGS}, "package": wrong}
    with pytest.raises(AirflowFailException, match=r"CreateModelPackage: ModelPackageDescription: .* does not match"):
        release.operator("job-1", config=config).execute({})


@pytest.mark.usefixtures("as_dag_role")
def test_a_refused_model_is_rejected_with_the_reason(release: Release) -> None:
    release.register("job-0")
    release.put(f"release/{release.name}/job-1/model.tar.gz", model_archive(factor=2))
    refused = {**GATE, "passed": False, "reason": "auc 0.5000 misses its minimum of 0.6"}
    first, again = (release.operator("job-1", gate=refused).execute({}) for _ in range(2))
    assert first == again
    assert first["status"] == "Rejected"
    version = release.versions()[0]
    assert version["ApprovalDescription"] == "quality gate: auc 0.5000 misses its minimum of 0.6"
    assert version["ModelLifeCycle"] == {"Stage": "test", "StageStatus": "Rejected"}
    properties = version["CustomerMetadataProperties"]
    assert properties["decided_from"] == "quality gate"
    assert properties["transition.01"].endswith(
        "New-Rejected by quality gate from quality gate: auc 0.5000 misses its minimum of 0.6"
    )
    assert "transition.02" not in properties


def test_a_group_of_another_model_is_left_alone(release: Release) -> None:
    theirs = [{"Key": "project", "Value": "demo"}, {"Key": "model", "Value": "other"}]
    release.sagemaker.create_model_package_group(ModelPackageGroupName=release.name, Tags=theirs)
    with pytest.raises(AirflowFailException, match=r"belongs to somebody else: its tag model is 'other', ours is 'ti"):
        release.register("job-1")
    assert release.versions() == []


def test_a_group_that_may_not_be_described_is_left_alone(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local SageMaker asks no policy, so the answer of AWS is put in its place."""
    send = BaseClient._make_api_call

    def denied(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if operation != "DescribeModelPackageGroup":
            return send(client, operation, parameters)
        message = f"User: x is not authorized to perform: sagemaker:{operation}"
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, operation)

    monkeypatch.setattr(BaseClient, "_make_api_call", denied)
    with pytest.raises(AirflowFailException, match=r"not authorized to perform: .*; nothing was registered.*dag-role"):
        release.register("job-1")
    assert not release.sagemaker.list_model_package_groups(NameContains=release.name)["ModelPackageGroupSummaryList"]


def test_a_group_made_by_hand_is_taken(release: Release) -> None:
    release.sagemaker.create_model_package_group(ModelPackageGroupName=release.name)
    assert release.register("job-1")["version"] == 1


@pytest.fixture
def failing_validation(release: Release) -> Iterator[str]:
    """The group's packages fail their validation."""
    reason = "profile-1: the container answered /ping with 500"
    switch(release.server, "packages", {"fail": {release.name: reason}})
    yield reason
    switch(release.server, "packages", {"fail": {}})


def test_a_failed_validation_is_seen_and_not_tried_again(release: Release, failing_validation: str) -> None:
    for _ in range(2):
        with pytest.raises(AirflowFailException, match=f"/1 failed its validation: .* Failed: {failing_validation}"):
            release.register("job-1")
    assert [version["ModelPackageStatus"] for version in release.versions()] == ["Failed"]
