"""Registration and approval against the local SageMaker: twice is once, and no is no."""

from __future__ import annotations

import asyncio
import copy
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from botocore.exceptions import ClientError

from sagemaker_retraining.operators.deploy import DeployEndpointOperator
from sagemaker_retraining.operators.register import RegisterModelOperator
from sagemaker_retraining.operators.review import ReviewOperator
from sagemaker_retraining.registry import decide
from sagemaker_retraining.requests.decision import CLI, transitions
from sagemaker_retraining.sensors.approval import ModelApprovalSensor
from tests.conftest import LocalSageMaker
from tests.local.endpoint_kit import IMAGE, model_archive
from tests.local.serving_kit import StateStore

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
        decide(self.sagemaker, arn, status, by="jane", door=CLI, reason=reason, settle_seconds=0)

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
        return finished(operator)


def context(run_type: str = "manual") -> Any:
    """What the operators take of a task's context."""
    return {
        "dag_run": SimpleNamespace(run_type=run_type),
        "ti": SimpleNamespace(try_number=1, max_tries=2),
        "task_state_store": StateStore(),
    }


def deferred(operator: Any) -> TaskDeferred:
    """The deferral an operator begins with."""
    with pytest.raises(TaskDeferred) as raised:
        operator.execute(context())
    return raised.value


def resumed(operator: Any, deferral: TaskDeferred) -> Any:
    """The rest of an operator that deferred, playing the triggerer."""

    async def event() -> Any:
        async for fired in deferral.trigger.run():
            return fired.payload

    method = getattr(operator, deferral.method_name)
    return method(context(), event=asyncio.run(event()), **(deferral.kwargs or {}))


def finished(operator: Any) -> Any:
    """Run an operator to its end."""
    try:
        return operator.execute(context())
    except TaskDeferred as raised:
        return resumed(operator, raised)


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
    deferred(approval(arn))
    release.decide(arn, "Approved", "better on every metric")
    decision = finished(approval(arn))
    assert (decision["status"], decision["by"], decision["reason"]) == ("Approved", "jane", "better on every metric")
    assert decision["door"] == "cli"


