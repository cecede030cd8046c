"""Registration, approval and deployment against the local SageMaker: twice is once, and no is no."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import httpx
import pytest
from airflow.exceptions import AirflowException
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from sagemaker_retraining.operators.deploy import DeployEndpointOperator
from sagemaker_retraining.operators.register import RegisterModelOperator
from sagemaker_retraining.operators.verify import VerifyEndpointOperator
from sagemaker_retraining.sensors.approval import ModelApprovalSensor
from tests.conftest import LocalSageMaker
from tests.local.endpoint_kit import IMAGE, model_archive

pytestmark = pytest.mark.usefixtures("aws_connection")
GATE = {"passed": True, "reason": "", "challenger": {"auc": 0.7}, "champion": None}
EVALUATION = {"outputs": {"evaluation": "s3://bucket/evaluation-g1/"}}
RAW = {"fingerprint": "ab" * 32, "months": ["2013-01", "2013-02"]}


class Release:
    """Registers, approves and deploys versions of the tiny model in a group and endpoint of one test."""

    def __init__(self, server: LocalSageMaker, name: str) -> None:
        self.server = server
        self.name = name
        self.sagemaker = server.client("sagemaker")

    def register(self, job: str, period: str = "2013-02", **model: Any) -> dict[str, Any]:
        key = f"release/{self.name}/{job}/model.tar.gz"
        body = model_archive(**{"factor": 2, **model})
        self.server.client("s3").put_object(Bucket=self.server.bucket, Key=key, Body=body)
        container = {
            "Image": IMAGE,
            "ModelDataUrl": "s3://replaced/by-the-training-job",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py", "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"},
        }
        package = {
            "ModelPackageGroupName": self.name,
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["text/csv"],
                "SupportedResponseMIMETypes": ["text/csv"],
            },
            "ModelMetrics": {
                "ModelQuality": {
                    "Statistics": {"ContentType": "application/json", "S3Uri": "s3://replaced/by-evaluate"}
                }
            },
            "CustomerMetadataProperties": {"period": period},
            "MetadataProperties": {"CommitId": "abc"},
            "ModelApprovalStatus": "PendingManualApproval",
            "ClientToken": "replaced",
        }
        training = {
            "name": job,
            "arn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{job}",
            "model_artifact": f"s3://{self.server.bucket}/{key}",
            "training_seconds": 10,
            "billable_seconds": 3,
        }
        config = {"group": {"ModelPackageGroupName": self.name}, "package": package}
        operator = RegisterModelOperator(
            task_id="register", config=config, training=training, gate=GATE, raw_data=RAW, evaluation=EVALUATION
        )
        return operator.execute({})

    def decide(self, arn: str, status: str, reason: str) -> None:
        self.sagemaker.update_model_package(
            ModelPackageArn=arn,
            ModelApprovalStatus=status,
            ApprovalDescription=reason,
            CustomerMetadataProperties={"decided_by": "jane"},
        )

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
        return finished(operator)


def finished(operator: Any) -> Any:
    """Run an operator to its end, playing the triggerer when it defers."""
    try:
        return operator.execute({})
    except TaskDeferred as raised:
        deferred = raised

    async def event() -> Any:
        async for fired in deferred.trigger.run():
            return fired.payload

    method = getattr(operator, deferred.method_name)
    return method({}, event=asyncio.run(event()), **(deferred.kwargs or {}))


@pytest.fixture
def release(sagemaker_local: LocalSageMaker, request: pytest.FixtureRequest) -> Release:
    return Release(sagemaker_local, request.node.name.replace("test_", "").replace("_", "-")[:40].strip("-"))


def approval(arn: str, **kwargs: Any) -> ModelApprovalSensor:
    arguments = {"poll_seconds": 0.1, "timeout_seconds": 60, **kwargs}
    return ModelApprovalSensor(task_id="approval", model_package_arn=arn, **arguments)


def test_registering_twice_gives_one_version(release: Release) -> None:
    first, second = release.register("job-1"), release.register("job-1")
    assert first == second
    assert release.register("job-2")["version"] == first["version"] + 1
    package = release.sagemaker.describe_model_package(ModelPackageName=first["model_package_arn"])
    assert package["ModelApprovalStatus"] == "PendingManualApproval"
    assert package["CustomerMetadataProperties"]["metric.auc"] == "0.7"
    assert package["CustomerMetadataProperties"]["training_job"] == "job-1"
    assert package["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"] == "s3://bucket/evaluation-g1/evaluation.json"


def test_approved_goes_on_with_name_and_reason(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    with pytest.raises(TaskDeferred):
        approval(arn).execute({})
    release.decide(arn, "Approved", "better on every metric")
    decision = finished(approval(arn))
    assert (decision["status"], decision["by"], decision["reason"]) == ("Approved", "jane", "better on every metric")


def test_rejected_skips_what_follows(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    release.decide(arn, "Rejected", "too many false alarms")
    with pytest.raises(AirflowSkipException, match="Rejected by jane: too many false alarms"):
        finished(approval(arn))


def test_an_older_month_is_for_the_record_only(release: Release) -> None:
    newer = release.register("job-1", period="2013-11")["model_package_arn"]
    release.decide(newer, "Approved", "")
    older = release.register("job-2", period="2013-06")["model_package_arn"]
    with pytest.raises(AirflowSkipException, match="is of 2013-06, 2013-11 is approved already"):
        approval(older).execute({})
    with pytest.raises(TaskDeferred):
        approval(older, replace_newer=True).execute({})


def test_no_decision_is_not_an_approval(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    with pytest.raises(AirflowFailException, match="not approved"):
        finished(approval(arn, timeout_seconds=-1))


def test_deploy_creates_updates_and_does_nothing_twice(release: Release) -> None:
    first = release.register("job-1", factor=2)["model_package_arn"]
    second = release.register("job-2", factor=3)["model_package_arn"]
    for arn in (first, second):
        release.decide(arn, "Approved", "")
    created, again, updated = release.deploy(first), release.deploy(first), release.deploy(second)
    assert created["status"] == "InService"
    assert created["previous_endpoint_config"] is None
    assert again["endpoint_config"] == created["endpoint_config"]
    assert updated["previous_endpoint_config"] == created["endpoint_config"]
    runtime = release.server.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(EndpointName=release.name, ContentType="text/csv", Accept="text/csv", Body="2")
    assert answer["Body"].read() == b"6.0"


def test_a_version_that_does_not_load_leaves_the_old_one_serving(release: Release) -> None:
    good = release.register("job-1", factor=2)["model_package_arn"]
    broken = release.register("job-2", broken=True)["model_package_arn"]
    for arn in (good, broken):
        release.decide(arn, "Approved", "")
    before = release.deploy(good)
    with pytest.raises(AirflowException, match="did not pass the ping health check"):
        release.deploy(broken)
    endpoint = release.sagemaker.describe_endpoint(EndpointName=release.name)
    assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", before["endpoint_config"])


def test_verify_shows_the_rows_that_differ(release: Release) -> None:
    arn = release.register("job-1", factor=2)["model_package_arn"]
    release.decide(arn, "Approved", "")
    release.deploy(arn)
    rows = [
        '{"content_type": "text/csv", "body": "2", "prediction": 4.0}',
        '{"content_type": "text/csv", "body": "3", "prediction": 6.5}',
    ]

    def verify(lines: list[str]) -> dict[str, Any]:
        key = f"release/{release.name}/sample.jsonl"
        body = "\n".join(lines).encode()
        release.server.client("s3").put_object(Bucket=release.server.bucket, Key=key, Body=body)
        evaluation = {"outputs": {"evaluation": f"s3://{release.server.bucket}/release/{release.name}/"}}
        config = {"endpoint": release.name, "tolerance": 1e-6}
        return VerifyEndpointOperator(task_id="verify", config=config, evaluation=evaluation).execute({})

    assert verify(rows[:1])["max_difference"] == 0
    with pytest.raises(AirflowFailException, match=r"1 of 2 answers .*3: offline 6.5, endpoint 6.0"):
        verify(rows)
    with pytest.raises(AirflowFailException, match="sample is empty"):
        verify([])


def test_a_change_whose_answer_is_lost_is_not_made_twice(release: Release) -> None:
    first = release.register("job-1")["model_package_arn"]
    release.decide(first, "Approved", "good")
    lose_answers(release.server, "CreateModel", "CreateEndpointConfig", "CreateEndpoint")
    created = release.deploy(first)
    assert created["status"] == "InService"
    second = release.register("job-2", factor=3)["model_package_arn"]
    release.decide(second, "Approved", "better")
    lose_answers(release.server, "UpdateEndpoint")
    updated = release.deploy(second)
    assert updated["status"] == "InService"
    assert updated["previous_endpoint_config"] == created["endpoint_config"] != updated["endpoint_config"]
    configs = release.sagemaker.list_endpoint_configs(NameContains=release.name)["EndpointConfigs"]
    assert len(configs) == 2


def lose_answers(server: LocalSageMaker, *operations: str) -> None:
    """The next call of each operation is carried out and gets no answer."""
    lost = [{"operation": operation, "times": 1} for operation in operations]
    httpx.put(f"{server.url}/_local/faults", json={"lose_answer": lost}, trust_env=False).raise_for_status()
