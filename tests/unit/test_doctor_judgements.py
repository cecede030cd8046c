"""doctor's judgements of descriptions as AWS gives them; tests/integration/test_doctor_*.py look."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_retraining.cli.doctor import scope_of
from sagemaker_retraining.config import load_environment
from sagemaker_retraining.doctor.bucket import judge_lifecycle
from sagemaker_retraining.doctor.connections import Connection, connection_checks, judge_connection, role_of
from sagemaker_retraining.doctor.data import judge_raw_data
from sagemaker_retraining.doctor.errors import explained
from sagemaker_retraining.doctor.findings import Status
from sagemaker_retraining.doctor.identity import Caller
from sagemaker_retraining.doctor.keys import names_role, unusable
from sagemaker_retraining.doctor.network import judge_routes
from sagemaker_retraining.doctor.permissions import BOUNDARY, NOT_HELD, ORGANIZATION, judge_permissions, why_not
from sagemaker_retraining.doctor.questions import Question, batches, questions_about
from sagemaker_retraining.doctor.quotas import Need, Quota, judge_quotas, needs
from sagemaker_retraining.doctor.roles import judge_trust
from sagemaker_retraining.doctor.scope import Scope
from sagemaker_retraining.period import Period
from tests.kits.project import ExampleProject

ACCOUNT, REGION = "123456789012", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/jobs"


def scope(folder: Path, environment: str = "prod") -> Scope:
    """The example project in its fullest environment."""
    project = ExampleProject(folder)
    (project.root / "iam").symlink_to(Path(__file__).parents[2] / "include" / "iam")
    caller = Caller(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/airflow/session")
    return scope_of(["demo_model"], environment, None, caller, project.root)


@pytest.mark.parametrize(
    ("arn", "principal"),
    [
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/airflow/session", f"arn:aws:iam::{ACCOUNT}:role/airflow"),
        (f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/airflow/x", f"arn:aws-cn:iam::{ACCOUNT}:role/airflow"),
        (f"arn:aws:iam::{ACCOUNT}:user/jane", f"arn:aws:iam::{ACCOUNT}:user/jane"),
        (f"arn:aws:iam::{ACCOUNT}:root", None),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/jane", None),
    ],
)
def test_who_is_simulated(arn: str, principal: str | None) -> None:
    assert Caller(ACCOUNT, arn).principal == principal


@pytest.mark.aws_fact("endpoint-create-authorised-on-both")
def test_questions_are_about_things_there_can_be(tmp_path: Path) -> None:
    """Each action is asked about its own kind of resource, named as the runs will name it, and with its conditions."""
    found = scope(tmp_path)
    questions = questions_about(found.policies["dag-role"], found)
    start = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"
    assert {question.resource for question in questions if question.action == "sagemaker:CreateTrainingJob"} == {
        f"{start}:training-job/demo-model-doctor"
    }
    assert Question("sagemaker:UpdateEndpoint", f"{start}:endpoint/demo-model-prod") in questions
    pending = (("sagemaker:ModelApprovalStatus", "string", "PendingManualApproval"),)
    for resource in ("model-package-group/demo-model-prod", "model-package/demo-model-prod/1"):
        assert Question("sagemaker:CreateModelPackage", f"{start}:{resource}", pending) in questions
    assert Question("sagemaker:CreateEndpoint", f"{start}:endpoint-config/demo-model-prod-doctor") in questions
    passed = (("iam:PassedToService", "string", "sagemaker.amazonaws.com"),)
    assert Question("iam:PassRole", ROLE, passed) in questions
    assert Question("s3:PutObject", "arn:aws:s3:::demo-bucket/risk/prod/demo_model/doctor") in questions
    assert Question("s3:GetObject", "arn:aws:s3:::lake/flights/demo_model/doctor") in questions
    assert [question for question in questions if "*" in question.resource and question.resource != "*"] == []
    pulled = questions_about(found.policies["job-role"], found)
    image = f"arn:aws:ecr:{REGION}:141502667606:repository/sagemaker-xgboost"
    assert Question("ecr:BatchGetImage", image) in pulled
    grant = [question.context for question in questions if question.action == "kms:CreateGrant"]
    assert grant == [(("kms:GrantIsForAWSResource", "boolean", "true"),)]
    assert sum(len(actions) for actions in batches(questions).values()) == len(questions)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"EvalDecision": "allowed"}, None),
        ({"EvalDecision": "implicitDeny", "MatchedStatements": []}, NOT_HELD),
        (
            {
                "EvalDecision": "implicitDeny",
                "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False},
            },
            BOUNDARY,
        ),
        (
            {
                "EvalDecision": "implicitDeny",
                "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": True},
            },
            NOT_HELD,
        ),
        ({"EvalDecision": "explicitDeny", "MatchedStatements": [{"SourcePolicyId": "p"}]}, "policy p denies"),
        (
            {"EvalDecision": "explicitDeny", "OrganizationsDecisionDetail": {"AllowedByOrganizations": False}},
            ORGANIZATION,
        ),
    ],
)
def test_why_something_is_not_allowed(result: dict[str, Any], reason: str | None) -> None:
    assert why_not(result) == reason


def test_what_only_the_organization_refuses_is_not_wrong() -> None:
    """The simulator does not know the conditions of service control policies."""
    answers: dict[Question, str | None] = {
        Question("s3:PutObject", "a"): None,
        Question("s3:GetObject", "a"): ORGANIZATION,
    }
    [finding] = judge_permissions("p", ROLE, "iam dag-role --env prod", answers)
    assert (finding.status, "forbids s3:GetObject on a; it does not know" in finding.text) == (Status.UNKNOWN, True)
    found = judge_permissions(
        "p", ROLE, "iam dag-role --env prod", {**answers, Question("s3:ListBucket", "b"): NOT_HELD}
    )
    assert [one.status for one in found] == [Status.UNKNOWN, Status.WRONG]


def trust(**statement: Any) -> dict[str, Any]:
    return {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", **statement}]}


SAGEMAKER = {"Service": ["glue.amazonaws.com", "sagemaker.amazonaws.com"]}


@pytest.mark.parametrize(
    ("policy", "status"),
    [
        (trust(Principal=SAGEMAKER), Status.OK),
        (trust(Principal=SAGEMAKER, Action=["sts:TagSession", "sts:*"]), Status.OK),
        (trust(Principal={"Service": "glue.amazonaws.com"}), Status.WRONG),
        (trust(Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"}), Status.WRONG),
        (trust(Principal=SAGEMAKER, Action="sts:TagSession"), Status.WRONG),
        (trust(Principal=SAGEMAKER, Effect="Deny"), Status.UNKNOWN),
        (trust(Principal=SAGEMAKER, Condition={"StringEquals": {"aws:SourceAccount": [ACCOUNT]}}), Status.OK),
        (trust(Principal=SAGEMAKER, Condition={"StringEquals": {"aws:SourceAccount": "9" * 12}}), Status.WRONG),
        (
            trust(Principal=SAGEMAKER, Condition={"ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:*:{ACCOUNT}:*"}}),
            Status.OK,
        ),
        (
            trust(
                Principal=SAGEMAKER,
                Condition={"ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:*"}},
            ),
            Status.WRONG,
        ),
    ],
)
def test_trust(policy: dict[str, Any], status: Status) -> None:
    assert judge_trust("role", ROLE, policy, ACCOUNT, REGION).status == status


EXPIRE = {"ID": "r", "Status": "Enabled", "Expiration": {"Days": 30}}


@pytest.mark.aws_fact("endpoint-config-in-use-deleted")
@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({**EXPIRE, "Filter": {}}, Status.WRONG),
        ({**EXPIRE, "Prefix": "m/"}, Status.WRONG),
        ({**EXPIRE, "Filter": {"Prefix": "m/code/"}}, Status.WRONG),
        ({**EXPIRE, "Filter": {"And": {"Prefix": "m/runs/2013", "ObjectSizeGreaterThan": 1}}}, Status.WRONG),
        ({**EXPIRE, "Filter": {"Prefix": "m/checkpoints/"}}, Status.OK),
        ({**EXPIRE, "Filter": {"Prefix": "m/data-capture/"}}, Status.OK),
        ({**EXPIRE, "Filter": {}, "Status": "Disabled"}, Status.OK),
        ({**EXPIRE, "Filter": {"Tag": {"Key": "temporary", "Value": "yes"}}}, Status.OK),
        ({**EXPIRE, "Filter": {}, "Expiration": {"ExpiredObjectDeleteMarker": True}}, Status.OK),
        ({"Status": "Enabled", "Filter": {}, "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}, Status.OK),
        (
            {"Status": "Enabled", "Filter": {}, "Transitions": [{"Days": 30, "StorageClass": "DEEP_ARCHIVE"}]},
            Status.WRONG,
        ),
        ({"Status": "Enabled", "Filter": {}, "Transitions": [{"Days": 30, "StorageClass": "GLACIER_IR"}]}, Status.OK),
    ],
)
def test_lifecycle_rules(rule: dict[str, Any], status: Status) -> None:
    assert judge_lifecycle("lifecycle", [rule], ["m/runs/", "m/code/"]).status == status


def test_keys() -> None:
    assert unusable({"KeyState": "Enabled", "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": "SYMMETRIC_DEFAULT"}) == ""
    assert "PendingImport" in unusable({"KeyState": "PendingImport"})
    assert "SIGN_VERIFY" in unusable({"KeyState": "Enabled", "KeyUsage": "SIGN_VERIFY"})
    assert "RSA_4096" in unusable({"KeyState": "Enabled", "KeySpec": "RSA_4096"})
    for who, named in ((f"arn:aws:iam::{ACCOUNT}:root", True), (ROLE, True), (f"{ROLE}-2", False)):
        policy = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": [who]}, "Action": "kms:*", "Resource": "*"}]}
        assert names_role(policy, ROLE, ACCOUNT) is named


def table(name: str, route: dict[str, Any], **link: Any) -> dict[str, Any]:
    local = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local"}
    return {"RouteTableId": name, "Routes": [local, route], "Associations": [link]}


def endpoint(service: str, **more: Any) -> dict[str, Any]:
    return {"ServiceName": f"com.amazonaws.{REGION}.{service}", "State": "available", **more}


OUT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}
INTERNET = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}
MAIN: dict[str, Any] = {"Main": True}


@pytest.mark.aws_fact("account-vpc-needs-s3")
@pytest.mark.parametrize(
    ("tables", "endpoints", "status"),
    [
        ([table("m", OUT, **MAIN)], [], Status.OK),
        ([table("m", {**OUT, "State": "blackhole"}, **MAIN)], [], Status.WRONG),
        ([table("m", INTERNET, **MAIN)], [], Status.WRONG),
        ([table("m", {}, **MAIN)], [endpoint("s3", RouteTableIds=["m"])], Status.OK),
        ([table("m", {}, **MAIN)], [endpoint("s3", RouteTableIds=["other"])], Status.WRONG),
        ([table("m", {}, **MAIN)], [endpoint("s3", State="pending", RouteTableIds=["m"])], Status.WRONG),
        ([table("m", {}, **MAIN)], [endpoint("s3", RouteTableIds=[])], Status.OK),
        ([table("m", OUT, **MAIN), table("own", {}, SubnetId="subnet-1")], [], Status.WRONG),
        ([table("m", {}, **MAIN), table("own", OUT, SubnetId="subnet-1")], [], Status.OK),
    ],
)
def test_ways_to_s3(tables: list[dict[str, Any]], endpoints: list[dict[str, Any]], status: Status) -> None:
    assert judge_routes(["subnet-1"], tables, endpoints).status == status


def test_endpoints_that_are_missing_are_named() -> None:
    """Not wrong: SageMaker pulls images and writes logs by itself."""
    there = [endpoint("s3", RouteTableIds=["m"]), endpoint("sts"), endpoint("sagemaker.api")]
    text = judge_routes(["subnet-1"], [table("m", {}, **MAIN)], there).text
    assert text.endswith("endpoints for sagemaker.runtime, logs, ecr.api, ecr.dkr, kms too")


@pytest.mark.aws_fact("endpoint-double-quota")
def test_what_a_run_needs_of_quotas(tmp_path: Path) -> None:
    """Of the fullest environment: autoscaling to 6, a canary that doubles them, training on demand."""
    found = needs(scope(tmp_path).plans, set())
    assert {name: (need.models["demo_model"], need.update) for name, need in found.items()} == {
        "ml.m5.4xlarge for processing job usage": (1, 0),
        "ml.m5.xlarge for processing job usage": (1, 0),
        "ml.m5.2xlarge for training job usage": (1, 0),
        "ml.m5.large for endpoint usage": (6, 6),
    }


def test_quotas_of_models_add_up() -> None:
    """All DAGs start on the 1st at the same time."""
    wanted = {"a": Need({"x": 2, "y": 1}), "b": Need({"x": 1}), "c": Need({"x": 1}, update=1)}
    found = {"a": Quota(2, "L-A"), "b": Quota(1, "L-B")}
    lines = {finding.text: finding.status for finding in judge_quotas(wanted, found)}
    assert list(lines.values()) == [Status.WRONG, Status.UNKNOWN, Status.OK]
    said = "a is 2, needed 3 (2 for x, 1 for y); aws service-quotas request-service-quota-increase --service-code "
    assert next(iter(lines)) == f"{said}sagemaker --quota-code L-A --desired-value 3"


def connection(tmp_path: Path, text: str) -> tuple[Status, str]:
    """What is said of a connection."""
    ExampleProject(tmp_path)
    environment = load_environment("test", tmp_path / "include")
    [check] = connection_checks(environment, {"AIRFLOW_CONN_AWS_DEFAULT": text} if text else {})
    [finding] = check.look()
    return finding.status, finding.text


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("", Status.UNKNOWN, "AIRFLOW_CONN_AWS_DEFAULT is not set here; where Airflow runs: airflow connections get"),
        ("aws://", Status.OK, "it uses the credentials of the worker"),
        (json.dumps({"conn_type": "aws", "extra": json.dumps({"role_arn": ROLE})}), Status.OK, f"it assumes {ROLE}"),
        (
            "aws://?role_arn=arn%3Aaws%3Aiam%3A%3A999999999999%3Arole%2Fx",
            Status.WRONG,
            "which is not of account 123456789012",
        ),
        ("aws://AKIA:hunter2@", Status.OK, "it has access key AKIA of its own"),
        ("postgres://x", Status.WRONG, "its type is 'postgres', it must be aws"),
        ("{oops", Status.WRONG, "is no connection: "),
        ("aws", Status.WRONG, "is no connection: "),
        (
            'aws://?__extra__={"endpoint_url": "http://localhost:5005"}',
            Status.OK,
            "everything goes to http://localhost",
        ),
    ],
)
def test_connections(tmp_path: Path, text: str, status: Status, said: str) -> None:
    found = connection(tmp_path, text)
    assert found[0] == status
    assert said in found[1]
    assert "hunter2" not in found[1]


def test_the_role_of_a_connection() -> None:
    text = json.dumps({"conn_type": "aws", "extra": {"role_arn": ROLE}})
    assert role_of("aws_prod", {"AIRFLOW_CONN_AWS_PROD": text}) == ROLE
    assert role_of("aws_prod", {"AIRFLOW_CONN_AWS_PROD": "aws://"}) is None
    assert role_of("aws_prod", {}) is None


def test_a_connection_to_the_local_sagemaker(tmp_path: Path) -> None:
    ExampleProject(tmp_path)
    environment = load_environment("test", tmp_path / "include")
    found = judge_connection("c", environment, Connection("aws", extra={"endpoint_url": "http://127.0.0.1:5005"}))
    assert (found.status, found.text) == (Status.OK, "everything goes to http://127.0.0.1:5005")


@pytest.mark.parametrize(
    ("months", "history", "status", "said"),
    [
        (["2013-09", "2013-10", "2013-11"], None, Status.OK, "2013-11 and 2 months before it, from 2013-09"),
        (["2013-08", "2013-10", "2013-11"], None, Status.OK, "; not there: 2013-09"),
        (["2013-08", "2013-10", "2013-11"], 3, Status.WRONG, "history_months 3 of 2013-11 lacks 2013-09"),
        (
            ["2013-10"],
            None,
            Status.WRONG,
            "period=2013-11/_SUCCESS is not there; complete months are 2013-10 to 2013-10",
        ),
        (["2013-11"], None, Status.WRONG, "no complete month before 2013-11"),
        ([], None, Status.WRONG, "no month is complete"),
    ],
)
def test_months(months: list[str], history: int | None, status: Status, said: str) -> None:
    names = [f"period={month}/_SUCCESS" for month in months]
    finding = judge_raw_data("raw data", "s3://b/raw/", names, Period(2013, 11), history)
    assert finding.status == status
    assert said in finding.text


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (
            "AccessDeniedException",
            "User: x is not authorized to perform: kms:DescribeKey on resource: y",
            "kms:DescribeKey",
        ),
        ("403", "Forbidden", "not allowed to call HeadBucket"),
        (
            "UnauthorizedOperation",
            "You are not authorized to perform this operation.",
            "not allowed to call HeadBucket",
        ),
        ("ExpiredTokenException", "x", "the credentials have expired; log in again"),
        ("ThrottlingException", "Rate exceeded", "HeadBucket was answered with ThrottlingException: Rate exceeded"),
    ],
)
def test_what_could_not_be_looked_at_is_explained(code: str, message: str, said: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": message}}, "HeadBucket")
    assert said in explained(error)
