"""Versions of a tiny model in a group of one test, and the tasks around them."""

from __future__ import annotations

import copy
import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx

from sagemaker_retraining.operators.deploy import DeployEndpointOperator
from sagemaker_retraining.operators.register import RegisterModelOperator
from sagemaker_retraining.registry import decide_version
from sagemaker_retraining.requests.approval import CLI
from tests.conftest import LocalSageMaker
from tests.kits.endpoint_kit import IMAGE, model_archive
from tests.kits.serving_kit import StateStore, finished

GATE = {"passed": True, "reason": "all met", "metric": "auc", "challenger": {"auc": 0.7}, "champion": None}
RAW = {"fingerprint": "ab" * 32, "months": ["2013-01", "2013-02"]}
TAGS = [{"Key": "project", "Value": "demo"}, {"Key": "model", "Value": "tiny"}]


class Release:
    """Registers, approves and deploys versions of the tiny model in a group and endpoint of one test."""

    def __init__(self, server: LocalSageMaker, test: str) -> None:
        self.server = server
        self.name = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_"))[:40].strip("-")
        self.sagemaker = server.client("sagemaker")
        self.began = datetime.now(UTC).isoformat()

    def register(self, job: str, period: str = "2013-02", **model: Any) -> dict[str, Any]:
        key = f"release/{self.name}/{job}/model.tar.gz"
        self.put(key, model_archive(**{"factor": 2, **model}))
        self.put(f"release/{self.name}/evaluation/evaluation.json", b"{}")
        return self.operator(job, period).execute({})

    def put(self, key: str, body: bytes) -> None:
        self.server.client("s3").put_object(Bucket=self.server.bucket, Key=key, Body=body)

    def uri(self, path: str) -> str:
        return f"s3://{self.server.bucket}/release/{self.name}/{path}"

    def operator(self, job: str, period: str = "2013-02", **changes: Any) -> RegisterModelOperator:
        """The registration of a job's artefact; `changes` replace arguments of the operator."""
        arguments = {
            "config": {"group": {"ModelPackageGroupName": self.name, "Tags": TAGS}, "package": self.package(period)},
            "training": {
                "name": job,
                "arn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{job}",
                "model_artifact": self.uri(f"{job}/model.tar.gz"),
                "training_seconds": 10,
                "billable_seconds": 3,
                "ended_at": self.began,
            },
            "gate": GATE,
            "raw_data": RAW,
            "evaluation": {
                "arn": "arn:aws:sagemaker:us-east-1:123456789012:processing-job/evaluate",
                "outputs": {"evaluation": self.uri("evaluation/"), "report": self.uri("report/")},
            },
            "preprocess": {"outputs": {"test": self.uri("test/"), "baseline": self.uri("baseline/")}},
            **changes,
        }
        return RegisterModelOperator(task_id="register", **arguments)

    def package(self, period: str) -> dict[str, Any]:
        """As the plan has it."""
        container = {
            "Image": IMAGE,
            "ModelDataUrl": "s3://replaced/by-the-training-job",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
        }
        content = {
            "model_overview": {},
            "training_details": {"training_job_details": {}},
            "evaluation_details": [{"name": "tiny"}],
            "additional_information": {"custom_details": {}},
        }
        return {
            "ModelPackageGroupName": self.name,
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
            "ModelCard": {"ModelCardStatus": "PendingReview", "ModelCardContent": json.dumps(content)},
            "ModelLifeCycle": {"Stage": "test", "StageStatus": "PendingApproval"},
            "CustomerMetadataProperties": {"period": period, "run_id": f"run of {period}"},
            "MetadataProperties": {"CommitId": "abc"},
            "ModelApprovalStatus": "PendingManualApproval",
        }

    def versions(self) -> list[dict[str, Any]]:
        """All versions of the group, described, newest first."""
        listed = self.sagemaker.list_model_packages(ModelPackageGroupName=self.name)["ModelPackageSummaryList"]
        return [self.sagemaker.describe_model_package(ModelPackageName=one["ModelPackageArn"]) for one in listed]

    def decide(self, arn: str, status: str, reason: str) -> None:
        decide_version(self.sagemaker, arn, status, by="jane", channel=CLI, reason=reason, settle_seconds=0)

    def describe(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sagemaker.describe_model_package(ModelPackageName=arn)
        return found

    def deploy(self, arn: str) -> dict[str, Any]:
        variant = {
            "VariantName": "AllTraffic",
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            "InitialVariantWeight": 1.0,
        }
        config = {
            "model": {"ExecutionRoleArn": self.server.role_arn},
            "endpoint_config": {"ProductionVariants": [variant]},
            "endpoint": {"EndpointName": self.name},
        }
        operator = DeployEndpointOperator(
            task_id="deploy", config=copy.deepcopy(config), model_package_arn=arn, poll_seconds=0.1
        )
        result: dict[str, Any] = finished(operator, context())
        return result


def context(run_type: str = "manual") -> Any:
    """What the operators take of a task's context."""
    return {
        "dag_run": SimpleNamespace(run_type=run_type),
        "ti": SimpleNamespace(try_number=1, max_tries=2),
        "task_state_store": StateStore(),
    }


def lose_answers(server: LocalSageMaker, *operations: str) -> None:
    """The next call of each operation is carried out and gets no answer."""
    switch(server, "faults", {"lose_answer": [{"operation": operation, "times": 1} for operation in operations]})


def switch(server: LocalSageMaker, name: str, settings: dict[str, Any]) -> None:
    """Set one of the local SageMaker's switches."""
    httpx.put(f"{server.url}/_local/{name}", json=settings, trust_env=False).raise_for_status()
