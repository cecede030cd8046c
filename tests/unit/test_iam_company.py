"""Policies filled in by environment: separate roles and keys, roles with a path, other partitions, own images."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sagemaker_retraining.cli.main import main
from sagemaker_retraining.config import EnvironmentConfig, ModelConfig
from sagemaker_retraining.requests.policies import policies, trust_policy
from tests.kits.iam import ACCOUNT, BUCKET, ENVIRONMENT, FOLDER, KEY, REGION, AccessRequest, allows, policy
from tests.kits.project import ExampleProject

HOSTING = f"arn:aws:iam::{ACCOUNT}:role/ml/team/hosting"
PASSED = {"iam:PassedToService": "sagemaker.amazonaws.com"}
BY_S3 = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
OWN_KEY = KEY.replace("1111-", "9999-")
VPC = {"subnets": ["subnet-0123456789abcdef0"], "security_group_ids": ["sg-0123456789abcdef0"]}

IMAGE = "999999999999.dkr.ecr.eu-west-1.amazonaws.com/own:1"


def environment(**changes: Any) -> EnvironmentConfig:
    return EnvironmentConfig.model_validate({**ENVIRONMENT, **changes})


def model(**changes: Any) -> ModelConfig:
    """A model with an image of the company's own, data in its lake, and topics."""
    plain = {"model": "churn", "problem": "regression", "first_period": "2020-01", "image": IMAGE}
    return ModelConfig.model_validate({**plain, **changes})


ALARM = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:TargetTracking-endpoint/churn/variant/AllTraffic-AlarmHigh-1"
LINKED = (
    f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)
AUTOSCALING = {"iam:AWSServiceName": "sagemaker.application-autoscaling.amazonaws.com"}
NEEDED = [
    ("job-role", AccessRequest("cloudwatch:DescribeAlarms", "*")),  # guardrails: the execution role looks at the alarms
    *(
        ("job-role", AccessRequest(f"kms:{action}", KEY))
        for action in ("Decrypt", "Encrypt", "GenerateDataKey", "DescribeKey")
    ),
    ("job-role", AccessRequest("kms:CreateGrant", KEY)),
    (
        "dag-role",
        AccessRequest(
            "sagemaker:UpdateEndpointWeightsAndCapacities", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/a"
        ),
    ),
    ("dag-role", AccessRequest("iam:CreateServiceLinkedRole", LINKED, AUTOSCALING)),
    ("dag-role", AccessRequest("cloudwatch:PutMetricAlarm", ALARM)),
    ("dag-role", AccessRequest("cloudwatch:DeleteAlarms", ALARM)),
    ("dag-role", AccessRequest("kms:GenerateDataKey", KEY, BY_S3)),
    ("approver", AccessRequest("kms:Decrypt", KEY, BY_S3)),
]


@pytest.mark.aws_fact("iam-describe-alarms")
@pytest.mark.aws_fact("iam-own-keys")
@pytest.mark.aws_fact("iam-scaling-policies")
@pytest.mark.aws_fact("scaling-service-linked-role")
@pytest.mark.parametrize(("name", "ask"), NEEDED, ids=lambda value: getattr(value, "action", value))
def test_what_aws_asks_of_them(name: str, ask: AccessRequest) -> None:
    assert allows(policy(name, kms_key_arn=KEY), ask)


def test_keys_and_roles_are_not_for_everybody() -> None:
    assert not allows(policy("approver", kms_key_arn=KEY), AccessRequest("kms:GenerateDataKey", KEY, BY_S3))
    assert not allows(policy("dag-role", kms_key_arn=KEY), AccessRequest("kms:Decrypt", KEY)), (
        "only through S3 and SageMaker"
    )
    assert not allows(
        policy("dag-role"), AccessRequest("iam:CreateServiceLinkedRole", LINKED.replace("sagemaker.", "ecs."))
    )


def test_without_keys_vpc_and_topics_nothing_is_said_of_them() -> None:
    for name, document in policies(environment(), root=FOLDER.parent).items():
        said = json.dumps(document)
        assert "kms:" not in said, name
        assert "ec2:" not in said, name
        assert "sns:" not in said, name
    assert allows(policy("job-role", vpc=VPC), AccessRequest("ec2:CreateNetworkInterface", "*"))


def test_one_role_may_do_both_and_two_are_kept_apart() -> None:
    run = AccessRequest("s3:PutObject", f"arn:aws:s3:::{BUCKET}/churn/runs/2020-01/x/model/model.tar.gz")
    captured = AccessRequest("s3:PutObject", f"arn:aws:s3:::{BUCKET}/churn/data-capture/churn/AllTraffic/x.jsonl")
    alarms = AccessRequest("cloudwatch:DescribeAlarms", "*")
    one = policies(environment(), root=FOLDER.parent)
    assert "hosting-role" not in one
    assert [allows(one["job-role"], ask) for ask in (run, captured, alarms)] == [True, True, True]
    two = policies(environment(hosting_role_arn=HOSTING), root=FOLDER.parent)
    assert [allows(two["job-role"], ask) for ask in (run, alarms)] == [True, False]
    assert [allows(two["hosting-role"], ask) for ask in (run, captured, alarms)] == [False, True, True]
    for role, may in ((HOSTING, True), (ENVIRONMENT["role_arn"], True), (HOSTING.replace("ml/team/", ""), False)):
        assert allows(two["dag-role"], AccessRequest("iam:PassRole", role, PASSED)) is may, role
    assert not allows(one["dag-role"], AccessRequest("iam:PassRole", HOSTING, PASSED))


