"""What is answered in front of moto: pages of logs, simulated policies, the tagging API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import LocalSageMaker

GROUP = "/front"


@pytest.fixture
def logs(sagemaker_local: LocalSageMaker) -> Iterator[Any]:
    """A Logs client, and a group of its own for each test."""
    client = sagemaker_local.client("logs")
    client.create_log_group(logGroupName=GROUP)
    yield client
    client.delete_log_group(logGroupName=GROUP)


def put(logs: Any, stream: str, messages: list[str]) -> None:
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    now = int(time.time() * 1000)
    for start in range(0, len(messages), 1000):
        events = [
            {"timestamp": now + number, "message": messages[number]}
            for number in range(start, min(start + 1000, len(messages)))
        ]
        logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def test_a_prefix_chooses_streams(logs: Any) -> None:
    for stream in ("job-a/1", "job-a/2", "job-b/1"):
        put(logs, stream, [f"{stream} {number}" for number in range(3)])
    found = logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix="job-a/")
    assert {event["logStreamName"] for event in found["events"]} == {"job-a/1", "job-a/2"}
    assert len(found["events"]) == 6
    assert logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix="job-c")["events"] == []
    with pytest.raises(logs.exceptions.InvalidParameterException):
        logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix="job-a", logStreamNames=["job-b/1"])
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.filter_log_events(logGroupName="/none", logStreamNamePrefix="job-a")


def test_a_page_of_logs_has_at_most_1_megabyte(logs: Any) -> None:
    """Forwards, backwards and filtered: every event comes once, and pages are cut where the bytes end."""
    put(logs, "s", [f"{number:03d}" + "x" * 99_000 for number in range(25)])
    names = {"logGroupName": GROUP, "logStreamName": "s"}

    def pages(**start: Any) -> list[list[int]]:
        read, arguments = [], dict(start)
        name = "nextForwardToken" if start else "nextBackwardToken"
        while True:
            page = logs.get_log_events(**names, **arguments)
            if not page["events"]:
                return read
            read.append([int(event["message"][:3]) for event in page["events"]])
            arguments = {"nextToken": page[name]}

    forwards = pages(startFromHead=True)
    assert [len(page) for page in forwards] == [10, 10, 5]
    assert list(chain(*forwards)) == list(range(25))
    backwards = pages()
    assert [len(page) for page in backwards] == [10, 10, 5]
    assert list(chain(*reversed(backwards))) == list(range(25))
    filtered = list(logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP))
    assert [len(page["events"]) for page in filtered] == [10, 10, 5]
    assert [int(event["message"][:3]) for page in filtered for event in page["events"]] == list(range(25))


def test_a_page_of_logs_has_at_most_10_000_events(logs: Any) -> None:
    put(logs, "s", ["x"] * 10_001)
    assert len(logs.filter_log_events(logGroupName=GROUP)["events"]) == 10_000
    with pytest.raises(ClientError, match="limit"):
        logs.filter_log_events(logGroupName=GROUP, limit=10_001)


def decisions(sagemaker_local: LocalSageMaker, arn: str, *asks: str, **more: Any) -> list[str]:
    iam = sagemaker_local.client("iam")
    pages = iam.get_paginator("simulate_principal_policy").paginate(
        PolicySourceArn=arn, ActionNames=list(asks), PaginationConfig={"PageSize": 2}, **more
    )
    return [
        decision
        for page in pages
        for result in page["EvaluationResults"]
        for decision in [one["EvalResourceDecision"] for one in result.get("ResourceSpecificResults", [])]
        or [result["EvalDecision"]]
    ]


def statement(effect: str, action: Any, resource: Any, **more: Any) -> str:
    found = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [found]})


def test_the_default_role_may_what_the_sdk_asks_first(sagemaker_local: LocalSageMaker) -> None:
    """`ModelTrainer` and the role resolver of the SageMaker SDK 3 ask these."""
    role = sagemaker_local.role_arn
    bucket = {"ResourceArns": ["arn:aws:s3:::sagemaker-us-east-1-123456789012/*"]}
    assert decisions(sagemaker_local, role, "s3:PutObject", **bucket) == ["allowed"]
    smoke = ("ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "ec2:DescribeVpcs")
    assert decisions(sagemaker_local, role, *smoke) == ["allowed"] * 3
    assert decisions(sagemaker_local, role, "dynamodb:PutItem") == ["implicitDeny"]


@pytest.mark.aws_fact("account-simulate-several-resources")
def test_policies_are_simulated(sagemaker_local: LocalSageMaker) -> None:
    """Inline and attached policies, wildcards, a Deny that wins, a condition, what a user's group allows."""
    iam = sagemaker_local.client("iam")
    role = iam.create_role(RoleName="simulated", Path="/team/", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    read = statement("Allow", ["s3:Get*", "s3:ListBucket"], ["arn:aws:s3:::data", "arn:aws:s3:::data/*"])
    iam.put_role_policy(RoleName="simulated", PolicyName="read", PolicyDocument=read)
    deny = statement("Deny", "s3:*", "arn:aws:s3:::data/secret/*")
    arn = iam.create_policy(PolicyName="deny", PolicyDocument=deny)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="simulated", PolicyArn=arn)
    to_sagemaker = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    passing = statement("Allow", "iam:PassRole", "*", Condition=to_sagemaker)
    iam.put_role_policy(RoleName="simulated", PolicyName="pass", PolicyDocument=passing)

    objects = {"ResourceArns": ["arn:aws:s3:::data/a", "arn:aws:s3:::data/secret/a", "arn:aws:s3:::other/a"]}
    expected = ["allowed", "explicitDeny", "implicitDeny", "implicitDeny", "explicitDeny", "implicitDeny"]
    assert decisions(sagemaker_local, role, "s3:GetObject", "s3:PutObject", **objects) == expected
    [both] = iam.simulate_principal_policy(
        PolicySourceArn=role, ActionNames=["s3:GetObject"], ResourceArns=["arn:aws:s3:::data/a", "arn:aws:s3:::other/a"]
    )["EvaluationResults"]
    assert (both["EvalDecision"], len(both["ResourceSpecificResults"])) == ("implicitDeny", 2)
    assert both["EvalResourceName"] not in {"arn:aws:s3:::data/a", "arn:aws:s3:::other/a"}, "it is about neither"
    context = {"ContextKeyName": "iam:PassedToService", "ContextKeyType": "string"}
    for value, decision in (("sagemaker.amazonaws.com", "allowed"), ("ec2.amazonaws.com", "implicitDeny")):
        entries = {"ContextEntries": [context | {"ContextKeyValues": [value]}]}
        assert decisions(sagemaker_local, role, "iam:PassRole", **entries) == [decision]
    missing = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=["iam:PassRole"])["EvaluationResults"][0]
    assert (missing["EvalDecision"], missing["MissingContextValues"]) == ("implicitDeny", ["iam:PassedToService"])

    user = iam.create_user(UserName="simulated")["User"]["Arn"]
    iam.create_group(GroupName="simulated")
    iam.put_group_policy(GroupName="simulated", PolicyName="all", PolicyDocument=statement("Allow", "s3:*", "*"))
    assert decisions(sagemaker_local, user, "s3:GetObject") == ["implicitDeny"]
    iam.add_user_to_group(GroupName="simulated", UserName="simulated")
    assert decisions(sagemaker_local, user, "s3:GetObject") == ["allowed"]
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        decisions(sagemaker_local, f"{role}-not", "s3:GetObject")