def test_a_rejection_skips_what_follows_or_fails_by_choice(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    release.decide(arn, "Rejected", "too many false alarms")
    with pytest.raises(AirflowSkipException, match=r"Rejected by jane from cli at .*: too many false alarms"):
        finished(approval(arn))
    with pytest.raises(AirflowFailException, match=r"Rejected by jane from cli at .*: too many false alarms"):
        finished(approval(arn, on_rejected="fail"))


def test_a_decision_from_outside_is_written_into_the_history(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    waiting = approval(arn)
    deferral = deferred(waiting)
    release.sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="seen in Studio"
    )
    decision = resumed(waiting, deferral)
    user = "arn:aws:iam::123456789012:user/test"
    assert (decision["by"], decision["door"], decision["reason"]) == (user, "registry", "seen in Studio")
    package = release.describe(arn)
    [line] = transitions(package)
    assert (line.to_status, line.by, line.door, line.reason) == ("Approved", user, "registry", "seen in Studio")
    assert (package["ModelApprovalStatus"], package["ApprovalDescription"]) == ("Approved", "seen in Studio")
    finished(approval(arn))
    assert len(transitions(release.describe(arn))) == 1


def test_an_older_month_is_for_the_record_only(release: Release) -> None:
    newer = release.register("job-1", period="2013-11")["model_package_arn"]
    release.decide(newer, "Approved", "")
    older = release.register("job-2", period="2013-06")["model_package_arn"]
    with pytest.raises(AirflowSkipException, match="is about an older month than 2013-11"):
        approval(older).execute(context())
    deferred(approval(older, replace_newer=True))
    # Neither does an approval help that nobody should have given.
    release.decide(older, "Approved", "by mistake")
    with pytest.raises(AirflowSkipException, match="is Approved; version 2 of 2013-06 is about an older month"):
        approval(older).execute(context())


def test_a_backfill_never_waits(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    with pytest.raises(AirflowSkipException, match="comes from a backfill: kept for the record"):
        approval(arn).execute(context("backfill"))
    assert release.describe(arn)["ModelApprovalStatus"] == "PendingManualApproval"


def test_a_newer_approved_version_supersedes_one_that_waits(release: Release) -> None:
    older = release.register("job-1", period="2013-10")["model_package_arn"]
    newer = release.register("job-2", period="2013-11")["model_package_arn"]
    waiting = approval(older)
    deferral = deferred(waiting)
    release.decide(newer, "Approved", "")
    with pytest.raises(AirflowSkipException, match=r"older month than 2013-11"):
        resumed(waiting, deferral)
    again = release.register("job-3", period="2013-11")["model_package_arn"]
    release.register("job-4", period="2013-11")
    waiting = approval(again)
    deferral = deferred(waiting)
    release.decide(again.replace("/3", "/4"), "Approved", "")
    with pytest.raises(AirflowSkipException, match=r"version 3 of 2013-11 is superseded: version 4 of 2013-11"):
        resumed(waiting, deferral)


def test_the_deadline_never_approves(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    with pytest.raises(AirflowFailException, match="no decision in 0 h; it stays pending and is not deployed"):
        finished(approval(arn, timeout_seconds=0))
    with pytest.raises(AirflowSkipException, match="it stays pending, what follows is skipped"):
        finished(approval(arn, timeout_seconds=0, on_timeout="expire"))
    assert release.describe(arn)["ModelApprovalStatus"] == "PendingManualApproval"
    with pytest.raises(AirflowSkipException, match=r"Rejected by deadline from deadline at .*: no decision in 0 h"):
        finished(approval(arn, timeout_seconds=0, on_timeout="reject"))
    assert release.describe(arn)["ModelApprovalStatus"] == "Rejected"
    assert [line.door for line in transitions(release.describe(arn))] == ["deadline"]


def test_the_deadline_counts_from_the_registration(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    waiting = approval(arn, timeout_seconds=1.5)
    trigger = deferred(waiting).trigger
    created = release.describe(arn)["CreationTime"].timestamp()
    assert (trigger.since, trigger.deadline) == (created, created + 1.5)
    with pytest.raises(AirflowFailException, match="no decision"):
        finished(waiting)


def test_a_version_that_is_deleted_while_it_waits(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    waiting = approval(arn)
    deferral = deferred(waiting)
    release.sagemaker.delete_model_package(ModelPackageName=arn)
    with pytest.raises(ClientError, match="does not exist"):
        resumed(waiting, deferral)
    with pytest.raises(AirflowFailException, match="has been deleted"):
        approval(arn).execute(context())


def test_only_what_is_approved_is_deployed(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    with pytest.raises(AirflowFailException, match=r"is PendingManualApproval .*only an Approved version goes to production"):
        release.deploy(arn)
    release.decide(arn, "Rejected", "no")
    with pytest.raises(AirflowFailException, match="is Rejected by jane from cli"):
        release.deploy(arn)
    assert not release.sagemaker.list_endpoints(NameContains=release.name)["Endpoints"]
    assert not release.sagemaker.list_endpoint_configs(NameContains=release.name)["EndpointConfigs"]


def review(arn: str) -> ReviewOperator:
    return ReviewOperator(
        task_id="review",
        model_package_arn=arn,
        gate=GATE,
        evaluation={"outputs": {"report": "s3://bucket/report/"}},
        timeout_seconds=60,
        aws_conn_id="aws_default",
    )


def test_nobody_is_asked_when_there_is_nothing_to_decide(release: Release) -> None:
    arn = release.register("job-1", period="2013-11")["model_package_arn"]
    older = release.register("job-2", period="2013-06")["model_package_arn"]
    with pytest.raises(AirflowSkipException, match="Nothing to decide: version 1 of 2013-11 comes from a backfill"):
        review(arn).execute(context("backfill"))
    release.decide(arn, "Approved", "better")
    with pytest.raises(AirflowSkipException, match="is Approved by jane from cli at"):
        review(arn).execute(context())
    with pytest.raises(AirflowSkipException, match="is about an older month than 2013-11"):
        review(older).execute(context())


def test_an_answer_that_comes_second_changes_nothing(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    release.decide(arn, "Approved", "better")
    with pytest.raises(
        AirflowSkipException, match=r"Somebody else was first: .* is Approved by jane .* changes nothing"
    ):
        review(arn).decide("Rejected", "joe", "no")
    assert release.describe(arn)["ModelApprovalStatus"] == "Approved"


def test_no_answer_in_time_is_no_failure(release: Release) -> None:
    operator = review(release.register("job-1")["model_package_arn"])
    with pytest.raises(AirflowSkipException, match="before the deadline"):
        operator.execute_complete(context(), {"error": "no response", "error_type": "timeout"})