def test_each_key_is_granted_for_what_it_encrypts() -> None:
    document = policy("job-role", kms_key_arn=KEY, volume_kms_key_arn=OWN_KEY)
    assert allows(document, AccessRequest("kms:CreateGrant", OWN_KEY))
    assert not allows(document, AccessRequest("kms:CreateGrant", KEY)), "no disk has this one"
    assert allows(document, AccessRequest("kms:GenerateDataKey", KEY))


@pytest.mark.aws_fact("iam-async-topics")
def test_what_models_read_pull_and_tell() -> None:
    topic = f"arn:aws:sns:{REGION}:{ACCOUNT}:scored"
    churn = model(
        image=f"210987654321.dkr.ecr.{REGION}.amazonaws.com/ml/churn@sha256:{'0' * 64}",
        data={"raw_uri": "s3://lake/churn/raw/"},
        deploy={"asynchronous": {"success_topic_arn": topic}},
    )
    filled = policies(environment(), [churn], root=FOLDER.parent)
    pull = AccessRequest("ecr:BatchGetImage", f"arn:aws:ecr:{REGION}:210987654321:repository/ml/churn")
    raw = AccessRequest("s3:GetObject", "arn:aws:s3:::lake/churn/raw/period=2020-01/x.csv")
    assert allows(filled["job-role"], pull)
    assert not allows(policy("job-role"), pull)
    assert allows(filled["job-role"], AccessRequest("sns:Publish", topic))
    for name in ("job-role", "dag-role"):
        assert allows(filled[name], raw)
        assert allows(filled[name], AccessRequest("s3:ListBucket", "arn:aws:s3:::lake"))
        assert not allows(filled[name], AccessRequest("s3:GetObject", "arn:aws:s3:::lake/secret"))
        assert not allows(filled[name], AccessRequest("s3:PutObject", raw.resource))


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
def test_other_partitions(region: str) -> None:
    partition = "aws-cn" if region.startswith("cn") else "aws-us-gov"
    text = json.dumps(ENVIRONMENT).replace("arn:aws:", f"arn:{partition}:").replace(REGION, region)
    key = KEY.replace("arn:aws:", f"arn:{partition}:").replace(REGION, region)
    place = EnvironmentConfig.model_validate({**json.loads(text), "kms_key_arn": key, "vpc": VPC})
    documents = json.dumps([policies(place, [model()], root=FOLDER.parent), trust_policy(place, root=FOLDER.parent)])
    assert set(re.findall(r"arn:([a-z-]+):", documents)) == {partition}
    suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
    assert f'"s3.{region}.{suffix}"' in documents


def test_no_placeholder_is_left_and_a_value_is_none() -> None:
    """A prefix or a role that is called like a placeholder stays what it is."""
    role = f"arn:aws:iam::{ACCOUNT}:role/REGION/BUCKET"
    place = environment(role_arn=role, prefix="REGION", kms_key_arn=KEY, vpc=VPC)
    filled = policies(place, [model()], root=FOLDER.parent, prefix="churn-")
    assert allows(filled["dag-role"], AccessRequest("iam:PassRole", role, PASSED))
    assert allows(filled["job-role"], AccessRequest("s3:PutObject", f"arn:aws:s3:::{BUCKET}/REGION/x"))
    text = json.dumps(filled).replace(role, "").replace(f"{BUCKET}/REGION", "")
    assert re.findall(r"\b[A-Z]+_[A-Z_]+\b|\b(?:REGION|BUCKET|IMAGES|TOPICS)\b", text) == []
    assert f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/churn-*" in text


def test_the_command_prints_what_aws_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = ExampleProject(tmp_path)
    (project.root / "iam").symlink_to(FOLDER)
    monkeypatch.setenv("RETRAINING_HOME", str(tmp_path))
    assert main(["iam", "dag-role", "--env", "prod"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert allows(document, AccessRequest("iam:PassRole", "arn:aws:iam::123456789012:role/jobs", PASSED))
    assert allows(document, AccessRequest("s3:GetObject", "arn:aws:s3:::lake/flights/period=2020-01/x.csv"))
    assert main(["iam", "execution-role.trust", "--env", "prod"]) == 0
    assert "sts:AssumeRole" in capsys.readouterr().out
    assert main(["iam", "hosting-role", "--env", "prod"]) == 1
    assert "no hosting_role_arn of its own: take job-role" in capsys.readouterr().err