@pytest.fixture
def tagged(make_sagemaker_local: Callable[..., LocalSageMaker]) -> LocalSageMaker:
    """Three groups, a model and a bucket with tags, and a group without."""
    server = make_sagemaker_local().start()
    sagemaker = server.client("sagemaker")
    for name, team in (("g1", "a"), ("g2", "b"), ("g3", "a")):
        tags = [{"Key": "team", "Value": team}, {"Key": "name", "Value": name}]
        sagemaker.create_model_package_group(ModelPackageGroupName=name, Tags=tags)
    sagemaker.create_model_package_group(ModelPackageGroupName="untagged")
    tag_set = {"TagSet": [{"Key": "team", "Value": "a"}]}
    server.client("s3").put_bucket_tagging(Bucket=server.bucket, Tagging=tag_set)
    return server


def test_the_tagging_api_sees_sagemaker(tagged: LocalSageMaker) -> None:
    tagging = tagged.client("resourcegroupstaggingapi")

    def arns(**filters: Any) -> list[str]:
        pages = tagging.get_paginator("get_resources").paginate(**filters, PaginationConfig={"PageSize": 2})
        return [item["ResourceARN"].rpartition(":")[2] for page in pages for item in page["ResourceTagMappingList"]]

    groups = [f"model-package-group/g{number}" for number in (1, 2, 3)]
    assert arns() == [tagged.bucket, *groups]
    assert arns(ResourceTypeFilters=["sagemaker"]) == groups
    assert arns(ResourceTypeFilters=["sagemaker:model-package-group"]) == groups
    assert arns(ResourceTypeFilters=["sagemaker:training-job"]) == []
    assert arns(ResourceTypeFilters=["s3"]) == [tagged.bucket]
    assert arns(TagFilters=[{"Key": "team", "Values": ["a"]}]) == [tagged.bucket, groups[0], groups[2]]
    both = [{"Key": "team", "Values": ["a", "b"]}, {"Key": "name", "Values": ["g2", "g3"]}]
    assert arns(TagFilters=both) == groups[1:]
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:{groups[1]}"
    one = tagging.get_resources(ResourceARNList=[arn])["ResourceTagMappingList"]
    assert one == [{"ResourceARN": arn, "Tags": [{"Key": "team", "Value": "b"}, {"Key": "name", "Value": "g2"}]}]
    tagged.client("sagemaker").delete_model_package_group(ModelPackageGroupName="g2")
    assert arns(ResourceTypeFilters=["sagemaker"]) == [groups[0], groups[2]]
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        tagging.get_tag_keys()
