"""What AWS says, word for word, and what the package makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from include.sagemaker_local.jobs.transform import HEALTHY_SECONDS
from sagemaker_retraining.endpoints.failure import not_wanted
from sagemaker_retraining.outcomes import JobClientError, Outcome, classify


@pytest.mark.aws_fact("failure-capacity-job")
@pytest.mark.aws_fact("failure-internal")
@pytest.mark.aws_fact("failure-out-of-memory")
@pytest.mark.aws_fact("failure-download-denied")
@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (
            "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML "
            "instance type.",
            Outcome.CAPACITY,
        ),
        ("InternalServerError: We encountered an internal error.  Please try again.", Outcome.SERVICE_FAULT),
        ("InternalServerError: We encountered an internal error. Please try again.", Outcome.SERVICE_FAULT),
        (
            "ClientError: Please use an instance type with more memory, or reduce the size of job data processed on an "
            "instance.",
            Outcome.CLIENT_ERROR,
        ),
        (
            "ClientError: Artifact upload failed:ClientError: Out of Memory. Please use a larger instance",
            Outcome.CLIENT_ERROR,
        ),
        (
            "ClientError: Data download failed:Unable to download object s3://bucket/key (AccessDenied: Access Denied)",
            Outcome.CLIENT_ERROR,
        ),
    ],
)
def test_the_reason_of_a_failed_job(reason: str, outcome: Outcome) -> None:
    assert classify("Failed", "Failed", reason) is outcome


@pytest.mark.aws_fact("training-empty-prefix-or-role")
def test_a_refused_request_may_be_the_roles_fault() -> None:
    assert "data or the role" in JobClientError.advice


NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a "
    "different ML instance type or after some time."
)


def endpoint(**changes: Any) -> dict[str, Any]:
    """A described endpoint that is not on the config `wanted`."""
    return {"EndpointName": "x", "EndpointStatus": "InService", "EndpointConfigName": "old", **changes}


@pytest.mark.aws_fact("failure-capacity-endpoint")
@pytest.mark.parametrize("more", ["", " Consider configuring InstancePools to improve availability."])
def test_an_endpoint_without_capacity_is_worth_another_try(more: str) -> None:
    error = not_wanted(None, endpoint(FailureReason=NO_CAPACITY + more), "new", {})  # type: ignore[arg-type]
    assert type(error) is AirflowException


@pytest.mark.aws_fact("endpoint-rollback-without-reason")
@pytest.mark.aws_fact("endpoint-out-of-service")
@pytest.mark.parametrize("description", [endpoint(), endpoint(EndpointStatus="OutOfService")])
def test_an_endpoint_elsewhere_is_an_error_without_a_reason_too(description: dict[str, Any]) -> None:
    error = not_wanted(None, description, "new", {})  # type: ignore[arg-type]
    assert isinstance(error, AirflowFailException)
    assert f"x is {description['EndpointStatus']} on old, wanted new: SageMaker gives no reason" in str(error)


@pytest.mark.aws_fact("transform-ping-30-minutes")
def test_a_container_has_half_an_hour_to_answer_ping() -> None:
    assert HEALTHY_SECONDS == 30 * 60
