"""Registration and approval against the local SageMaker: twice is once, and no is no."""

from __future__ import annotations

import asyncio
import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from airflow.exceptions import AirflowException
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.operators.deploy import DeployEndpointOperator
from sagemaker_retraining.operators.plan import find_champion
from sagemaker_retraining.operators.register import RegisterModelOperator
from sagemaker_retraining.operators.review import ReviewOperator
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan import Champion
from sagemaker_retraining.registry import decide
from sagemaker_retraining.requests.decision import CLI, transitions
from sagemaker_retraining.sensors.approval import ModelApprovalSensor
from tests.conftest import LocalSageMaker
from tests.local.endpoint_kit import IMAGE, model_archive
from tests.local.serving_kit import StateStore

pytestmark = pytest.mark.usefixtures("aws_connection")
GATE = {"passed": True, "reason": "all met", "metric": "auc", "challenger": {"auc": 0.7}, "champion": None}
RAW = {"fingerprint": "ab" * 32, "months": ["2013-01", "2013-02"]}
TAGS = [{"Key": "project", "Value": "demo"}, {"Key": "model", "Value": "tiny"}]


class Release:
    """Registers, approves and deploys versions of the tiny model in a group and endpoint of one test."""

    def __init__(self, server: LocalSageMaker, name: str) -> None:
        self.server = server
        self.name = name
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
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))
    return Release(sagemaker_local, name[:40].strip("-"))


def approval(arn: str, **kwargs: Any) -> ModelApprovalSensor:
    arguments = {"poll_seconds": 0.1, "timeout_seconds": 60, **kwargs}
    return ModelApprovalSensor(task_id="approval", model_package_arn=arn, **arguments)


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


@pytest.mark.usefixtures("as_dag_role")
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


def test_the_champion_is_the_newest_approved_that_has_not_seen_the_month(release: Release) -> None:
    arns = {}
    for number, period in enumerate(("2013-06", "2013-09", "2013-11"), start=1):
        arns[period] = release.register(f"job-{number}", period=period)["model_package_arn"]
        release.decide(arns[period], "Approved", "")
    hook = RetrainingHook(aws_conn_id="aws_default")
    assert find_champion(hook, release.name, Period.parse("2013-05")) is None
    found = find_champion(hook, release.name, Period.parse("2013-10"))
    assert found == Champion(arns["2013-09"], release.uri("job-2/model.tar.gz"), 2)
    bucket, key = release.uri("job-2/model.tar.gz").removeprefix("s3://").split("/", 1)
    release.server.client("s3").delete_object(Bucket=bucket, Key=key)
    assert find_champion(hook, release.name, Period.parse("2013-10")) == Champion(arns["2013-09"], None, 2)


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
    with pytest.raises(AirflowFailException, match=r"is PendingManualApproval: .*only an Approved version"):
        release.deploy(arn)
    release.decide(arn, "Rejected", "no")
    with pytest.raises(AirflowFailException, match="is Rejected by jane from cli"):
        release.deploy(arn)
    assert not release.sagemaker.list_endpoints(NameContains=release.name)["Endpoints"]
    assert not release.sagemaker.list_endpoint_configs(NameContains=release.name)["EndpointConfigs"]


def lose_answers(server: LocalSageMaker, *operations: str) -> None:
    """The next call of each operation is carried out and gets no answer."""
    switch(server, "faults", {"lose_answer": [{"operation": operation, "times": 1} for operation in operations]})


def switch(server: LocalSageMaker, name: str, settings: dict[str, Any]) -> None:
    """Set one of the local SageMaker's switches."""
    httpx.put(f"{server.url}/_local/{name}", json=settings, trust_env=False).raise_for_status()


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
