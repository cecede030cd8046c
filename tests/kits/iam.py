"""IAM for tests: the policies of `include/iam/`, what a boto3 call asks of them, and whether they allow it.

The evaluator is the local SageMaker's own: include/sagemaker_local/aws/overrides/policies.py.
Which resources and condition keys an action has:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiobotocore.client import AioBaseClient
from botocore.client import BaseClient

from include.sagemaker_local.aws.overrides.policies import ALLOWED, AccessRequest, evaluate
from sagemaker_retraining.config import EnvironmentConfig
from sagemaker_retraining.requests.policies import policies

FOLDER = Path(__file__).parents[2] / "include" / "iam"
ACCOUNT, REGION, BUCKET = "123456789012", "us-east-1", "test-bucket"
JOB_ROLE = "sagemaker-retraining-local"
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
ENVIRONMENT: dict[str, Any] = {
    "environment": "test",
    "region": REGION,
    "account": ACCOUNT,
    "bucket": BUCKET,
    "role_arn": f"arn:aws:iam::{ACCOUNT}:role/{JOB_ROLE}",
}
"""What the tests of policies are about, as in an environment's file."""


@dataclass(frozen=True)
class Call:
    """A recorded boto3 call: `("sagemaker", "CreateModel", {…})`; the service as IAM calls it."""

    service: str
    operation: str
    parameters: Mapping[str, Any]


def policy(name: str, **changes: Any) -> dict[str, Any]:
    """A policy of `include/iam/`, filled in for the tests' environment with these `changes`."""
    environment = EnvironmentConfig.model_validate({**ENVIRONMENT, **changes})
    return dict(policies(environment, root=FOLDER.parent)[name])


def allows(document: Mapping[str, Any], ask: AccessRequest) -> bool:
    """Some statement allows it and none denies it."""
    return evaluate([document], ask) == ALLOWED


# What a parameter names: (parameter, resource type). Calls without one are about `*`.
_SAGEMAKER = {
    "ProcessingJobName": "processing-job",
    "TrainingJobName": "training-job",
    "TransformJobName": "transform-job",
    "ModelPackageGroupName": "model-package-group",
    "ModelPackageName": "model-package",
    "ModelPackageArn": "model-package",
    "ModelName": "model",
    "EndpointConfigName": "endpoint-config",
    "EndpointName": "endpoint",
    "ResourceArn": "",
}
_S3_ACTIONS = {"HeadObject": ["GetObject"], "ListObjectsV2": ["ListBucket"], "HeadBucket": ["ListBucket"]}


def asks(call: Call) -> list[AccessRequest]:
    """What IAM is asked for one call."""
    if call.service == "s3":
        return list(_s3(call))
    if call.service == "logs":
        group = call.parameters["logGroupName"]
        stream = call.parameters.get("logStreamName")
        end = f":log-stream:{stream}" if stream else ""
        return [AccessRequest(f"logs:{call.operation}", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}{end}")]
    if call.service == "monitoring":
        return list(_cloudwatch(call))
    if call.service == "application-autoscaling":
        namespace = {"application-autoscaling:service-namespace": call.parameters["ServiceNamespace"]}
        return [AccessRequest(f"application-autoscaling:{call.operation}", "*", namespace)]
    return list(_sagemaker(call))


def _cloudwatch(call: Call) -> Iterator[AccessRequest]:
    """Only changes are about alarms by their names; looking is about all."""
    names = call.parameters.get("AlarmNames", []) if call.operation == "DeleteAlarms" else []
    names = [call.parameters["AlarmName"]] if call.operation == "PutMetricAlarm" else names
    for resource in [f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}" for name in names] or ["*"]:
        yield AccessRequest(f"cloudwatch:{call.operation}", resource)
        if call.parameters.get("Tags"):
            yield AccessRequest("cloudwatch:TagResource", resource)


def _s3(call: Call) -> Iterator[AccessRequest]:
    bucket = f"arn:aws:s3:::{call.parameters['Bucket']}"
    actions = _S3_ACTIONS.get(call.operation, [call.operation])
    if call.parameters.get("Tagging"):
        actions = [*actions, "PutObjectTagging"]
    resource = f"{bucket}/{call.parameters['Key']}" if "Key" in call.parameters else bucket
    for action in actions:
        yield AccessRequest(f"s3:{action}", resource)


def _sagemaker(call: Call) -> Iterator[AccessRequest]:
    parameters, context = call.parameters, _context(call.parameters)
    named = {} if call.operation.startswith("List") and "ResourceArn" not in parameters else dict(_SAGEMAKER)
    if "TransformJobName" in parameters:
        del named["ModelName"]  # what the job uses is none of its resources
    resources = [_arn(kind, parameters[key]) for key, kind in named.items() if key in parameters] or ["*"]
    if call.operation == "CreateModelPackage":
        resources.append(_arn("model-package", f"{parameters['ModelPackageGroupName']}/1"))
    for resource in resources:
        yield AccessRequest(f"sagemaker:{call.operation}", resource, context)
    if parameters.get("Tags"):
        yield AccessRequest("sagemaker:AddTags", resources[0], {"sagemaker:TaggingAction": call.operation})
    for role in sorted(
        set(re.findall(r"arn:aws[a-z-]*:iam::\d+:role/[\w+=,.@/-]+", json.dumps(parameters, default=str)))
    ):
        yield AccessRequest("iam:PassRole", role, {"iam:PassedToService": "sagemaker.amazonaws.com"})


def _context(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The condition keys of CreateModelPackage and UpdateModelPackage that are in the request."""
    life_cycle = parameters.get("ModelLifeCycle", {})
    keys = {
        "sagemaker:ModelApprovalStatus": parameters.get("ModelApprovalStatus"),
        "sagemaker:ModelLifeCycle:Stage": life_cycle.get("Stage"),
        "sagemaker:ModelLifeCycle:StageStatus": life_cycle.get("StageStatus"),
    }
    return {key: value for key, value in keys.items() if value is not None}


def _arn(kind: str, name: str) -> str:
    return name if name.startswith("arn:") else f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


@contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """The calls of every boto3 client that an Airflow hook made: those carry Airflow's mark in their user agent."""
    calls: list[Call] = []

    def recording(send: Callable[..., Any]) -> Callable[..., Any]:
        def record(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            if "Airflow/" in (client.meta.config.user_agent_extra or ""):
                calls.append(Call(client.meta.service_model.signing_name, operation, parameters))
            return send(client, operation, parameters)

        return record

    with (
        patch.object(BaseClient, "_make_api_call", recording(vars(BaseClient)["_make_api_call"])),
        patch.object(AioBaseClient, "_make_api_call", recording(AioBaseClient._make_api_call)),
    ):
        yield calls
