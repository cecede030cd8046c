"""What the end of a job means. The texts are SageMaker's."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sagemaker_retraining.outcomes import (
    JobError,
    JobStopped,
    Outcome,
    SpotTimeout,
    classify,
    is_beyond_quota,
    outcome_of,
    passing_outcome,
    processing_result,
    raise_for_outcome,
    rejection,
    savings_percent,
    training_result,
)

ARN = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/x"
QUOTA = (
    "The account-level service limit 'ml.m5.large for spot training job usage' is {limit} Instances, with current "
    "utilization of 0 Instances and a request delta of 1 Instances. Please use AWS Service Quotas to request an "
    "increase for this quota. If AWS Service Quotas is not available, contact AWS support to request an increase for "
    "this quota."
)
START, END = datetime(2026, 11, 1, 6, 0, tzinfo=UTC), datetime(2026, 11, 1, 6, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "secondary", "reason", "outcome"),
    [
        ("InProgress", "Training", None, Outcome.RUNNING),
        ("InProgress", "Interrupted", None, Outcome.RUNNING),
        ("Stopping", "Stopping", None, Outcome.RUNNING),
        ("Completed", "Completed", None, Outcome.COMPLETED),
        ("Stopped", "MaxWaitTimeExceeded", None, Outcome.SPOT_TIMEOUT),
        ("Stopped", "MaxRuntimeExceeded", None, Outcome.RUNTIME_LIMIT),
        ("Stopped", "Stopped", None, Outcome.STOPPED),
        ("Stopped", None, None, Outcome.STOPPED),
        (
            "Failed",
            "Failed",
            "AlgorithmError: See job logs for more information, exit code: 7",
            Outcome.ALGORITHM_ERROR,
        ),
        ("Failed", "Failed", "AlgorithmError: , exit code: 1", Outcome.ALGORITHM_ERROR),
        # A script may say anything; it is still the script's failure.
        (
            "Failed",
            "Failed",
            "AlgorithmError: botocore ClientError: Rate exceeded, exit code: 1",
            Outcome.ALGORITHM_ERROR,
        ),
        ("Failed", "Failed", "ClientError: Failed to download data. No S3 objects found", Outcome.CLIENT_ERROR),
        ("Failed", "Failed", "ClientError: Please use an instance type with more memory", Outcome.CLIENT_ERROR),
        ("Failed", "Failed", "ClientError: Rate exceeded", Outcome.THROTTLED),
        ("Failed", "Failed", "ThrottlingException: Rate exceeded", Outcome.THROTTLED),
        ("Failed", "Failed", "CapacityError: Unable to provision requested ML compute capacity.", Outcome.CAPACITY),
        ("Failed", "Failed", f"CapacityError: {QUOTA.format(limit=0)}", Outcome.QUOTA),
        # S3 was not reached: goes away by itself (aws-samples/sagemaker-run-notebook#32).
        (
            "Failed",
            "Failed",
            "ClientError: Failed to download data. ListObjectsV2 failed for s3://b/k nextToken:[null]: Unable to "
            "execute request to S3",
            Outcome.SERVICE_FAULT,
        ),
        (
            "Failed",
            "Failed",
            "AlgorithmError: ExecuteUserScriptError: Unable to execute request to S3, exit code: 1",
            Outcome.ALGORITHM_ERROR,
        ),
        (
            "Failed",
            "Failed",
            "InternalServerError: We encountered an internal error.  Please try again.",
            Outcome.SERVICE_FAULT,
        ),
        ("Failed", "MaxRuntimeExceeded", None, Outcome.RUNTIME_LIMIT),
        ("Failed", "Failed", None, Outcome.SERVICE_FAULT),
    ],
)
@pytest.mark.aws_fact("failure-download-network")
@pytest.mark.aws_fact("failure-internal")
@pytest.mark.aws_fact("failure-capacity-job")
def test_classify(status: str, secondary: str | None, reason: str | None, outcome: Outcome) -> None:
    assert classify(status, secondary, reason) is outcome


def test_a_status_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="unknown job status 'Done'"):
        classify("Done")


def test_a_processing_job_that_ran_as_long_as_it_may() -> None:
    job = {"ProcessingJobStatus": "Stopped", "ProcessingStartTime": START, "ProcessingEndTime": END}
    assert outcome_of({**job, "StoppingCondition": {"MaxRuntimeInSeconds": 120}}) is Outcome.RUNTIME_LIMIT
    assert outcome_of({**job, "StoppingCondition": {"MaxRuntimeInSeconds": 3600}}) is Outcome.STOPPED


def test_every_bad_end_has_its_own_error() -> None:
    kinds = {error.outcome: error for error in JobError.__subclasses__()}
    assert set(kinds) == set(Outcome) - {Outcome.RUNNING, Outcome.COMPLETED}


def test_the_error_says_which_job_what_and_what_to_do() -> None:
    with pytest.raises(SpotTimeout, match=r"^x: spot timeout .*raise train.spot.max_wait_seconds"):
        raise_for_outcome(
            {"TrainingJobName": "x", "TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxWaitTimeExceeded"}
        )
    with pytest.raises(JobError, match=r"^x: client error: ClientError: no data"):
        raise_for_outcome(
            {"ProcessingJobName": "x", "ProcessingJobStatus": "Failed", "FailureReason": "ClientError: no data"}
        )
    with pytest.raises(JobStopped, match="stopped from outside"):
        raise_for_outcome({"ProcessingJobName": "x", "ProcessingJobStatus": "Stopped"})
    with pytest.raises(ValueError, match="x has not ended"):
        raise_for_outcome({"TrainingJobName": "x", "TrainingJobStatus": "InProgress"})
    raise_for_outcome({"TrainingJobName": "x", "TrainingJobStatus": "Completed"})


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        # What endpoints say; public repositories that deployed models quote both.
        (
            "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry "
            "using a different ML instance type or after some time.",
            Outcome.CAPACITY,
        ),
        (
            "Request to service failed. If failure persists after retry, contact customer support.",
            Outcome.SERVICE_FAULT,
        ),
        (QUOTA.format(limit=0), Outcome.QUOTA),
        (QUOTA.format(limit=1), Outcome.CAPACITY),
        ("The primary container for production variant AllTraffic did not pass the ping health check.", None),
        ("Baking for 600 seconds with traffic enabled on canary capacity of 1 instance(s).", None),
    ],
)
@pytest.mark.aws_fact("failure-capacity-endpoint")
def test_reasons_that_pass_by_themselves(reason: str, outcome: Outcome | None) -> None:
    assert passing_outcome(reason) is outcome


@pytest.mark.parametrize(
    ("limit", "delta", "never"), [("0", "1", True), ("1", "2", True), ("1", "1", False), ("4", "1", False)]
)
@pytest.mark.aws_fact("training-quota-zero")
def test_a_limit_that_no_waiting_helps_against(limit: str, delta: str, never: bool) -> None:
    message = QUOTA.format(limit=limit).replace("delta of 1", f"delta of {delta}")
    assert is_beyond_quota(message) is never
    error = rejection("ResourceLimitExceeded", message, passing=False)
    assert error.outcome is (Outcome.QUOTA if never else Outcome.CAPACITY)


@pytest.mark.parametrize(
    ("said", "what_to_do"),
    [
        (QUOTA.format(limit=0), "Spot has a quota of its own.*train.spot.enabled: false"),
        (
            QUOTA.format(limit=0).replace("spot ", ""),
            "training on demand has a quota.*train.spot.on_demand_after: never",
        ),
        (QUOTA.format(limit=0).replace("spot training", "processing"), "ask for an increase of that quota"),
        ("Could not assume role arn:aws:iam::1:role/x. Please ensure", "execution-role.trust.json"),
        ('No S3 objects found under S3 URL "s3://b/k" given in input data source.', "s3:ListBucket"),
    ],
)
@pytest.mark.aws_fact("training-empty-prefix-or-role")
def test_a_refusal_says_what_to_do(said: str, what_to_do: str) -> None:
    code = "ResourceLimitExceeded" if "limit" in said else "ValidationException"
    assert re.search(what_to_do, str(rejection(code, said, passing=False)))


@pytest.mark.parametrize(
    "reason",
    [
        "ClientError: Please use an instance type with more memory, or reduce the size of job data processed on an "
        "instance.",
        "ClientError: Artifact upload failed:ClientError: Out of Memory. Please use a larger instance",
        "AlgorithmError: , exit code: 137",
    ],
)
@pytest.mark.aws_fact("failure-out-of-memory")
def test_out_of_memory_asks_for_a_larger_instance(reason: str) -> None:
    with pytest.raises(JobError, match="larger instance_type"):
        raise_for_outcome({"TrainingJobName": "x", "TrainingJobStatus": "Failed", "FailureReason": reason})


# The examples SageMaker's documentation and notebooks publish.
@pytest.mark.parametrize(
    ("training", "billable", "percent"), [(500, 100, 80.0), (80, 25, 68.8), (42, 8, 81.0), (9, 9, 0.0)]
)
def test_savings(training: int, billable: int, percent: float) -> None:
    assert savings_percent(training, billable) == percent


@pytest.mark.parametrize(("training", "billable"), [(None, None), (0, 0), (10, None)])
def test_no_savings_of_a_job_that_never_ran(training: int | None, billable: int | None) -> None:
    assert savings_percent(training, billable) is None


@given(st.integers(1, 10**7), st.floats(0, 1))
def test_savings_are_between_0_and_100(training: int, share: float) -> None:
    percent = savings_percent(training, training * share)
    assert percent is not None
    assert 0 <= percent <= 100


def test_training_result() -> None:
    description: dict[str, Any] = {
        "TrainingJobName": "x",
        "TrainingJobArn": ARN,
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "ModelArtifacts": {"S3ModelArtifacts": "s3://b/x/output/model.tar.gz"},
        "FinalMetricDataList": [
            {"MetricName": "validation:auc", "Value": 0.75, "Timestamp": END},
            {"MetricName": "loss", "Value": float("nan"), "Timestamp": END},
        ],
        "TrainingTimeInSeconds": 125,
        "BillableTimeInSeconds": 50,
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 30},
        "SecondaryStatusTransitions": [
            {"Status": status}
            for status in ("Starting", "Training", "Interrupted", "Starting", "Training", "Completed")
        ],
        "EnableManagedSpotTraining": True,
        "TrainingStartTime": START,
        "TrainingEndTime": END,
    }
    result = training_result(description)
    assert result == {
        "name": "x",
        "arn": ARN,
        "status": "Completed",
        "secondary_status": "Completed",
        "model_artifact": "s3://b/x/output/model.tar.gz",
        "metrics": {"validation:auc": 0.75, "loss": None},
        "training_seconds": 125,
        "billable_seconds": 50,
        "instance_count": 2,
        "savings_pct": 60.0,
        "interruptions": 1,
        "spot": True,
        "started_at": "2026-11-01T06:00:00+00:00",
        "ended_at": "2026-11-01T06:02:05+00:00",
    }
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_training_result_of_a_job_that_never_got_capacity() -> None:
    result = training_result({"TrainingJobName": "x", "TrainingJobArn": ARN, "TrainingJobStatus": "Stopped"})
    assert result["spot"] is False
    assert (result["started_at"], result["savings_pct"], result["interruptions"]) == (None, None, 0)


def test_processing_result() -> None:
    result = processing_result(
        {
            "ProcessingJobName": "x",
            "ProcessingJobArn": ARN,
            "ProcessingJobStatus": "Completed",
            "ExitMessage": "done",
            "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1}},
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "train", "S3Output": {"S3Uri": "s3://b/t/"}}]},
            "ProcessingStartTime": START,
            "ProcessingEndTime": END,
        }
    )
    assert result == {
        "name": "x",
        "arn": ARN,
        "status": "Completed",
        "exit_message": "done",
        "seconds": 125.0,
        "instance_count": 1,
        "outputs": {"train": "s3://b/t/"},
        "started_at": "2026-11-01T06:00:00+00:00",
        "ended_at": "2026-11-01T06:02:05+00:00",
    }
