"""The model registry: versions, approvals, lists, idempotency, events; errors as on AWS."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from tests.conftest import LocalSageMaker
from tests.kits.event_kit import events_of
from tests.kits.model_package_kit import inference_specification
from tests.kits.refusals import refused

RULE = Path(__file__).parents[2] / "include" / "iam" / "eventbridge-rule.json"
ACCOUNT = "arn:aws:sagemaker:us-east-1:123456789012"


@pytest.fixture
def group(sagemaker: Any, request: pytest.FixtureRequest) -> str:
    """A new group named after the test."""
    name: str = request.node.name.replace("_", "-")[:63].strip("-")
    sagemaker.create_model_package_group(ModelPackageGroupName=name, Tags=[{"Key": "team", "Value": "a"}])
    return name


def add(sagemaker: Any, group: str, **request: Any) -> str:
    arn: str = sagemaker.create_model_package(ModelPackageGroupName=group, **request)["ModelPackageArn"]
    return arn


@pytest.mark.aws_fact("registry-group-taken")
def test_a_group(sagemaker: Any, group: str) -> None:
    found = sagemaker.describe_model_package_group(ModelPackageGroupName=group)
    assert found["ModelPackageGroupArn"] == f"{ACCOUNT}:model-package-group/{group}"
    assert found["ModelPackageGroupStatus"] == "Completed"
    assert sagemaker.list_tags(ResourceArn=found["ModelPackageGroupArn"])["Tags"] == [{"Key": "team", "Value": "a"}]
    again = refused(sagemaker.create_model_package_group, ModelPackageGroupName=group)
    assert again == ("ValidationException", f"Model Package Group already exists: {found['ModelPackageGroupArn']}")
    listed = sagemaker.list_model_package_groups(NameContains=group)["ModelPackageGroupSummaryList"]
    assert [summary["ModelPackageGroupName"] for summary in listed] == [group]


def test_a_group_goes_when_it_is_empty(sagemaker: Any, group: str) -> None:
    arn = add(sagemaker, group)
    code, message = refused(sagemaker.delete_model_package_group, ModelPackageGroupName=group)
    assert (code, "contains model packages" in message) == ("ConflictException", True)
    sagemaker.delete_model_package(ModelPackageName=arn)
    sagemaker.delete_model_package_group(ModelPackageGroupName=group)
    gone = refused(sagemaker.describe_model_package_group, ModelPackageGroupName=group)
    assert gone == ("ValidationException", f"ModelPackageGroup {ACCOUNT}:model-package-group/{group} does not exist.")


def test_versions_count_up_and_are_not_used_again(sagemaker: Any, group: str) -> None:
    assert [add(sagemaker, group).rsplit("/", 1)[1] for _ in range(3)] == ["1", "2", "3"]
    sagemaker.delete_model_package(ModelPackageName=f"{ACCOUNT}:model-package/{group}/3")
    assert add(sagemaker, group).endswith("/4")


def test_versions_registered_at_once_are_all_there(sagemaker: Any, group: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        arns = list(pool.map(lambda _: add(sagemaker, group), range(24)))
    assert sorted(int(arn.rsplit("/", 1)[1]) for arn in arns) == list(range(1, 25))


def test_describe_shows_what_was_registered(sagemaker_local: LocalSageMaker, sagemaker: Any, group: str) -> None:
    source = {"ContentType": "application/json", "S3Uri": f"s3://{sagemaker_local.bucket}/evaluation.json"}
    request = {
        "InferenceSpecification": inference_specification(sagemaker_local),
        "ModelMetrics": {"ModelQuality": {"Statistics": source}},
        "CustomerMetadataProperties": {"git_sha": "abc"},
        "ModelPackageDescription": "November",
    }
    arn = add(sagemaker, group, **request)
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    container = found["InferenceSpecification"]["Containers"][0]
    assert container.pop("ModelDataETag") == "20f35e630daf44dbfa4c3f68f5399d8c"
    assert {member: found[member] for member in request} == request
    assert found["ModelPackageVersion"] == 1
    assert found["ModelPackageStatus"] == "Completed"
    assert found["ModelApprovalStatus"] == "PendingManualApproval"
    assert found["CreatedBy"]["IamIdentity"]["Arn"] == "arn:aws:iam::123456789012:user/test"
    assert not {"ClientToken", "ModelPackageName"} & set(found)


def test_an_approval_records_who_and_why(sagemaker: Any, group: str) -> None:
    arn = add(sagemaker, group, CustomerMetadataProperties={"a": "1", "b": "2"})
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="Jo: ok")
    sagemaker.update_model_package(
        ModelPackageArn=arn, CustomerMetadataProperties={"b": "3", "c": "4"}, CustomerMetadataPropertiesToRemove=["a"]
    )
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert found["ModelApprovalStatus"] == "Approved"
    assert found["ApprovalDescription"] == "Jo: ok"
    assert found["CustomerMetadataProperties"] == {"b": "3", "c": "4"}
    assert found["LastModifiedBy"]["IamIdentity"]["PrincipalId"] == "test"
    assert found["LastModifiedTime"] > found["CreationTime"]


def test_the_registry_tells_the_approver_from_the_dag(
    sagemaker_local: LocalSageMaker, sagemaker: Any, group: str
) -> None:
    """Each connection has its own access key; on AWS it would be another role."""
    arn = add(sagemaker, group)
    approver = boto3.client(
        "sagemaker",
        endpoint_url=sagemaker_local.url,
        region_name="us-east-1",
        aws_access_key_id="approver",
        aws_secret_access_key="approver",
    )
    approver.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    users = "arn:aws:iam::123456789012:user"
    assert found["CreatedBy"]["IamIdentity"]["Arn"] == f"{users}/test"
    assert found["LastModifiedBy"]["IamIdentity"] == {"Arn": f"{users}/approver", "PrincipalId": "approver"}


def test_life_cycle_and_card_are_kept_and_replaced(sagemaker: Any, group: str) -> None:
    card = {"ModelCardStatus": "PendingReview", "ModelCardContent": '{"intended_uses": {}}'}
    stage = {"Stage": "prod", "StageStatus": "PendingApproval", "StageDescription": "new"}
    arn = add(sagemaker, group, ModelCard=card, ModelLifeCycle=stage)
    approved = {"Stage": "prod", "StageStatus": "Approved"}
    sagemaker.update_model_package(ModelPackageArn=arn, ModelLifeCycle=approved)
    found = sagemaker.describe_model_package(ModelPackageName=arn)
    assert (found["ModelCard"], found["ModelLifeCycle"]) == (card, approved)
    [summary] = sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]
    assert summary["ModelLifeCycle"] == approved


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"fail": {"a": ""}}, "fail.a is ''; it must be the reason, a text"),
        ({"fail": []}, 'it must be like {"fail": {"<model package group>": "<reason>"}}'),
        ({"pass": {}}, 'it must be like {"fail": {"<model package group>": "<reason>"}}'),
    ],
)
def test_the_switch_for_packages_explains_itself(
    sagemaker_local: LocalSageMaker, settings: dict[str, Any], wrong: str
) -> None:
    answer = httpx.put(f"{sagemaker_local.url}/_local/packages", json=settings, trust_env=False)
    assert (answer.status_code, wrong in answer.json()["error"]) == (400, True)


def test_a_client_token_registers_once(sagemaker: Any, group: str) -> None:
    first = add(sagemaker, group, ClientToken="t-1", ModelPackageDescription="a")
    assert add(sagemaker, group, ClientToken="t-1", ModelPackageDescription="a") == first
    other = {"ModelPackageGroupName": group, "ClientToken": "t-1", "ModelPackageDescription": "b"}
    code, message = refused(sagemaker.create_model_package, **other)
    assert code == "ConflictException"
    assert "t-1" in message
    assert len(sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"]) == 1


@pytest.mark.aws_fact("registry-missing")
@pytest.mark.aws_fact("registry-versions-take-no-tags")
@pytest.mark.aws_fact("registry-both-names")
def test_what_is_refused(sagemaker_local: LocalSageMaker, sagemaker: Any, group: str) -> None:
    tags = refused(sagemaker.create_model_package, ModelPackageGroupName=group, Tags=[{"Key": "a", "Value": "b"}])
    assert tags[0] == "ValidationException"
    assert tags[1].startswith("Tags are not supported for versioned model packages")
    missing = inference_specification(sagemaker_local)
    missing["Containers"][0]["ModelDataUrl"] = url = f"s3://{sagemaker_local.bucket}/no/model.tar.gz"
    no_data = refused(sagemaker.create_model_package, ModelPackageGroupName=group, InferenceSpecification=missing)
    assert no_data == ("ValidationException", f"Could not find model data at {url}.")
    no_group = refused(sagemaker.create_model_package, ModelPackageGroupName="nowhere")
    assert no_group == (
        "ValidationException",
        f"ModelPackageGroup {ACCOUNT}:model-package-group/nowhere does not exist.",
    )
    both = refused(sagemaker.create_model_package, ModelPackageGroupName=group, ModelPackageName="name")
    assert both == (
        "ValidationException",
        "Both ModelPackageName and ModelPackageGroupName are provided in the input. Cannot determine which one to use.",
    )
    assert refused(sagemaker.create_model_package) == ("ValidationException", "Missing ARN.")
    assert refused(sagemaker.create_model_package, ModelPackageName="unversioned")[0] == "UnsupportedOperation"
    arn = f"{ACCOUNT}:model-package/{group}/7"
    for call, member in (
        (sagemaker.describe_model_package, "ModelPackageName"),
        (sagemaker.delete_model_package, "ModelPackageName"),
        (sagemaker.update_model_package, "ModelPackageArn"),
    ):
        assert refused(call, **{member: arn}) == ("ValidationException", f"ModelPackage {arn} does not exist.")
    assert sagemaker.list_model_packages(ModelPackageGroupName=group)["ModelPackageSummaryList"] == []
    assert add(sagemaker, group).endswith("/1")


def test_lists_filter_sort_and_page(sagemaker: Any, group: str) -> None:
    arns = [add(sagemaker, group) for _ in range(5)]
    sagemaker.update_model_package(ModelPackageArn=arns[1], ModelApprovalStatus="Approved")

    def listed(**request: Any) -> list[str]:
        pages = sagemaker.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group, **request)
        return [summary["ModelPackageArn"] for page in pages for summary in page["ModelPackageSummaryList"]]

    assert listed() == arns[::-1]
    assert listed(MaxResults=2) == arns[::-1]
    assert listed(SortBy="CreationTime", SortOrder="Ascending", MaxResults=2) == arns
    assert listed(ModelApprovalStatus="Approved") == [arns[1]]
    assert listed(ModelApprovalStatus="Rejected") == []
    created = sagemaker.describe_model_package(ModelPackageName=arns[2])["CreationTime"]
    assert listed(CreationTimeAfter=created, SortOrder="Ascending") == arns[2:]
    assert listed(CreationTimeBefore=created - timedelta(microseconds=1000)) == arns[1::-1]
    assert listed(CreationTimeAfter=datetime.now(UTC) + timedelta(hours=1)) == []
    first = sagemaker.list_model_packages(ModelPackageGroupName=group, MaxResults=1)["ModelPackageSummaryList"]
    assert [summary["ModelPackageArn"] for summary in first] == [arns[4]]
    bad = refused(sagemaker.list_model_packages, ModelPackageGroupName=group, NextToken="nonsense")
    assert bad == ("ValidationException", "The provided NextToken nonsense is not valid.")


def test_without_a_group_only_unversioned_packages_are_listed(sagemaker: Any, group: str) -> None:
    arn = add(sagemaker, group)
    assert sagemaker.list_model_packages()["ModelPackageSummaryList"] == []
    versioned = sagemaker.list_model_packages(ModelPackageType="Versioned")["ModelPackageSummaryList"]
    assert versioned[0]["ModelPackageArn"] == arn


def test_changes_are_events(sagemaker_local: LocalSageMaker, sagemaker: Any, group: str) -> None:
    sqs, rules = sagemaker_local.client("sqs"), sagemaker_local.client("events")
    queue = sqs.create_queue(QueueName="registry")["QueueUrl"]
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Model Package State Change"],
        "detail": {"ModelPackageGroupName": [group], "ModelApprovalStatus": ["Approved"]},
    }
    rules.put_rule(Name="registry", EventPattern=json.dumps(pattern))
    rules.put_targets(Rule="registry", Targets=[{"Id": "q", "Arn": "arn:aws:sqs:us-east-1:123456789012:registry"}])
    arn = add(sagemaker, group)
    sagemaker.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10, MaxNumberOfMessages=10)["Messages"]
    event = json.loads(message["Body"])
    assert event["account"] == "123456789012"
    assert event["region"] == "us-east-1"
    assert event["resources"] == [arn]
    assert datetime.fromisoformat(event["time"]).tzinfo
    assert event["detail"]["ModelPackageVersion"] == 1
    assert event["detail"]["ModelApprovalStatus"] == "Approved"
    assert datetime.fromisoformat(event["detail"]["CreationTime"])


@pytest.mark.aws_fact("registry-event-updated-fields")
def test_the_rule_of_the_documentation_wakes_on_decisions_only(
    sagemaker_local: LocalSageMaker, sagemaker: Any, group: str
) -> None:
    """include/iam/eventbridge-rule.json: a registration, a note or a stage of a decided version wakes nobody."""
    pattern = json.loads(RULE.read_text().replace("MODEL_PREFIX", group))
    events = events_of(sagemaker_local, "decisions", pattern)
    arn = add(sagemaker, group)
    add(sagemaker, group, ModelApprovalStatus="Rejected")
    change = {"ModelPackageArn": arn}
    stage = {"Stage": "prod", "StageStatus": "Approved"}
    sagemaker.update_model_package(**change, CustomerMetadataProperties={"note": "on a pending one"})
    sagemaker.update_model_package(**change, ModelApprovalStatus="Approved", ApprovalDescription="good")
    sagemaker.update_model_package(**change, CustomerMetadataProperties={"note": "on an approved one"})
    sagemaker.update_model_package(**change, ModelLifeCycle=stage)
    sagemaker.update_model_package(**change, ApprovalDescription="very good")
    sagemaker.update_model_package(**change, ModelApprovalStatus="Rejected", ModelLifeCycle=stage)
    details = events(2)
    assert [(detail["ModelApprovalStatus"], detail["UpdatedModelPackageFields"]) for detail in details] == [
        ("Approved", ["ApprovalDescription", "ModelApprovalStatus"]),
        ("Rejected", ["ModelApprovalStatus", "ModelLifeCycle"]),
    ]


@pytest.mark.aws_fact("registry-model-events")
def test_a_model_that_comes_and_goes_is_an_event(sagemaker_local: LocalSageMaker, sagemaker: Any, group: str) -> None:
    pattern = {"detail-type": ["SageMaker Model State Change"], "detail": {"ModelName": [group]}}
    events = events_of(sagemaker_local, "models", pattern)
    container = {"ModelPackageName": add(sagemaker, group)}
    sagemaker.create_model(ModelName=group, PrimaryContainer=container, ExecutionRoleArn=sagemaker_local.role_arn)
    sagemaker.delete_model(ModelName=group)
    assert [detail["ModelName"] for detail in events(2)] == [group, group]


def test_tags_are_added_replaced_and_removed(sagemaker: Any, group: str) -> None:
    arn = f"{ACCOUNT}:model-package-group/{group}"
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "b"}, {"Key": "env", "Value": "local"}])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [
        {"Key": "team", "Value": "b"},
        {"Key": "env", "Value": "local"},
    ]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team", "nothing"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "env", "Value": "local"}]
    many = [{"Key": f"k{i}", "Value": "v"} for i in range(50)]
    assert refused(sagemaker.add_tags, ResourceArn=arn, Tags=many)[0] == "ValidationException"
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    assert "Duplicate tag keys" in refused(sagemaker.add_tags, ResourceArn=arn, Tags=twice)[1]
    for other in (f"{ACCOUNT}:model/none", f"{ACCOUNT}:training-job/none"):
        assert refused(sagemaker.list_tags, ResourceArn=other) == (
            "ValidationException",
            f"The resource {other} does not exist.",
        )
    version = add(sagemaker, group)
    assert refused(sagemaker.add_tags, ResourceArn=version, Tags=many[:1])[0] == "ValidationException"
