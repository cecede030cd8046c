"""Approval, review, and what they let through: no is no."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from botocore.exceptions import ClientError

from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.operators.review import ReviewOperator
from sagemaker_retraining.period import Period
from sagemaker_retraining.plan import Champion
from sagemaker_retraining.requests.approval import status_changes
from sagemaker_retraining.sensors.approval import ModelApprovalSensor
from sagemaker_retraining.tasks.plan import find_champion
from tests.conftest import LocalSageMaker
from tests.kits.registry_kit import GATE, Release, context
from tests.kits.serving_kit import finished, resumed

pytestmark = pytest.mark.usefixtures("aws_connection")


@pytest.fixture
def release(sagemaker_local: LocalSageMaker, request: pytest.FixtureRequest) -> Release:
    return Release(sagemaker_local, request.node.name)


def approval(arn: str, **kwargs: Any) -> ModelApprovalSensor:
    arguments = {"poll_seconds": 0.1, "timeout_seconds": 60, **kwargs}
    return ModelApprovalSensor(task_id="approval", model_package_arn=arn, **arguments)


def deferred(operator: Any) -> TaskDeferred:
    """The deferral an operator begins with."""
    with pytest.raises(TaskDeferred) as raised:
        operator.execute(context())
    return raised.value


def review(arn: str) -> ReviewOperator:
    return ReviewOperator(
        task_id="review",
        model_package_arn=arn,
        gate=GATE,
        evaluation={"outputs": {"report": "s3://bucket/report/"}},
        timeout_seconds=60,
        aws_conn_id="aws_default",
    )


@pytest.mark.usefixtures("as_dag_role")
def test_approved_goes_on_with_name_and_reason(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    deferred(approval(arn))
    release.decide(arn, "Approved", "better on every metric")
    decision = finished(approval(arn), context())
    assert (decision["status"], decision["by"], decision["reason"]) == ("Approved", "jane", "better on every metric")
    assert decision["channel"] == "cli"


def test_a_rejection_skips_what_follows_or_fails_by_choice(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    release.decide(arn, "Rejected", "too many false alarms")
    with pytest.raises(AirflowSkipException, match=r"Rejected by jane from cli at .*: too many false alarms"):
        finished(approval(arn), context())
    with pytest.raises(AirflowFailException, match=r"Rejected by jane from cli at .*: too many false alarms"):
        finished(approval(arn, on_rejected="fail"), context())


def test_a_decision_from_outside_is_written_into_the_history(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    waiting = approval(arn)
    deferral = deferred(waiting)
    release.sagemaker.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="seen in Studio"
    )
    decision = resumed(waiting, deferral, context())
    user = "arn:aws:iam::123456789012:user/test"
    assert (decision["by"], decision["channel"], decision["reason"]) == (user, "registry", "seen in Studio")
    package = release.describe(arn)
    [line] = status_changes(package)
    assert (line.to_status, line.by, line.channel, line.reason) == ("Approved", user, "registry", "seen in Studio")
    assert (package["ModelApprovalStatus"], package["ApprovalDescription"]) == ("Approved", "seen in Studio")
    finished(approval(arn), context())
    assert len(status_changes(release.describe(arn))) == 1


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
        resumed(waiting, deferral, context())
    again = release.register("job-3", period="2013-11")["model_package_arn"]
    release.register("job-4", period="2013-11")
    waiting = approval(again)
    deferral = deferred(waiting)
    release.decide(again.replace("/3", "/4"), "Approved", "")
    with pytest.raises(AirflowSkipException, match=r"version 3 of 2013-11 is superseded: version 4 of 2013-11"):
        resumed(waiting, deferral, context())


def test_the_deadline_never_approves(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    with pytest.raises(AirflowFailException, match="no decision in 0 h; it stays pending and is not deployed"):
        finished(approval(arn, timeout_seconds=0), context())
    with pytest.raises(AirflowSkipException, match="it stays pending, what follows is skipped"):
        finished(approval(arn, timeout_seconds=0, on_timeout="expire"), context())
    assert release.describe(arn)["ModelApprovalStatus"] == "PendingManualApproval"
    with pytest.raises(AirflowSkipException, match=r"Rejected by deadline from deadline at .*: no decision in 0 h"):
        finished(approval(arn, timeout_seconds=0, on_timeout="reject"), context())
    assert release.describe(arn)["ModelApprovalStatus"] == "Rejected"
    assert [line.channel for line in status_changes(release.describe(arn))] == ["deadline"]


def test_the_deadline_counts_from_the_registration(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    waiting = approval(arn, timeout_seconds=1.5)
    trigger = deferred(waiting).trigger
    created = release.describe(arn)["CreationTime"].timestamp()
    assert (trigger.since, trigger.deadline) == (created, created + 1.5)
    with pytest.raises(AirflowFailException, match="no decision"):
        finished(waiting, context())


def test_a_version_that_is_deleted_while_it_waits(release: Release) -> None:
    arn = release.register("job-1")["model_package_arn"]
    waiting = approval(arn)
    deferral = deferred(waiting)
    release.sagemaker.delete_model_package(ModelPackageName=arn)
    with pytest.raises(ClientError, match="does not exist"):
        resumed(waiting, deferral, context())
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
