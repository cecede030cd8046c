"""The policies of include/iam: what the package calls is allowed, approving is not, and little else."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from sagemaker_retraining.hooks import JOB_KINDS, RetrainingHook
from sagemaker_retraining.requests import build_requests, complete_package, deployment_requests, metric_sources
from sagemaker_retraining.requests.registry import refusal_request
from tests.kits.iam import (
    ACCOUNT,
    BUCKET,
    ENVIRONMENT,
    FOLDER,
    JOB_ROLE,
    REGION,
    AccessRequest,
    Call,
    allows,
    asks,
    policy,
)
from tests.kits.project import RESULTS, ExampleProject

PACKAGE = Path(__file__).parents[2] / "plugins" / "sagemaker_retraining"
VERSION = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/demo-model/8"
GROUP = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/a"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/{JOB_ROLE}"
POLICIES = sorted(file.stem for file in FOLDER.glob("*.json") if file.stem != "eventbridge-rule")


def may(name: str, call: Call) -> bool:
    """Whether a policy allows all that a call asks."""
    return all(allows(policy(name), ask) for ask in asks(call))


def update(**parameters: Any) -> Call:
    return Call("sagemaker", "UpdateModelPackage", {"ModelPackageArn": VERSION, **parameters})


@pytest.fixture
def run(tmp_path: Path) -> list[Call]:
    """Every request of a run, as the package builds it."""
    project = ExampleProject(tmp_path)
    project.write_environment(json.dumps(ENVIRONMENT))
    (project.root / "images.lock.yaml").write_text(f"xgboost:\n  3.0-5:\n    {REGION}: image:1\n")
    requests = build_requests(project.plan("test"))
    package = complete_package(requests["register"]["package"], RESULTS, metric_sources(RESULTS))
    return [
        Call("sagemaker", "CreateProcessingJob", requests["preprocess"]),
        Call("sagemaker", "CreateProcessingJob", requests["evaluate"]),
        Call("sagemaker", "CreateTrainingJob", requests["train"]),
        Call("sagemaker", "CreateModelPackageGroup", requests["register"]["group"]),
        Call("sagemaker", "CreateModelPackage", package),
        Call("sagemaker", "UpdateModelPackage", refusal_request(VERSION, "auc", "2013-12-01T07:00:00+00:00")),
        *(
            Call("sagemaker", name, request)
            for name, request in deployment_requests(requests["deploy"], VERSION).items()
        ),
    ]


@pytest.mark.aws_fact("training-tags-need-permission")
@pytest.mark.aws_fact("endpoint-create-authorised-on-both")
def test_the_dag_may_send_every_request_of_a_run(run: list[Call]) -> None:
    asked = {ask.action for call in run for ask in asks(call)}
    assert {"iam:PassRole", "sagemaker:AddTags", "sagemaker:CreateEndpoint"} <= asked
    assert [call.operation for call in run if not may("dag-role", call)] == []


def test_the_approver_may_send_none_of_them_but_a_rejection(run: list[Call]) -> None:
    assert [call.operation for call in run if may("approver", call)] == ["UpdateModelPackage"]


def test_the_dag_may_not_approve(run: list[Call]) -> None:
    [registration] = [call for call in run if call.operation == "CreateModelPackage"]
    born_approved = {**registration.parameters, "ModelApprovalStatus": "Approved"}
    without_status = {key: value for key, value in registration.parameters.items() if key != "ModelApprovalStatus"}
    assert not may("dag-role", Call("sagemaker", "CreateModelPackage", born_approved))
    assert not may("dag-role", Call("sagemaker", "CreateModelPackage", without_status)), "it must say that it waits"
    assert not may("dag-role", update(ModelApprovalStatus="Approved"))
    assert not may("dag-role", update(ModelApprovalStatus="PendingManualApproval")), "a decision is not taken back"
    assert may("dag-role", update(ModelApprovalStatus="Rejected", ApprovalDescription="nobody decided in time"))
    assert may("dag-role", update(CustomerMetadataProperties={"note": "x"}))


def test_another_policy_does_not_help_the_dag_to_approve() -> None:
    """Denied is denied, whatever else is attached to the role."""
    wide = {"Effect": "Allow", "Action": "sagemaker:*", "Resource": "*"}
    role = {"Statement": [*policy("dag-role")["Statement"], wide]}
    [ask] = asks(update(ModelApprovalStatus="Approved"))
    assert not allows(role, ask)
    assert allows({"Statement": [wide]}, ask), "the question itself is a right one"


def test_the_approver_decides_and_reads() -> None:
    for status in ("Approved", "Rejected"):
        assert may("approver", update(ModelApprovalStatus=status, ApprovalDescription="better"))
    assert not may("approver", update(ModelApprovalStatus="PendingManualApproval"))
    assert not may("approver", update(CustomerMetadataProperties={"metric.auc": "1"})), "only with a decision"
    assert may("approver", Call("sagemaker", "DescribeModelPackage", {"ModelPackageName": VERSION}))
    assert may("approver", Call("sagemaker", "ListModelPackages", {"ModelPackageGroupName": "demo-model"}))
    run = "demo_model/runs/2013-11/0a1b2c3d"
    assert may("approver", Call("s3", "GetObject", {"Bucket": BUCKET, "Key": f"{run}/report-g1/report.html"}))
    assert not may(
        "approver", Call("s3", "GetObject", {"Bucket": BUCKET, "Key": "demo_model/raw/period=2013-11/x.csv"})
    )
    assert not may("approver", Call("s3", "PutObject", {"Bucket": BUCKET, "Key": f"{run}/report-g1/report.html"}))


@pytest.mark.parametrize(
    "ask",
    [
        AccessRequest("iam:PassRole", ROLE, {"iam:PassedToService": "lambda.amazonaws.com"}),
        AccessRequest(
            "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/admin", {"iam:PassedToService": "sagemaker.amazonaws.com"}
        ),
        AccessRequest("iam:PassRole", ROLE),
        AccessRequest("sagemaker:AddTags", GROUP),
        AccessRequest("sagemaker:DeleteModelPackage", VERSION),
        AccessRequest(
            "sagemaker:DeleteModelPackageGroup", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package-group/a"
        ),
        AccessRequest("sagemaker:DeleteEndpoint", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/a"),
        AccessRequest("sagemaker:CreateTrainingJob", f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:training-job/a"),
        AccessRequest("sagemaker:DescribeModelPackage", f"arn:aws:sagemaker:{REGION}:999999999999:model-package/a/1"),
        AccessRequest("s3:GetObject", "arn:aws:s3:::another-bucket/key"),
        AccessRequest("s3:DeleteObject", f"arn:aws:s3:::{BUCKET}/key"),
        AccessRequest("logs:GetLogEvents", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/x:log-stream:y"),
    ],
    ids=lambda ask: f"{ask.action} {ask.resource.rpartition(':')[2]} {len(ask.context)}",
)
def test_what_nobody_here_needs_is_not_allowed(ask: AccessRequest) -> None:
    assert [name for name in ("dag-role", "job-role", "approver") if allows(policy(name), ask)] == []


def test_a_prefix_in_s3_keeps_environments_apart() -> None:
    """`prefix` is what environments set that share a bucket."""
    bucket = f"arn:aws:s3:::{BUCKET}"
    for role in ("dag-role", "job-role"):
        for action in ("s3:GetObject", "s3:PutObject"):
            ours, theirs = (f"{bucket}/{place}/demo_model/raw/period=2013-11/x.csv" for place in ("dev", "prod"))
            assert allows(policy(role, prefix="dev"), AccessRequest(action, ours))
            assert not allows(policy(role, prefix="dev"), AccessRequest(action, theirs))
    for place, allowed in (("dev", True), ("prod", False)):
        report = f"{bucket}/{place}/demo_model/runs/2013-11/0a1b2c3d/report/report.html"
        assert allows(policy("approver", prefix="dev"), AccessRequest("s3:GetObject", report)) is allowed


def test_prefixes_keep_models_apart() -> None:
    """MODEL_PREFIX is what an account with several projects sets."""
    text = (FOLDER / "dag-role.json").read_text()
    sagemaker = [line.strip().strip('",') for line in text.splitlines() if "arn:aws:sagemaker" in line]
    assert sagemaker
    assert [arn for arn in sagemaker if "MODEL_PREFIX*" not in arn] == []


def methods() -> dict[str, str]:
    """boto3's methods of the services the package uses: `{"create_model": "sagemaker:CreateModel"}`."""
    session = botocore.session.get_session()
    services = {"sagemaker": "sagemaker", "sagemaker-runtime": "sagemaker", "s3": "s3", "logs": "logs"}
    services |= {"cloudwatch": "cloudwatch", "application-autoscaling": "application-autoscaling"}
    found = {
        xform_name(operation): f"{prefix}:{operation}"
        for service, prefix in services.items()
        for operation in session.get_service_model(service).operation_names
    }
    found |= {"list_objects_v2": "s3:ListBucket", "head_bucket": "s3:ListBucket", "upload_fileobj": "s3:PutObject"}
    found |= {"head_object": "s3:GetObject", "check_for_key": "s3:GetObject"}
    return {name: action for name, action in found.items() if name not in vars(RetrainingHook)}


def called(tree: ast.AST, known: dict[str, str]) -> Iterator[str]:
    """Methods that are called, or named in a string, as `get_paginator` wants it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "_" in node.value:
            name: str | None = node.value
        elif isinstance(node, ast.Attribute) and not is_pattern(node.value):
            name = node.attr
        else:
            continue
        if name in known:
            yield known[name]


def is_pattern(node: ast.expr) -> bool:
    """`re`, or a constant such as a compiled pattern: its `search` is not SageMaker's."""
    return isinstance(node, ast.Name) and (node.id == "re" or node.id.isupper())


def test_no_call_in_the_code_lacks_a_permission() -> None:
    """Whatever the code of the package can call, some statement of the DAG's role or the approver is about."""
    known = methods()
    files = [file for file in PACKAGE.rglob("*.py") if file.parent.name != "doctor"]  # run by a person, not by a DAG
    used = {action for file in files for action in called(ast.parse(file.read_text()), known)}
    used |= {known[kind.method(verb)] for kind in JOB_KINDS.values() for verb in ("create", "describe", "stop")}
    assert {"sagemaker:UpdateModelPackage", "sagemaker:InvokeEndpoint", "s3:PutObject", "logs:GetLogEvents"} <= used
    granted = {
        action
        for name in ("dag-role", "approver")
        for statement in policy(name)["Statement"]
        if statement["Effect"] == "Allow"
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert sorted(used - granted) == []


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_names_what_exists(name: str) -> None:
    """No wildcard among the actions, and every SageMaker action is an operation of its API."""
    session = botocore.session.get_session()
    operations = {
        f"sagemaker:{operation}"
        for service in ("sagemaker", "sagemaker-runtime")
        for operation in session.get_service_model(service).operation_names
    }
    document = json.loads((FOLDER / f"{name}.json").read_text())
    assert document["Version"] == "2012-10-17"
    for statement in document["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        assert [action for action in actions if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action)] == []
        assert [a for a in actions if a.startswith("sagemaker:") and a not in operations] == []
    assert len(re.sub(r"\s", "", (FOLDER / f"{name}.json").read_text())) <= 6144, "the limit of a managed policy"
